"""What it costs: each pattern's bill on AWS, line by line, from dated list prices and counted quantities.

Quantities follow from the workload and from the templates (how many alarms, how long a batch waits); what AWS
decides is an assumption, listed next to the prices in `prices.yaml`. Free tiers, discounts and taxes are left
out, and so is what the source table's application pays anyway: its own writes, reads and storage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from typing import Any

import pandas as pd

from dynaberg.deploy import TEMPLATES, load_template
from dynaberg.errors import require_whole
from dynaberg.layers import CLOCKS_DIFFER
from dynaberg.prices import GB, LEAST_QUERY_BYTES, assumed, price, price_date, total_usd, usd
from dynaberg.settings import Settings

PATTERNS = ("dynamodb", "kinesis", "zero-etl")
COLUMNS = ["pattern", "service", "counted", "quantity", "unit", "unit_price_usd", "usd", "basis"]
HOURS_PER_MONTH = Decimal(730)
_HOURS_READ_AGAIN = Decimal(CLOCKS_DIFFER // timedelta(hours=1))
_ALARM = "AWS::CloudWatch::Alarm"
_GUESSED = {"glue-dpu"}
_BASIS = {"page": "list price", "memory": "unverified price"}
_CLASSES = ((Decimal(1), "next to nothing"), (Decimal(10), "low"), (Decimal(100), "moderate"))
# Beyond them, a number is a slip.
_MOST = {
    "changes_per_day": 10**12,
    "item_bytes": 409_600,
    "live_items": 10**13,
    "buffer_seconds": 900,
    "query_bytes_per_day": 10**18,
}


@dataclass(frozen=True)
class Workload:
    """The workload to pay for.

    Attributes:
        changes: Change records.
        hours: How long the pipeline exists.
        item_bytes: Size of an item, as DynamoDB counts it.
        live_items: Items in the source table.
        buffer_seconds: How long Firehose gathers rows before it commits.
        commits: Commits to the Iceberg tables; None assumes one for each interval with changes, and for each
            refresh.
        refreshes: Merges into the current table.
        runs: Runs of the schedule, whether or not there is something to merge; their MERGEs are `refreshes`.
        queries: Further Athena queries.
        query_bytes: Bytes that all of those queries scan in total.
        kms_keys: Customer managed KMS keys.
        writes: Whether the changes' own writes are counted, too.
        raw_parquet: Whether the change log is kept as plain Parquet, too.
    """

    changes: Decimal
    hours: Decimal
    item_bytes: int = 1_000
    live_items: int = 100_000
    buffer_seconds: int = 60
    commits: int | None = None
    refreshes: Decimal = Decimal(0)
    runs: Decimal = Decimal(0)
    queries: int = 0
    query_bytes: int = 0
    kms_keys: int = 0
    writes: bool = False
    raw_parquet: bool = False

    @property
    def months(self) -> Decimal:
        """The hours as a fraction of a month."""
        return self.hours / HOURS_PER_MONTH


Line = tuple[str, str, Decimal]


def estimate_cost(
    changes_per_day: int,
    item_bytes: int = 1_000,
    *,
    live_items: int = 100_000,
    buffer_seconds: int = 60,
    refreshes_per_day: int = 24,
    runs_per_day: int = 0,
    queries_per_day: int = 0,
    query_bytes_per_day: int = 0,
    kms_keys: int = 0,
    raw_parquet: bool = False,
) -> pd.DataFrame:
    """Estimate a month's bill for both patterns, and for zero-ETL in comparison.

    A refresh reads what came since the last one and the keys of the current table, so that every month costs
    the same. Only what is stored grows: the change log's storage is that at the end of the first month.

    Args:
        changes_per_day: Inserts, updates and deletes; 0 gives what the pipeline costs while idle.
        item_bytes: Average size of an item, as DynamoDB counts it.
        live_items: Items in the source table.
        buffer_seconds: How long Firehose gathers rows before it commits a snapshot.
        refreshes_per_day: Merges into the current table.
        runs_per_day: Runs of the schedule, such as 96 for one every 15 minutes; 0 if there is none.
        queries_per_day: Athena queries of the analysts.
        query_bytes_per_day: Bytes that those queries scan.
        kms_keys: Customer managed KMS keys of the deployment.
        raw_parquet: Whether the change log is kept as plain Parquet, too.

    Returns:
        One row for each line of the bill: pattern, service, counted, quantity, unit, unit_price_usd and
        usd_per_month (both Decimal), basis (`list price`, `unverified price` or `assumed quantity`).

    Raises:
        SettingsError: A number that is not whole, negative, or beyond any workload or what Firehose accepts.

    Example:
        >>> bill = estimate_cost(100_000, 800)
        >>> bill.groupby("pattern")["usd_per_month"].sum()
    """
    given = _checked(
        changes_per_day=changes_per_day,
        item_bytes=item_bytes,
        live_items=live_items,
        buffer_seconds=buffer_seconds,
        refreshes_per_day=refreshes_per_day,
        runs_per_day=runs_per_day,
        queries_per_day=queries_per_day,
        query_bytes_per_day=query_bytes_per_day,
        kms_keys=kms_keys,
    )
    days = HOURS_PER_MONTH / 24
    month = Workload(
        changes=given["changes_per_day"] * days,
        hours=HOURS_PER_MONTH,
        item_bytes=given["item_bytes"],
        live_items=given["live_items"],
        buffer_seconds=given["buffer_seconds"],
        refreshes=(given["refreshes_per_day"] if given["changes_per_day"] else 0) * days,
        runs=given["runs_per_day"] * days,
        queries=int(given["queries_per_day"] * days),
        query_bytes=int(given["query_bytes_per_day"] * days),
        kms_keys=given["kms_keys"],
        raw_parquet=bool(raw_parquet),
    )
    bills = [estimate(pattern, month) for pattern in PATTERNS]
    return pd.concat(bills, ignore_index=True).rename(columns={"usd": "usd_per_month"})


def estimate(pattern: str, workload: Workload) -> pd.DataFrame:
    """The bill of one pattern for one workload: as `estimate_cost` returns it, with `usd` for its time."""
    rows = [
        (pattern, found.service, counted, _round(quantity, 4), found.unit, found.usd, amount, basis)
        for key, counted, quantity in _lines(pattern, workload)
        for found in (price(key),)
        for amount in (_round(quantity * found.usd, 6),)
        for basis in ("assumed quantity" if key in _GUESSED else _BASIS[found.seen],)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def estimate_walk(pattern: str, *, changes: int = 10_000, hours: int | Decimal = 1) -> pd.DataFrame:
    """What the walk through the notebooks costs on AWS, including the traffic's own writes.

    Args:
        pattern: `dynamodb` or `kinesis`.
        changes: How many changes the traffic makes.
        hours: How long the pipeline exists before the clean-up.
    """
    walk = Workload(
        changes=Decimal(changes),
        hours=Decimal(hours),
        live_items=changes,
        buffer_seconds=10,
        refreshes=Decimal(10),
        queries=50,
        writes=True,
    )
    return estimate(pattern, walk)


def cost_class(settings: Settings) -> str:
    """What a deployment costs, in one line: its class while idle, and the walk."""
    idle = total_usd(
        estimate(settings.stream_type, Workload(Decimal(0), HOURS_PER_MONTH, live_items=0))["usd"]
    )
    walk = total_usd(estimate_walk(settings.stream_type)["usd"])
    words = next((word for limit, word in _CLASSES if idle < limit), "high")
    return f"{words}: about {usd(idle)} a month while idle, {usd(walk)} for the walk ({price_date()})"


def _checked(**numbers: Any) -> dict[str, int]:
    hint = "Use a number within these bounds."
    return {
        name: require_whole(name, number, least=0, most=_MOST.get(name, 1_000_000), hint=hint)
        for name, number in numbers.items()
    }


# The lines of a bill ----------------------------------------------------------------------------


def _lines(pattern: str, w: Workload) -> Iterator[Line]:
    """Price key, what is counted, quantity."""
    yield from _SOURCES[pattern](w)
    if w.writes:
        units = w.changes * _rounded_up(w.item_bytes, 1_000)
        yield "dynamodb-write", "writes of the traffic", units
    yield "dynamodb-pitr", "point-in-time recovery", w.live_items * w.item_bytes / GB * w.months
    yield from _storage(w, history=pattern != "zero-etl")
    if pattern != "zero-etl":
        yield from _delivery(w)
        yield from _watching(pattern, w)
        yield from _schedule(w) if w.runs else ()
        yield from _copies(w) if w.raw_parquet else ()
    scanned = Decimal(max(w.query_bytes, w.queries * LEAST_QUERY_BYTES))
    yield "athena-scan", "queries of the analysts", scanned / (1000 * GB)
    if w.kms_keys:
        yield "kms-key", "customer managed keys", w.kms_keys * w.months


def _from_streams(w: Workload) -> Iterator[Line]:
    invocations = _invocations(w, w.changes / 500)
    yield "streams-read", "reads of the forwarder", invocations
    yield from _function("forwarder", w, invocations)


def _from_kinesis(w: Workload) -> Iterator[Line]:
    record = _images_bytes(w) + assumed("record_overhead_bytes")
    billed = w.changes * _rounded_up(record, 1024) * 1024 / GB
    yield "dynamodb-capture", "changes captured", w.changes * _rounded_up(w.item_bytes, 1024)
    yield "kinesis-stream", "on-demand stream, idle or not", w.hours
    yield "kinesis-in", "records written", billed
    yield "kinesis-out", "records read by Firehose", w.changes * record / GB
    yield from _function("transform", w, _invocations(w, w.changes * record / 10**6))


def _from_zero_etl(w: Workload) -> Iterator[Line]:
    yield "dynamodb-export", "incremental exports", w.changes * _images_bytes(w) / GB
    refreshes = w.hours * assumed("zero_etl_refreshes_per_hour")
    yield "glue-dpu", "refreshes of the target", refreshes * assumed("zero_etl_dpu_hours_per_refresh")


_SOURCES: dict[str, Callable[[Workload], Iterator[Line]]] = {
    "dynamodb": _from_streams,
    "kinesis": _from_kinesis,
    "zero-etl": _from_zero_etl,
}


def _function(name: str, w: Workload, invocations: Decimal) -> Iterator[Line]:
    seconds = invocations * assumed("lambda_seconds_per_invocation")
    seconds += w.changes * assumed("lambda_seconds_per_change")
    yield "lambda-request", f"invocations of the {name}", invocations
    yield "lambda-duration", f"run time of the {name}", seconds * assumed("lambda_memory_gb")
    written = invocations * assumed("log_bytes_per_invocation") / GB
    yield "cloudwatch-logs", f"logs of the {name}", written


def _invocations(w: Workload, full_batches: Decimal) -> Decimal:
    """A batch waits a second for more, in each shard: with little traffic each change is its own batch."""
    return max(full_batches, min(w.changes, w.hours * 3600 * assumed("shards")))


def _delivery(w: Workload) -> Iterator[Line]:
    yield "firehose-iceberg", "change rows taken in", w.changes * _row_bytes(w) / GB
    polls = w.hours * assumed("sqs_polls_per_hour")
    yield "sqs-request", "polls of the two queues, idle or not", polls
    log_bytes = _log_bytes(w)
    # Whatever the age of the log: what came since the last refresh, and in the hour before; or all of it.
    again = _HOURS_READ_AGAIN / w.hours if w.hours else Decimal(1)
    scanned = log_bytes * min(1 / max(w.refreshes, Decimal(1)) + again, Decimal(1))
    scanned += _current_bytes(w) * assumed("refresh_share_of_current")
    least = Decimal(LEAST_QUERY_BYTES)
    yield "athena-scan", "refreshes of the current table", w.refreshes * max(scanned, least) / (1000 * GB)


def _storage(w: Workload, *, history: bool) -> Iterator[Line]:
    """Storage at the end of the period, for its change log and the current table; and their maintenance."""
    log_bytes = _log_bytes(w) if history else Decimal(0)
    seconds = max(w.buffer_seconds, 1) if history else 3600 / assumed("zero_etl_refreshes_per_hour")
    assumed_commits = min(w.changes, w.hours * 3600 / seconds) + w.refreshes
    commits = assumed_commits if w.commits is None else Decimal(w.commits)
    per_day = commits / max(w.hours / 24, Decimal(1))
    yield "s3tables-storage", "tables", (log_bytes + _current_bytes(w)) / GB * w.months
    yield "s3tables-put", "PUT requests of commits", commits * assumed("puts_per_commit")
    yield "s3tables-monitoring", "objects that a day leaves", per_day * assumed("puts_per_commit") * w.months
    yield "s3tables-compaction-objects", "files compacted", commits
    yield "s3tables-compaction-bytes", "bytes compacted", (log_bytes or _current_bytes(w)) / GB


def _watching(pattern: str, w: Workload) -> Iterator[Line]:
    yield "cloudwatch-alarm", "alarms, idle or not", len(_alarms(pattern)) * w.months
    yield "cloudwatch-dashboard", "dashboard, idle or not", w.months


def _schedule(w: Workload) -> Iterator[Line]:
    """Runs that refresh without a notebook; their statements are counted as refreshes."""
    seconds = w.runs * assumed("schedule_seconds_per_run")
    resources = load_template(TEMPLATES / "schedule.yaml")["Resources"].values()
    alarms = sum(resource["Type"] == _ALARM for resource in resources)
    yield "scheduler-request", "runs begun by the schedule", w.runs
    yield "states-transition", "steps of the schedule's runs", w.runs * assumed("schedule_steps_per_run")
    yield "lambda-request", "invocations of the schedule", w.runs
    yield "lambda-duration", "run time of the schedule", seconds * assumed("lambda_memory_gb")
    yield "cloudwatch-alarm", "alarms of the schedule", alarms * w.months


def _copies(w: Workload) -> Iterator[Line]:
    """The files of the change log once more; those that a compaction wrote are copied in place of the others.

    Nothing is scanned, and reading within a Region costs next to nothing.
    """
    commits = min(w.changes, w.hours * 3600 / max(w.buffer_seconds, 1))
    yield "s3-storage", "plain Parquet of the change log", _log_bytes(w) / GB * w.months
    yield "s3-put", "files copied as plain Parquet", commits + (w.runs or w.refreshes)


@cache
def _alarms(pattern: str) -> list[str]:
    """The alarms that the template creates in a pattern."""
    resources = load_template(TEMPLATES / "observe.yaml")["Resources"].items()
    return [
        name
        for name, resource in resources
        if resource["Type"] == _ALARM and (pattern == "kinesis" or resource.get("Condition") != "UsesKinesis")
    ]


def _images_bytes(w: Workload) -> Decimal:
    """Bytes of the images of one change record."""
    return w.item_bytes * assumed("image_bytes_per_item_byte") * assumed("images_per_change")


def _row_bytes(w: Workload) -> Decimal:
    return w.item_bytes * assumed("row_bytes_per_item_byte") + assumed("row_overhead_bytes")


def _log_bytes(w: Workload) -> Decimal:
    return w.changes * _row_bytes(w) * assumed("parquet_bytes_per_row_byte")


def _current_bytes(w: Workload) -> Decimal:
    return w.live_items * w.item_bytes * assumed("parquet_bytes_per_row_byte")


def _rounded_up(size: int | Decimal, unit: int) -> int:
    """How many whole units a size takes."""
    return -(-int(size) // unit)


def _round(amount: Decimal, places: int) -> Decimal:
    return amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)
