"""Retention replay: a time range of the change stream, read again into the change log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pandas as pd

from dynaberg import aws, deploy
from dynaberg.delivery.envelopes import FailedChange
from dynaberg.delivery.failures import error_bucket, error_key, error_lines, id_of, read_bucket
from dynaberg.delivery.reentry import Route, deployed_route, held_back, ids_of_source, open_reentry
from dynaberg.delivery.replay import CLOCK_MARGIN, DELIVERED, FAILED, FORGOTTEN, REPLAYED, Known, changed_at
from dynaberg.errors import require_moments
from dynaberg.functions.attributes import ConversionError
from dynaberg.functions.routing import Row
from dynaberg.functions.tombstones import HeldBack
from dynaberg.source import StreamRecord, oldest_moment, read_changes

if TYPE_CHECKING:
    import boto3

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

_CHANGES_AT_ONCE = 2_000


def replay_stream(
    session: boto3.Session,
    settings: Settings,
    contract: Contract,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Read a time range of the change stream again, and send what is missing from the change log.

    DynamoDB Streams holds a change for 24 hours, Kinesis Data Streams for its retention period. What is
    already in the change log is left out by its `change_id`. What is still on its way is not in the change
    log yet, so it may come twice; it is still one change of the current table. A change that does not fit the
    contract goes to the error bucket, unless it is already there.

    Args:
        session: Open boto3 session.
        settings: Names of the stacks, the table bucket and the namespace.
        contract: The table contract as it is now.
        since: Timezone-aware start; by default the oldest change that the stream holds. Kinesis uses the time
            at which a change entered the stream, DynamoDB Streams the whole second in which it was made.
        until: Timezone-aware end; by default now.
        progress: Whether a progress bar is shown.

    Returns:
        One row per outcome (`replayed`, `in the log already`, `failed again`, and `forgotten`, not sent, if
        there are changes of forgotten items): outcome, changes, first_changed_at, last_changed_at (UTC).

    Raises:
        SettingsError: A moment without a time zone.
        NotFoundError: The pipeline is not deployed.
        ContractError: The change log does not match the contract: deploy the contract first.
        NotReadyError: Firehose did not accept everything in time.

    Example:
        >>> replay_stream(session, settings, contract, since=datetime.now(UTC) - timedelta(hours=2))
    """
    from tqdm.auto import tqdm

    require_moments(since, until)
    stream_arn = deploy.outputs(session, settings, "foundation")["ChangeStreamArn"]
    send = open_reentry(session, settings, contract)
    begin = since or oldest_moment(session, stream_arn)
    known = ids_of_source(session, settings, contract, begin - CLOCK_MARGIN)
    is_held = held_back(session, settings, contract)
    run = _Run(deployed_route(session, settings, contract), known, is_held)
    records = read_changes(session, stream_arn, since, until or datetime.now(UTC))
    for group in _groups(tqdm(records, desc="Read again", unit="change", disable=not progress)):
        send([row for record in group for row in run.take(record)])
    _keep_failures(session, error_bucket(session, settings), run.failed)
    return run.report()


class _Run:
    """One replay: what is already in the change logs, and the outcome of each change."""

    def __init__(self, route: Route, known: Known, is_held: HeldBack) -> None:
        self._route = route
        self._is_held = is_held
        self._known = known
        self._outcomes: list[tuple[str, datetime | None]] = []
        self.failed: list[tuple[FailedChange, ConversionError]] = []

    def take(self, record: StreamRecord) -> list[Row]:
        """The change rows to send for a change; none if it need not or cannot be sent."""
        change_id = id_of(record.document)
        if change_id is not None and all(change_id in ids for ids in self._known.values()):
            return self._note(DELIVERED, record, [])
        rows, errors = self._route(record.document)
        if any(self._is_held(row.log, row.data) for row in rows):
            return self._note(FORGOTTEN, record, [])
        new = [row for row in rows if change_id not in self._known[row.log]]
        for row in new:
            self._known[row.log].add(change_id)
        if errors and not any(change_id in ids for ids in self._known.values()):
            error = errors[0]
            self.failed.append((FailedChange(record.raw, error.code, error.message, None, 0), error))
            return self._note(FAILED, record, new)
        return self._note(REPLAYED if new else DELIVERED, record, new)

    def _note(self, outcome: str, record: StreamRecord, rows: list[Row]) -> list[Row]:
        self._outcomes.append((outcome, changed_at(record.document)))
        return rows

    def report(self) -> pd.DataFrame:
        """The outcomes, counted."""
        frame = pd.DataFrame(self._outcomes, columns=["outcome", "changed_at"])
        frame["changed_at"] = pd.to_datetime(frame["changed_at"], utc=True)
        groups = frame.groupby("outcome")["changed_at"]
        counted = groups.agg(changes="size", first_changed_at="min", last_changed_at="max")
        shown = [REPLAYED, DELIVERED, FAILED, *({FORGOTTEN} & {*counted.index})]
        summary = pd.DataFrame(counted).reindex(shown)
        return summary.assign(changes=summary["changes"].fillna(0).astype("int64")).reset_index()


def _groups(records: Iterable[StreamRecord]) -> Iterator[list[StreamRecord]]:
    group: list[StreamRecord] = []
    for record in records:
        group.append(record)
        if len(group) == _CHANGES_AT_ONCE:
            yield group
            group = []
    yield group


def _keep_failures(
    session: boto3.Session, bucket: str, failed: list[tuple[FailedChange, ConversionError]]
) -> None:
    """Write the failures that are not in the error bucket yet."""
    if not failed:
        return
    kept = {change.raw for envelope in read_bucket(session, bucket) for change in envelope.changes}
    ids = {id_of(FailedChange(raw, "", "", None, 0).document) for raw in kept} - {None}
    new = [pair for pair in failed if pair[0].raw not in kept and id_of(pair[0].document) not in ids]
    if new:
        lines = error_lines(new)
        raw = b"\n".join(change.raw for change, _ in new)
        aws.client(session, "s3").put_object(Bucket=bucket, Key=error_key(raw), Body=lines)
