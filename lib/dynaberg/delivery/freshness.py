"""Freshness: how long a change takes, hop by hop, from the change log itself and from CloudWatch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dynaberg import aws, catalog, deploy
from dynaberg.errors import require_moments
from dynaberg.sql import query

if TYPE_CHECKING:
    import boto3
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

HOPS = ("item → stream", "stream → Lambda", "Lambda → Firehose → snapshot", "total")
COLUMNS = [
    "hop",
    "changes",
    "p50_seconds",
    "p95_seconds",
    "max_seconds",
    "metric",
    "metric_max_seconds",
    "note",
]
_DEFAULT_SPAN = timedelta(hours=24)
# One response of GetMetricData: for longer times the minutes are combined.
_POINTS = 1_440
# "GetMetricData": the seconds of which a period is a multiple, by how many days ago the time begins.
_PERIODS = {63: 3_600, 15: 300, 0: 60}
_SAME_MOMENT = "DynamoDB dates a change once, when it enters the stream; only its own metric shows more"
_TWO_STEPS = "Firehose records no time of arrival; its metric shows how much of this was its own"
_WHOLE_SECONDS = "DynamoDB Streams rounds times down to the second: up to one second too much"
# The lags of one Lambda invocation are many and similar: counted by the millisecond, they are few rows.
_STATEMENT = """\
SELECT "$path" AS path, received_at, date_diff('millisecond', changed_at, received_at) AS lag_ms,
  count(*) AS changes, count_if(changed_at <> date_trunc('second', changed_at)) AS exact
FROM "{log}" WHERE received_at >= :since AND operation <> 'SNAPSHOT'
GROUP BY 1, 2, 3"""


@dataclass(frozen=True)
class _Metric:
    """A CloudWatch metric of a hop.

    Attributes:
        namespace: Such as `AWS/Lambda`.
        name: Such as `IteratorAge`.
        dimensions: What it measures.
        per_second: How many of its units make a second.
    """

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    per_second: float


def freshness(
    session: boto3.Session, settings: Settings, contract: Contract, *, since: datetime | None = None
) -> pd.DataFrame:
    """Measure the lag of each hop: item → stream → Lambda → Firehose → snapshot of the change log.

    Each row of the change log shows when it was changed and received, and the table's metadata shows when the
    snapshot that added its data file was committed. Next to these percentiles are the worst values of
    CloudWatch.
    Sources: "Lambda event source mapping metrics", AWS Lambda Developer Guide; "Monitor Amazon Data Firehose
    with CloudWatch metrics", Amazon Data Firehose Developer Guide.

    Args:
        session: Open boto3 session.
        settings: Names of the stacks, the workgroup, the table bucket and the namespace.
        contract: The table contract.
        since: Timezone-aware moment; what was received earlier is left out. By default 24 hours before the
            change log's latest snapshot.

    Returns:
        One row per hop: hop, changes (that could be measured), p50_seconds, p95_seconds, max_seconds, metric,
        metric_max_seconds, note. What is unknown is NaN. For rows that a compaction has rewritten, the time
        of the commit is no longer known.

    Raises:
        SettingsError: `since` has no time zone.
        NotFoundError: The log or the pipeline does not exist.
        QueryError: Athena refused the statement.

    Example:
        >>> freshness(session, settings, contract).set_index("hop")["p95_seconds"]
    """
    require_moments(since)
    log = catalog.load_table(catalog.open_catalog(session, settings), settings, contract.log_name)
    begin = _begin(log, since)
    rows = query(session, settings, _STATEMENT.format(log=contract.log_name), {"since": begin}).df
    lags, whole_seconds = _lags(rows, committed_at(log, begin))
    worst = _worst(session, _metrics(session, settings, contract), begin)
    notes = {HOPS[0]: _SAME_MOMENT, HOPS[1]: _WHOLE_SECONDS if whole_seconds else "", HOPS[2]: _TWO_STEPS}
    return pd.DataFrame(
        [_row(hop, lags.get(hop), worst.get(hop), notes.get(hop, "")) for hop in HOPS], columns=COLUMNS
    )


def committed_at(log: Table, since: datetime) -> dict[str, pd.Timestamp]:
    """When the change log's data files were committed, by path: those that appends after a moment added."""
    appended = {
        snapshot.snapshot_id: pd.Timestamp(snapshot.timestamp_ms, unit="ms", tz="UTC")
        for snapshot in log.snapshots()
        if catalog.only_adds(snapshot)
    }
    recent = {number for number, moment in appended.items() if moment >= since}
    return {file.file_path: appended[number] for number, file in _files(log) if number in recent}


def percentiles(seconds: Any, weights: Any, shares: tuple[float, ...]) -> list[float]:
    """The smallest values that the given shares of the weight do not exceed."""
    order = np.argsort(seconds, kind="stable")
    running = np.cumsum(np.asarray(weights, dtype=float)[order])
    places = [int(np.searchsorted(running, share * running[-1] * (1 - 1e-12))) for share in shares]
    return [float(np.asarray(seconds, dtype=float)[order][place]) for place in places]


