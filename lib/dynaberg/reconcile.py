"""DynamoDB against Iceberg: every column of every row, by exact types."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.config import Config

from dynaberg import catalog
from dynaberg.attributes import canonical_json, reader_for
from dynaberg.differences import Differences, compare, to_long_form
from dynaberg.errors import NotFoundError

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    import pyarrow as pa

    from dynaberg.contract import Column, Contract
    from dynaberg.settings import Settings

_SEGMENTS = 8
_MISFITS = (KeyError, ValueError, ArithmeticError, TypeError)
Item = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, repr=False)
class ReconcileReport:
    """What a comparison of DynamoDB with the current table found.

    Attributes:
        df: One row per difference: the key columns, problem (`missing`: in DynamoDB only, `extra`: in Iceberg
            only, `stale`: a column differs), column, dynamodb, iceberg.
        items: Items in DynamoDB.
        rows: Rows in the current table.
        missing: Keys in DynamoDB only.
        extra: Keys in the current table only.
        stale: Keys in both of which a column differs.
        columns: Columns that were compared; masked ones cannot be.
        compared_at: When the scan of DynamoDB began; a change after it may be on one side only.
        snapshot_id: Snapshot of the current table that was read.
    """

    df: pd.DataFrame
    items: int
    rows: int
    missing: int
    extra: int
    stale: int
    columns: tuple[str, ...]
    compared_at: datetime
    snapshot_id: int | None

    @property
    def matches(self) -> bool:
        """Whether nothing differs."""
        return self.df.empty

    @property
    def summary(self) -> str:
        """The outcome in a sentence or two."""
        moment = self.compared_at.isoformat(timespec="seconds")
        sizes = (
            f"{self.items:,} items in DynamoDB, {self.rows:,} rows in Iceberg, {len(self.columns)} columns"
        )
        found = f"{self.missing:,} missing, {self.extra:,} extra, {self.stale:,} stale"
        verdict = "They match." if self.matches else f"They differ: {found}."
        late = (
            ""
            if self.matches
            else " While the table is written to, what changed after that moment differs too."
        )
        return f"{sizes}, compared at {moment}. {verdict}{late}"

    def __repr__(self) -> str:
        return self.summary if self.matches else f"{self.df.to_string(max_rows=20)}\n{self.summary}"

    def _repr_html_(self) -> str:
        footer = f"<div>{html.escape(self.summary)}</div>"
        return footer if self.matches else self.df.to_html(max_rows=20, border=0, escape=True) + footer


def reconcile(session: boto3.Session, settings: Settings, contract: Contract) -> ReconcileReport:
    """Compare DynamoDB with the current table, every column of every row.

    Both sides are read in full; they are compared in columns, and only rows that differ are looked at one by
    one. Masked columns are left out. Source of the parallel scan: Amazon DynamoDB Developer Guide, "Scanning
    tables in DynamoDB".

    Args:
        session: Open boto3 session.
        settings: Names of the table bucket and the namespace.
        contract: The table contract.

    Returns:
        The report; `.matches` says whether nothing differs.

    Raises:
        NotFoundError: The DynamoDB table or the current table does not exist.

    Example:
        >>> reconcile(session, settings, contract).matches
        True
    """
    table = catalog.load_table(catalog.open_catalog(session, settings), settings, contract.table)
    compared_at = datetime.now(UTC)
    items = scan_items(session, contract.source_table)
    names = tuple(column.name for column in contract.columns if not column.mask)
    iceberg = table.scan(selected_fields=names).to_arrow()
    df = compare_items(items, iceberg, contract)
    snapshot = table.current_snapshot()
    counts = df.drop_duplicates([*contract.key, "problem"])["problem"].value_counts()
    return ReconcileReport(
        df=df,
        items=len(items),
        rows=len(iceberg),
        **{problem: int(counts.get(problem, 0)) for problem in ("missing", "extra", "stale")},
        columns=names,
        compared_at=compared_at,
        snapshot_id=snapshot.snapshot_id if snapshot else None,
    )


def compare_items(items: Sequence[Item], rows: pa.Table, contract: Contract) -> pd.DataFrame:
    """Compare items with rows of the current table, in every column that is not masked.

    Args:
        items: Items as DynamoDB JSON, binary as base64.
        rows: The rows, with the current table's types.
        contract: The table contract.

    Returns:
        One row per difference, as `ReconcileReport.df`.
    """
    columns = [column for column in contract.columns if not column.mask]
    dynamodb, iceberg = _align(items, rows, columns)
    return _name_differences(compare(dynamodb, iceberg, contract.key), contract)


def scan_items(session: boto3.Session, source_table: str) -> list[Item]:
    """Every item of a DynamoDB table as DynamoDB JSON, binary as base64, by a consistent parallel scan.

    Raises:
        NotFoundError: No such DynamoDB table.
    """
    dynamodb: Any = session.client("dynamodb", config=Config(max_pool_connections=_SEGMENTS))
    dynamodb.meta.events.register("before-parse.dynamodb.Scan", _keep_items)

    def scan(segment: int) -> list[Item]:
        pages = dynamodb.get_paginator("scan").paginate(
            TableName=source_table, ConsistentRead=True, Segment=segment, TotalSegments=_SEGMENTS
        )
        return [item for page in pages for item in page["PlainItems"]]

    try:
        with ThreadPoolExecutor(_SEGMENTS) as pool:
            return [item for items in pool.map(scan, range(_SEGMENTS)) for item in items]
    except dynamodb.exceptions.ResourceNotFoundException as error:
        msg = f"There is no DynamoDB table {source_table!r}."
        raise NotFoundError(msg, hint="Create it with wb.enable_cdc() (01_enable_cdc).") from error


def _keep_items(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Take the items out of an answer as they are: botocore's parsing is most of a scan's time."""
    if response_dict["status_code"] == HTTPStatus.OK:
        answer = json.loads(response_dict["body"])
        customized_response_dict["PlainItems"] = answer.pop("Items")
        response_dict["body"] = json.dumps(answer).encode()


