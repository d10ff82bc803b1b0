"""What a contract does not know yet: attributes that arrive in `unmapped`, and values that fit no column."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dynaberg.contracts import key_attribute
from dynaberg.contracts.inference import Draft
from dynaberg.delivery import failed_records
from dynaberg.errors import NotFoundError
from dynaberg.functions.attributes import ConversionError, MomentRules, converter_for, part_converter
from dynaberg.functions.packing import PACKED, unpack
from dynaberg.sql import query

if TYPE_CHECKING:
    import boto3
    import pandas as pd

    from dynaberg.contracts import Column, Contract
    from dynaberg.settings import Settings

NEW, UNFIT = "no column", "does not fit"
COLUMNS = [
    *("attribute", "found", "types", "changes"),
    *("first_changed_at", "last_changed_at", "column", "type"),
]
_SAMPLE = 10_000
_UNMAPPED = """\
SELECT a.name, map_keys(CAST(a.value AS map(varchar, json)))[1] AS tag, count(*) AS changes,
  min(changed_at) AS first_changed_at, max(changed_at) AS last_changed_at
FROM "{}" CROSS JOIN UNNEST(CAST(json_parse(unmapped) AS map(varchar, json))) AS a (name, value)
WHERE unmapped IS NOT NULL AND NOT starts_with(unmapped, ?) GROUP BY 1, 2"""
_PACKED = 'SELECT unmapped, changed_at FROM "{}" WHERE starts_with(unmapped, ?)'
_ROWS = 'SELECT {}, unmapped FROM "{}" WHERE unmapped IS NOT NULL LIMIT {}'


@dataclass(frozen=True)
class Drift:
    """What was found, and the contract that would take it in.

    Attributes:
        df: One row for each attribute, as `drift_report` returns it.
        contract: The contract with the columns that are proposed.
        text: The same in YAML, with what was seen as comments.
    """

    df: pd.DataFrame
    contract: Contract
    text: str


def find_drift(session: boto3.Session, settings: Settings, contract: Contract) -> Drift:
    """Look for what a contract does not know: in `unmapped`, and among the changes that failed.

    Args:
        session: Open boto3 session.
        settings: Names of the stacks, the workgroup, the table bucket and the namespace.
        contract: The table contract.

    Returns:
        The attributes with types, counts and moments, and a proposal for each, inferred from up to 10,000
        live items and from the failed changes.

    Raises:
        NotFoundError: A table does not exist.
    """
    images = list(_failed_images(session, settings, contract))
    rows = [*_new(session, settings, contract), *_unfit(images, contract)]
    seen = [*_items(session, settings, contract), *(image for _, image in images)]
    if not seen:
        # Items that are gone may have had other attributes, but nothing can be proposed for them.
        return Drift(_frame(rows, contract, contract), contract, "")
    draft = Draft(contract.source_table, [column.attribute for column in contract.key_columns])
    draft.add(seen)
    drafted = draft.write(contract)
    return Drift(_frame(rows, contract, drafted.contract), drafted.contract, drafted.text)


def proposals(contract: Contract, proposed: Contract) -> dict[str, Column]:
    """The columns of a proposal that a contract lacks, or has with another type, by their names."""
    known = {column.name: column for column in contract.columns}
    return {
        column.name: column
        for column in proposed.columns
        if column.name not in known or known[column.name].type != column.type
    }


def _items(session: boto3.Session, settings: Settings, contract: Contract) -> list[dict[str, Any]]:
    """Live items with what they have in `unmapped`, their keys and nothing else."""
    names = ", ".join(f'"{name}"' for name in contract.key)
    sql = _ROWS.format(names, contract.table, _SAMPLE)
    found = query(session, settings, sql, progress=False).df
    return [
        {**_keys(contract, row[:-1]), **json.loads(unpack(row[-1]))}
        for row in found.itertuples(index=False, name=None)
    ]


def _keys(contract: Contract, values: Sequence[Any]) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    for column, value in zip(contract.key_columns, values, strict=True):
        ((tag, given),) = key_attribute(column, value).items()
        keys[column.attribute] = {tag: base64.b64encode(given).decode() if tag == "B" else given}
    return keys


def _failed_images(
    session: boto3.Session, settings: Settings, contract: Contract
) -> Iterator[tuple[datetime | None, Mapping[str, Any]]]:
    """The items of failed changes that are the table's."""
    try:
        records = failed_records(session, settings, contract)
    except NotFoundError:
        return
    keys = [column.attribute for column in contract.key_columns]
    for failed_at, record in records:
        change = record.get("dynamodb")
        image = change.get("NewImage") if isinstance(change, dict) else None
        if isinstance(image, dict) and all(key in image for key in keys) and contract.claims(image):
            yield failed_at, image


