"""DynamoDB against Iceberg: every column of every row, by exact types.

Where digests of key ranges agree, no row is moved; only keys that differ are read and compared exactly.
"""

from __future__ import annotations

import html
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.config import Config

from dynaberg import catalog, digests
from dynaberg.attributes import canonical_json, reader_for
from dynaberg.differences import Differences, compare, to_long_form
from dynaberg.errors import NotFoundError
from dynaberg.query import query

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    import pyarrow as pa
    from pyiceberg.table import Table

    from dynaberg.contract import Column, Contract
    from dynaberg.settings import Settings

_SEGMENTS = 8
# Above this many partition keys a scan of the whole current table is faster than one that looks for them.
_MANY_KEYS = 5_000
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
        in_flight: Keys that differed, and that have changed since: their changes are on the way.
        rows_read: Rows of the current table that were read; where digests agree, none.
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
    in_flight: int = 0
    rows_read: int = 0

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
        flight = f" {self.in_flight:,} more changed meanwhile and are in flight." if self.in_flight else ""
        return f"{sizes}, compared at {moment}. {verdict}{late}{flight}"

    def __repr__(self) -> str:
        return self.summary if self.matches else f"{self.df.to_string(max_rows=20)}\n{self.summary}"

    def _repr_html_(self) -> str:
        footer = f"<div>{html.escape(self.summary)}</div>"
        return footer if self.matches else self.df.to_html(max_rows=20, border=0, escape=True) + footer


def reconcile(session: boto3.Session, settings: Settings, contract: Contract) -> ReconcileReport:
    """Compare DynamoDB with the current table, every column of every row.

    DynamoDB is scanned, for there is no other way. Athena digests the current table by key ranges, and only
    rows that differ are read, and compared by their exact types. A contract with doubles or nested
    columns, which have no text that both sides write alike, is compared row by row throughout.

    What differs is looked up once more before it is reported: an item that has changed meanwhile is in flight
    and not lost. Masked columns are left out. Source of the parallel scan: Amazon DynamoDB Developer Guide,
    "Scanning tables in DynamoDB".

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace.
        contract: The table contract.

    Returns:
        The report; `.matches` says whether nothing differs.

    Raises:
        NotFoundError: The DynamoDB table or the current table does not exist.

    Example:
        >>> reconcile(session, settings, contract).matches
        True
    """
    iceberg = catalog.open_catalog(session, settings)
    table = catalog.load_table(iceberg, settings, contract.table)
    snapshot = table.current_snapshot()
    compared_at = datetime.now(UTC)
    items = scan_items(session, contract.source_table)
    suspects = _find_suspects(session, settings, contract, items, table)
    df = compare_items(suspects.items, suspects.rows, contract)
    moving = 0
    if not df.empty:
        newer = catalog.load_table(iceberg, settings, contract.table)
        df, moving = _check_again(session, contract, df, suspects.items, newer)
    counts = df.drop_duplicates([*contract.key, "problem"])["problem"].value_counts()
    return ReconcileReport(
        df=df,
        items=len(items),
        rows=suspects.rows_in_all,
        **{problem: int(counts.get(problem, 0)) for problem in ("missing", "extra", "stale")},
        in_flight=moving,
        rows_read=len(suspects.rows),
        columns=tuple(column.name for column in contract.columns if not column.mask),
        compared_at=compared_at,
        snapshot_id=snapshot.snapshot_id if snapshot else None,
    )


@dataclass(frozen=True)
class _Suspects:
    """What has to be compared exactly, of both sides."""

    items: Sequence[Item]
    rows: pa.Table
    rows_in_all: int


