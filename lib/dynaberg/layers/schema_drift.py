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
from dynaberg.contracts.inference import Draft, EntityTypes, attributes_by_name, is_type_attribute
from dynaberg.delivery import failed_records
from dynaberg.errors import NotFoundError
from dynaberg.functions.attributes import ConversionError, MomentRules, converter_for, part_converter
from dynaberg.functions.packing import PACKED, unpack
from dynaberg.sql import query

if TYPE_CHECKING:
    import boto3
    import pandas as pd

    from dynaberg.contracts import Column, Condition, Contract
    from dynaberg.contracts.inference import Kind
    from dynaberg.settings import Settings

NO_COLUMN, UNFIT = "no column", "does not fit"
COLUMNS = [
    *("attribute", "found", "types", "kinds", "changes"),
    *("first_changed_at", "last_changed_at", "column", "type"),
]
_SAMPLE = 10_000
_UNMAPPED = """\
SELECT a.name, map_keys(CAST(a.value AS map(varchar, json)))[1] AS tag, {kind} AS kind, count(*) AS changes,
  min(changed_at) AS first_changed_at, max(changed_at) AS last_changed_at
FROM "{log}" CROSS JOIN UNNEST(CAST(json_parse(unmapped) AS map(varchar, json))) AS a (name, value)
WHERE unmapped IS NOT NULL AND NOT starts_with(unmapped, ?) GROUP BY 1, 2, 3"""
_PACKED = 'SELECT {}, changed_at, unmapped FROM "{}" WHERE starts_with(unmapped, ?)'
_ROWS = 'SELECT {}, unmapped FROM "{}" WHERE unmapped IS NOT NULL LIMIT {}'
_OTHER = "other"


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
    live = _items(session, settings, contract)
    kinds = _kinds(contract, live)
    rows = [*_new(session, settings, contract, kinds), *_unfit(images, contract, kinds)]
    seen = [*live, *(image for _, image in images)]
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
    """Live items with what they have in `unmapped`, their keys, what kind they are, and nothing else."""
    columns = _kind_columns(contract)
    sql = _ROWS.format(_names(columns), contract.table, _SAMPLE)
    found = query(session, settings, sql, progress=False).df
    return [
        {**_attributes(columns, row[:-1]), **json.loads(unpack(row[-1]))}
        for row in found.itertuples(index=False, name=None)
    ]


def _kind_columns(contract: Contract) -> list[Column]:
    """The columns that may say what kind an item is: the keys, and those that are called so."""
    typed = [column for column in contract.columns if column.type == "string" and not column.mask]
    others = [column for column in typed if is_type_attribute(column.attribute)]
    return [*contract.key_columns, *(column for column in others if column.name not in contract.key)]


def _names(columns: Sequence[Column]) -> str:
    return ", ".join(f'"{column.name}"' for column in columns)