def _align(items: Sequence[Item], iceberg: pa.Table, columns: Sequence[Column]) -> tuple[pa.Table, pa.Table]:
    """Both sides in the same types and spellings, column by column."""
    import pyarrow as pa

    sides = [_align_column(items, iceberg.column(column.name), column) for column in columns]
    names = [column.name for column in columns]
    return pa.table([a for a, _ in sides], names=names), pa.table([b for _, b in sides], names=names)


def _align_column(items: Sequence[Item], stored: pa.ChunkedArray, column: Column) -> tuple[Any, Any]:
    import pyarrow as pa

    attributes = [item.get(column.name) for item in items]
    read = reader_for(column.parsed_type)
    if column.type == "json":
        texts = [text and canonical_json(json.loads(text)) for text in stored.to_pylist()]
        stored = pa.chunked_array([pa.array(texts, stored.type)])
    try:
        values = [None if attribute is None else read(attribute) for attribute in attributes]
        if _all_sets(attributes):
            values = [values and sorted(values) for values in values]
            stored = pa.chunked_array([pa.array([v and sorted(v) for v in stored.to_pylist()], stored.type)])
        return pa.array(values, stored.type), stored
    except (*_MISFITS, pa.ArrowException):
        return _as_text(attributes, stored, read)


def _all_sets(attributes: Sequence[Any]) -> bool:
    """Whether a column holds sets, whose order means nothing."""
    kinds = {next(iter(attribute)) for attribute in attributes if attribute is not None}
    return bool(kinds) and kinds <= {"SS", "NS", "BS"}


def _as_text(attributes: Sequence[Any], stored: pa.ChunkedArray, read: Any) -> tuple[Any, Any]:
    """Both sides as text, where DynamoDB holds values that the column cannot: they equal nothing."""
    import pyarrow as pa

    def text(attribute: Any) -> str | None:
        try:
            value = None if attribute is None else pa.array([read(attribute)], stored.type)[0].as_py()
        except (*_MISFITS, pa.ArrowException):
            return canonical_json(attribute)
        return None if value is None else str(value)

    rows = [None if value is None else str(value) for value in stored.to_pylist()]
    return pa.array([text(attribute) for attribute in attributes], pa.string()), pa.array(rows, pa.string())


def _name_differences(differences: Differences, contract: Contract) -> pd.DataFrame:
    """One line per missing or extra key, and per differing column of a stale one."""
    import pandas as pd

    columns = [column.name for column in contract.columns]
    lines = to_long_form(differences, contract.key, columns)
    lines = lines.rename(columns={"change": "problem", "before": "dynamodb", "after": "iceberg"})
    lines = lines[lines["problem"] == "changed"]
    whole = {"missing": differences.removed, "extra": differences.added}
    parts = [
        rows.select(list(contract.key))
        .to_pandas()
        .assign(problem=problem, column=None, dynamodb=None, iceberg=None)
        for problem, rows in whole.items()
    ]
    frame: pd.DataFrame = pd.concat([*parts, lines.assign(problem="stale")], ignore_index=True)
    return frame.sort_values([*contract.key, "problem"], kind="stable", ignore_index=True)