def _find_suspects(
    session: boto3.Session, settings: Settings, contract: Contract, items: Sequence[Item], table: Table
) -> _Suspects:
    """Leave out what digests show to be equal."""
    snapshot = table.current_snapshot()
    if snapshot is None or not digests.can_digest(contract):
        rows = _read_rows(table, contract)
        return _Suspects(items, rows, len(rows))
    digits, hashed = digests.range_digits(len(items)), digests.hash_items(items, contract)

    def ask(sql: str) -> list[tuple[Any, ...]]:
        return list(query(session, settings, sql).df.itertuples(index=False, name=None))

    there = {
        name: (int(rows), digest)
        for name, rows, digest in ask(digests.ranges_statement(contract, snapshot.snapshot_id, digits))
    }
    here = digests.digest_ranges(hashed, digits)
    rows_in_all = sum(rows for rows, _ in there.values())
    differing = {name for name in here.keys() | there.keys() if here.get(name) != there.get(name)}
    if not differing:
        return _Suspects([], _read_rows(table, contract, []), rows_in_all)
    hashes = ask(digests.rows_statement(contract, snapshot.snapshot_id, digits, differing))
    keys = digests.differing_partition_keys(hashed, hashes, digits, differing)
    suspects = [item for item, each in zip(items, hashed, strict=True) if each.partition_key in keys]
    return _Suspects(suspects, _read_rows(table, contract, keys), rows_in_all)


def _read_rows(table: Table, contract: Contract, partition_keys: Collection[Any] | None = None) -> pa.Table:
    """Rows with exact types, all of them or those of some partition keys."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyiceberg.expressions import AlwaysFalse, AlwaysTrue, In, Reference

    names = tuple(column.name for column in contract.columns if not column.mask)
    if partition_keys is None or len(partition_keys) > _MANY_KEYS:
        found = table.scan(AlwaysTrue(), selected_fields=names).to_arrow()
    elif partition_keys:
        found = table.scan(
            In(term=Reference(contract.key[0]), values=set(partition_keys)), selected_fields=names
        ).to_arrow()
    else:
        found = table.scan(AlwaysFalse(), selected_fields=names).to_arrow()
    if partition_keys is not None and len(found):
        column = found.column(contract.key[0])
        found = found.filter(pc.is_in(column, value_set=pa.array(list(partition_keys), column.type)))
    return found


def _check_again(
    session: boto3.Session, contract: Contract, df: pd.DataFrame, items: Sequence[Item], table: Table
) -> tuple[pd.DataFrame, int]:
    """Compare what differs once more, now; what is left, and how many items are in flight.

    An item that is another than at the scan has a change on its way.
    """
    key = list(contract.key)
    readers = {c.name: reader_for(c.parsed_type) for c in contract.columns if c.name in key}

    def key_of(item: Item) -> tuple[Any, ...]:
        return tuple(readers[name](item[name]) for name in key)

    wanted = set(df[key].itertuples(index=False, name=None))
    before = {key_of(item): canonical_json({"M": item}) for item in items if key_of(item) in wanted}
    now = {key_of(item): item for item in get_items(session, contract, wanted)}
    moving = {
        each
        for each in wanted
        if before.get(each) != (canonical_json({"M": now[each]}) if each in now else None)
    }
    rows = _read_rows(table, contract, {each[0] for each in wanted})
    again = compare_items([item for each, item in now.items() if each not in moving], rows, contract)
    tuples = list(again[key].itertuples(index=False, name=None))
    left = again[[each in wanted and each not in moving for each in tuples]]
    return left.reset_index(drop=True), len(moving)


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


def get_items(session: boto3.Session, contract: Contract, keys: Iterable[tuple[Any, ...]]) -> list[Item]:
    """The items of some keys as DynamoDB JSON, binary as base64, by consistent reads.

    Args:
        session: Open boto3 session.
        contract: The table contract.
        keys: Values of the key columns.
    """
    dynamodb: Any = session.client("dynamodb")
    dynamodb.meta.events.register("before-parse.dynamodb.GetItem", _keep_item)
    types = contract.key_attribute_types()

    def get(key: tuple[Any, ...]) -> Item | None:
        attributes = {
            name: {types[name]: value if types[name] == "B" else str(value)}
            for name, value in zip(contract.key, key, strict=True)
        }
        answer = dynamodb.get_item(TableName=contract.source_table, Key=attributes, ConsistentRead=True)
        found: Item | None = answer["PlainItem"]
        return found

    with ThreadPoolExecutor(_SEGMENTS) as pool:
        return [item for item in pool.map(get, keys) if item]


def _keep_item(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    if response_dict["status_code"] == HTTPStatus.OK:
        customized_response_dict["PlainItem"] = json.loads(response_dict["body"]).get("Item")
        response_dict["body"] = b"{}"


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