def _attributes(columns: Sequence[Column], values: Sequence[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for column, value in zip(columns, values, strict=True):
        if value is not None:
            ((tag, given),) = key_attribute(column, value).items()
            found[column.attribute] = {tag: base64.b64encode(given).decode() if tag == "B" else given}
    return found


def _kinds(contract: Contract, items: Sequence[Mapping[str, Any]]) -> list[Kind]:
    """The kinds of items in a table of several, as an inference finds them; none if it holds one kind."""
    types = EntityTypes([column.attribute for column in contract.key_columns])
    if items:
        types.add(attributes_by_name(items), items)
    return types.kinds()


def _kind_sql(contract: Contract, kinds: Sequence[Kind]) -> str:
    """SQL of the kind of a row of the change log."""
    if not kinds:
        return "CAST(NULL AS varchar)"
    cases = (
        f"WHEN {' AND '.join(_condition_sql(contract, each) for each in kind.when)} THEN {_text(kind.name)}"
        for kind in kinds
    )
    return f"CASE {' '.join(cases)} ELSE {_text(_OTHER)} END"


def _condition_sql(contract: Contract, condition: Condition) -> str:
    for column in contract.columns_by_attribute.get(condition.attribute, ()):
        if column.type == "string" and not column.mask and not column.before:
            value = f'{_text(column.after)} || "{column.name}"' if column.after else f'"{column.name}"'
            break
    else:
        path = json.dumps(condition.attribute, ensure_ascii=False)
        value = f"json_extract_scalar(unmapped, {_text(f'$[{path}].S')})"
    if condition.test == "begins_with":
        return f"starts_with({value}, {_text(condition.value)})"
    return f"{value} = {_text(condition.value)}"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _kind_of(image: Mapping[str, Any], kinds: Sequence[Kind]) -> str:
    found = (kind.name for kind in kinds if all(condition.holds(image) for condition in kind.when))
    return next(found, _OTHER)


def _listed(counts: Mapping[Any, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))


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


def _new(
    session: boto3.Session, settings: Settings, contract: Contract, kinds: Sequence[Kind]
) -> Iterator[tuple[Any, ...]]:
    """A row for each attribute that no column takes."""
    found = _arrived(session, settings, contract, kinds)
    known = contract.columns_by_attribute
    for name, rows in found.groupby("name"):
        if name not in known:
            types, by_kind = (_listed(rows.groupby(by)["changes"].sum().to_dict()) for by in ("tag", "kind"))
            first, last = rows["first_changed_at"].min(), rows["last_changed_at"].max()
            yield name, NO_COLUMN, types, by_kind or None, int(rows["changes"].sum()), first, last


def _arrived(
    session: boto3.Session, settings: Settings, contract: Contract, kinds: Sequence[Kind]
) -> pd.DataFrame:
    """The attributes in `unmapped` with their types; Athena counts them, but cannot unpack what is packed."""
    import pandas as pd

    counting = _UNMAPPED.format(log=contract.log_name, kind=_kind_sql(contract, kinds))
    columns = _kind_columns(contract)
    listing = _PACKED.format(_names(columns), contract.log_name)
    counted, packed = (
        query(session, settings, sql, [PACKED], progress=False).df for sql in (counting, listing)
    )
    others = []
    for *values, changed_at, text in packed.itertuples(index=False, name=None):
        attributes = json.loads(unpack(text))
        image = {**_attributes(columns, values), **attributes}
        kind = _kind_of(image, kinds) if kinds else None
        others += [
            (name, tag, kind, 1, changed_at, changed_at)
            for name, value in attributes.items()
            for tag in value
        ]
    frames = [counted, pd.DataFrame(others, columns=counted.columns)]
    found = pd.concat([frame for frame in frames if len(frame)] or [counted])
    groups = found.groupby(["name", "tag", "kind"], dropna=False)
    return groups.agg({"changes": "sum", "first_changed_at": "min", "last_changed_at": "max"}).reset_index()


def _unfit(
    images: Sequence[tuple[datetime | None, Mapping[str, Any]]], contract: Contract, kinds: Sequence[Kind]
) -> Iterator[tuple[Any, ...]]:
    """A row for each attribute with values that none of its columns takes."""
    tags: dict[str, Counter[str]] = {}
    by_kind: dict[str, Counter[str]] = {}
    moments: dict[str, list[datetime]] = {}
    for failed_at, image in images:
        for attribute, columns in contract.columns_by_attribute.items():
            if attribute in image and not any(_fits(image[attribute], column) for column in columns):
                tags.setdefault(attribute, Counter()).update(list(image[attribute]))
                by_kind.setdefault(attribute, Counter()).update([_kind_of(image, kinds)] if kinds else [])
                moments.setdefault(attribute, []).extend([failed_at] if failed_at else [])
    for attribute, counts in tags.items():
        listed, when = (_listed(counts), _listed(by_kind[attribute]) or None), moments[attribute]
        yield attribute, UNFIT, *listed, counts.total(), min(when, default=None), max(when, default=None)


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
