"""A small pipeline on the local AWS, and every statement that the library and the notebooks sent in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3

import dynaberg
from dynaberg.contracts.contract import load_contract
from dynaberg.settings import Settings

ROOT = Path(__file__).parents[2]
NAME = "dynaberg"
CHANGES = 400
CONTRACT = load_contract(ROOT / "data" / "tables" / "transactions.yaml")
STAGING = re.compile(r"__staging_[0-9a-f]{8}")


@dataclass(frozen=True)
class Statement:
    """A statement as it was sent."""

    sql: str
    parameters: tuple[str, ...]
    kind: str
    state: str
    reason: str


@contextmanager
def pipeline() -> Iterator[dynaberg.Workbench]:
    """The workbench of the notebooks, under its own names, with some changes delivered and merged twice."""
    wb = dynaberg.Workbench(Settings(name=NAME, root=ROOT), boto3.Session(), CONTRACT)
    wb.enable_cdc()
    wb.deploy_firehose(buffer_seconds=0)
    try:
        yield wb
    finally:
        wb.clean_up(confirm=NAME)


def use(wb: dynaberg.Workbench) -> None:
    """Everything of the library that sends SQL, as the notebooks call it."""
    orders, log = wb.table(), wb.iceberg_table("transactions_changes")
    wb.generate_traffic(CHANGES)
    orders.wait_for_delivery()
    orders.refresh()
    first = orders.snapshots()["snapshot_id"].iloc[-1]
    wb.generate_traffic(CHANGES, seed=11)
    orders.wait_for_delivery()
    orders.refresh()
    moment = datetime.now(UTC)
    last = orders.snapshots()["snapshot_id"].iloc[-1]
    orders.reconcile()
    wb.build("hourly_activity")
    wb.build("hourly_activity")
    wb.query("UPDATE transactions SET amount = 0 WHERE amount = (SELECT max(amount) FROM transactions)")
    orders.repair(orders.reconcile(), confirm=wb.name)
    wb.build("hourly_activity")
    wb.load_reference("merchants")
    orders.read_as_of(moment, columns=("transaction_id", "status"))
    orders.state_as_of(moment, columns=("transaction_id", "status"))
    orders.changes_between(int(first), int(last))
    orders.drift(int(first), int(last))
    key = (
        wb.query("SELECT transaction_id, timestamp FROM transactions ORDER BY 1 LIMIT 1").df.iloc[0].to_dict()
    )
    orders.item_history(key)
    for table in (orders, log):
        table.profile_columns()
        table.profile_files()
        table.profile_partitions()
    orders.freshness()
    days = wb.query('SELECT "date", count(*) AS n FROM transactions GROUP BY 1 ORDER BY 2 DESC').df
    wb.query(wb.data_path("sql", "hourly_pattern.sql").read_text(), {"day": days["date"].iloc[0]})
    wb.query(wb.data_path("sql", "risk_by_region.sql").read_text(), {"since": days["date"].min()})
    for sql in notebook_statements():
        wb.query(sql)
    use_unmapped(wb)


def use_unmapped(wb: dynaberg.Workbench) -> None:
    """What looks for attributes without a column, in items of two kinds; and what looks for lost changes."""
    orders, put = wb.table(), boto3.client("dynamodb").put_item
    for number in range(8):
        key = {"transaction_id": {"S": f"TXN_9{number}"}, "timestamp": {"N": str(1_760_000_000_000 + number)}}
        # A row that is too large for Firehose is packed.
        text = "\x01" * 180_000 if number == 0 else "plain"
        kind = "Refund" if number % 2 else "Order"
        item = key | {"entityType": {"S": kind}, "note's text": {"S": text}}
        put(TableName=orders.contract.source_table, Item=item)
    orders.wait_for_delivery()
    orders.refresh()
    found = orders.drift_report().set_index("attribute")
    assert found.loc["entityType", "kinds"] == "Order 4, Refund 4"
    orders.replay_stream()
    orders.backfill(method="scan")


def notebook_statements() -> list[str]:
    """The SQL without parameters in the notebooks on this table; the ninth one has tables of its own."""
    import re

    import nbformat

    found: list[str] = []
    for path in sorted((ROOT / "notebooks").glob("0[1-8]*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
        written = re.findall(
            r'"""(.*?)"""|"((?:SELECT|WITH)[^"\n]*(?:"\w+"[^"\n]*)*)"' + r"|'(SELECT[^'\n]*)'",
            text,
            re.DOTALL,
        )
        found += [
            sql
            for parts in written
            for sql in parts
            if sql.strip().startswith(("SELECT", "WITH")) and ":" not in sql
        ]
    return found


def asks_what_is_gone(sql: str) -> bool:
    """Whether a statement needs a staging table; only a MERGE can be asked of the table itself."""
    return bool(STAGING.search(sql)) and not sql.startswith("MERGE")


def statements(workgroup: str = NAME) -> list[Statement]:
    """All statements of a workgroup, the first one first."""
    athena = boto3.client("athena")
    ids: list[str] = []
    for page in athena.get_paginator("list_query_executions").paginate(WorkGroup=workgroup):
        ids += page["QueryExecutionIds"]
    found: list[Any] = []
    for start in range(0, len(ids), 50):
        found += athena.batch_get_query_execution(QueryExecutionIds=ids[start : start + 50])[
            "QueryExecutions"
        ]
    return [
        Statement(
            STAGING.sub("", one["Query"]),
            tuple(one.get("ExecutionParameters", ())),
            one["SubstatementType"],
            one["Status"]["State"],
            one["Status"].get("StateChangeReason", ""),
        )
        for one in reversed(found)
        if not asks_what_is_gone(one["Query"])
    ]