def _begin(log: Table, since: datetime | None) -> datetime:
    if since is not None:
        return since
    snapshot = log.current_snapshot()
    latest = datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC) if snapshot else datetime.now(UTC)
    return latest - _DEFAULT_SPAN


def _files(log: Table) -> Iterator[tuple[int | None, DataFile]]:
    """Live data files, each with the snapshot that added it."""
    snapshot = log.current_snapshot()
    for manifest in snapshot.manifests(log.io) if snapshot else ():
        for entry in manifest.fetch_manifest_entry(log.io, discard_deleted=True):
            yield entry.snapshot_id, entry.data_file


def _lags(rows: pd.DataFrame, committed: Mapping[str, pd.Timestamp]) -> tuple[dict[str, Any], bool]:
    """Seconds and weights of each hop, and whether all times of changes are whole seconds."""
    if rows.empty:
        return {}, False
    weights = rows["changes"].astype("int64")
    forwarded = rows["lag_ms"].astype("float64") / 1000
    moments = pd.to_datetime(rows["path"].map(committed), utc=True)
    known = moments.notna()
    delivered = (moments - pd.to_datetime(rows["received_at"], utc=True)).dt.total_seconds()
    lags = {HOPS[1]: (forwarded, weights)}
    if known.any():
        lags[HOPS[2]] = (delivered[known], weights[known])
        lags[HOPS[3]] = ((forwarded + delivered)[known], weights[known])
    return lags, not rows["exact"].any()


def _row(hop: str, lags: Any, worst: tuple[str, float] | None, note: str) -> tuple[Any, ...]:
    changes, measured = 0, [np.nan] * 3
    if lags is not None:
        seconds, weights = lags
        changes = int(weights.sum())
        measured = [round(value, 3) for value in percentiles(seconds, weights, (0.5, 0.95, 1.0))]
    metric, value = worst or (None, np.nan)
    return (hop, changes, *measured, metric, round(value, 3), note)


def _metrics(session: boto3.Session, settings: Settings, contract: Contract) -> dict[str, _Metric]:
    """The CloudWatch metric of each hop."""
    outputs = deploy.outputs(session, settings, "delivery")
    from_kinesis = deploy.stream_name(outputs, contract.log_name, "KinesisDeliveryStreamName")
    stream = {"DeliveryStreamName": from_kinesis or deploy.stream_name(outputs, contract.log_name)}
    metrics = {HOPS[2]: _Metric("AWS/Firehose", "DeliveryToIceberg.DataFreshness", stream, 1)}
    if not from_kinesis:
        forwarder = {"FunctionName": outputs["ForwarderName"]}
        return metrics | {HOPS[1]: _Metric("AWS/Lambda", "IteratorAge", forwarder, 1000)}
    table = {"TableName": contract.source_table}
    return metrics | {
        HOPS[0]: _Metric("AWS/DynamoDB", "AgeOfOldestUnreplicatedRecord", table, 1000),
        HOPS[1]: _Metric("AWS/Firehose", "KinesisMillisBehindLatest", stream, 1000),
    }


def _worst(
    session: boto3.Session, metrics: Mapping[str, _Metric], since: datetime
) -> dict[str, tuple[str, float]]:
    """The largest value of each metric since a moment, in seconds, by hop; absent if there is none."""
    cloudwatch = aws.client(session, "cloudwatch")
    end = datetime.now(UTC) + timedelta(minutes=1)
    found = {hop: _listed(cloudwatch, metric) for hop, metric in metrics.items()}
    hops = [hop for hop, metric in found.items() if metric]
    if not hops:
        return {}
    queries = [
        {
            "Id": f"m{number}",
            "MetricStat": {"Metric": found[hop], "Period": period(end - since), "Stat": "Maximum"},
        }
        for number, hop in enumerate(hops)
    ]
    answer = cloudwatch.get_metric_data(StartTime=since, EndTime=end, MetricDataQueries=queries)
    values = {hops[int(found["Id"][1:])]: found["Values"] for found in answer["MetricDataResults"]}
    return {
        hop: (f"{metrics[hop].namespace} {metrics[hop].name}", max(seen) / metrics[hop].per_second)
        for hop, seen in values.items()
        if seen
    }


def period(span: timedelta) -> int:
    """The period in seconds with which CloudWatch answers for a time up to now, in one response.

    Args:
        span: How long ago the time begins.
    """
    step = next((seconds for days, seconds in _PERIODS.items() if span >= timedelta(days=days)), 60)
    return step * max(1, math.ceil(span.total_seconds() / _POINTS / step))


def _listed(cloudwatch: Any, metric: _Metric) -> dict[str, Any] | None:
    """A metric with all its dimensions in CloudWatch; None if there is no value yet."""
    dimensions = [{"Name": name, "Value": value} for name, value in metric.dimensions.items()]
    answer = cloudwatch.list_metrics(
        Namespace=metric.namespace, MetricName=metric.name, Dimensions=dimensions
    )
    return min(answer["Metrics"], key=lambda found: len(found["Dimensions"]), default=None)