def _new(session: boto3.Session, settings: Settings, contract: Contract) -> Iterator[tuple[Any, ...]]:
    """A row for each attribute that no column takes."""
    found = _arrived(session, settings, contract.log_name)
    known = contract.columns_by_attribute
    for name, rows in found.groupby("name"):
        if name not in known:
            types = ", ".join(f"{r.tag} {r.changes:,}" for r in rows.sort_values("tag").itertuples())
            first, last = rows["first_changed_at"].min(), rows["last_changed_at"].max()
            yield name, NEW, types, int(rows["changes"].sum()), first, last


def _arrived(session: boto3.Session, settings: Settings, log_name: str) -> pd.DataFrame:
    """The attributes in `unmapped` with their types; Athena counts them, but cannot unpack what is packed."""
    import pandas as pd

    counted, packed = (
        query(session, settings, sql.format(log_name), [PACKED], progress=False).df
        for sql in (_UNMAPPED, _PACKED)
    )
    others = [
        (name, tag, 1, changed_at, changed_at)
        for text, changed_at in packed.itertuples(index=False, name=None)
        for name, value in json.loads(unpack(text)).items()
        for tag in value
    ]
    frames = [counted, pd.DataFrame(others, columns=counted.columns)]
    groups = pd.concat([frame for frame in frames if len(frame)] or [counted]).groupby(["name", "tag"])
    return groups.agg({"changes": "sum", "first_changed_at": "min", "last_changed_at": "max"}).reset_index()


def _unfit(
    images: Sequence[tuple[datetime | None, Mapping[str, Any]]], contract: Contract
) -> Iterator[tuple[Any, ...]]:
    """A row for each attribute with values that none of its columns takes."""
    tags: dict[str, Counter[str]] = {}
    moments: dict[str, list[datetime]] = {}
    for failed_at, image in images:
        for attribute, columns in contract.columns_by_attribute.items():
            if attribute in image and not any(_fits(image[attribute], column) for column in columns):
                tags.setdefault(attribute, Counter()).update(list(image[attribute]))
                moments.setdefault(attribute, []).extend([failed_at] if failed_at else [])
    for attribute, counts in tags.items():
        types = ", ".join(f"{tag} {count:,}" for tag, count in sorted(counts.items()))
        when = moments[attribute]
        yield attribute, UNFIT, types, counts.total(), min(when, default=None), max(when, default=None)


def _fits(attribute: Any, column: Column) -> bool:
    """Whether the Lambda's conversion takes a value."""
    convert = converter_for(column.parsed_type, MomentRules(column.round, column.zone))
    if column.is_part:
        convert = part_converter(convert, column.parsed_type, column.after, column.before)
    try:
        convert(attribute)
    except ConversionError:
        return False
    return True


def _frame(rows: Sequence[tuple[Any, ...]], contract: Contract, proposed: Contract) -> pd.DataFrame:
    import pandas as pd

    changed = proposals(contract, proposed).values()
    by_attribute = {column.attribute: (column.name, column.type) for column in changed}
    lines = [(*row, *by_attribute.get(row[0], (None, None))) for row in rows]
    frame = pd.DataFrame(lines, columns=COLUMNS)
    for name in ("first_changed_at", "last_changed_at"):
        frame[name] = pd.to_datetime(frame[name], utc=True)
    return frame.sort_values(["found", "attribute"], ignore_index=True)
