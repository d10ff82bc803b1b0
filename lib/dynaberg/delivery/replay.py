"""Replay: failed changes are sent again, by the contract as it is now, and then archived."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from dynaberg import aws
from dynaberg.delivery.envelopes import Envelope
from dynaberg.delivery.failures import (
    ERROR_RECORDS,
    THREADS,
    error_bucket,
    error_key,
    error_lines,
    id_of,
    is_change_row,
    read_all,
    to_frame,
)
from dynaberg.delivery.queues import held_messages, remove
from dynaberg.delivery.reentry import Route, deployed_route, held_back, ids_of_source, open_reentry
from dynaberg.functions.attributes import ConversionError
from dynaberg.functions.change_row import MAX_ROW_BYTES, TOO_LARGE, changed_at_us
from dynaberg.functions.routing import Row
from dynaberg.functions.tombstones import HeldBack

if TYPE_CHECKING:
    import boto3

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

ARCHIVE = "archive/replayed"
REPLAYED, DELIVERED, FAILED, NEVER = "replayed", "in the log already", "failed again", "never fits"
FORGOTTEN = "forgotten"
_CHANGES_AT_ONCE = 2_000
Known = dict[str, set[str | None]]
# How far the clocks of DynamoDB and of the Lambda may differ.
CLOCK_MARGIN = timedelta(hours=1)


@dataclass(frozen=True)
class Plan:
    """The outcome of replaying an envelope.

    Attributes:
        envelope: The object or the message.
        outcomes: For each of its changes `replayed`, `in the log already`, `failed again`,
            `never fits` or `forgotten`.
        rows: The change rows that are sent.
        errors: Why a change fails again, by its position in the envelope.
    """

    envelope: Envelope
    outcomes: tuple[str, ...]
    rows: tuple[Row, ...]
    errors: Mapping[int, ConversionError]


def preview_replay(session: boto3.Session, settings: Settings, contract: Contract) -> pd.DataFrame:
    """Show what `replay_errors` would do, without doing it; the contract need not be deployed for it.

    Args:
        session: Open boto3 session.
        settings: Names of the stacks, the table bucket and the namespace.
        contract: The table contract as it is now.

    Returns:
        As `failures`, with outcome (`replayed`, `in the log already`, `failed again`, `never fits`: too
        large for Firehose, `forgotten`: not sent) and reason.

    Raises:
        NotFoundError: The pipeline is not deployed.
    """
    with held_messages(session, settings) as messages:
        envelopes = read_all(session, settings, contract, messages)
    known = _delivered(session, settings, contract, envelopes)
    route = deployed_route(session, settings, contract)
    is_held = held_back(session, settings, contract)
    return _report(list(_plan_all(envelopes, route, known, contract, is_held)), contract)


def replay_errors(
    session: boto3.Session, settings: Settings, contract: Contract, *, progress: bool = True
) -> pd.DataFrame:
    """Send every failed change again, by the contract as it is now.

    A change record is converted again, a change row is sent as it is, and what is already in the change log
    is not sent. What was acknowledged moves to `archive/replayed/` in the error bucket; what fails again
    stays in the error bucket, with the new reason. If it is interrupted, run it again: nothing is archived
    before it was acknowledged, and a change that the change log then holds twice is one change of the current
    table.

    Args:
        session: Open boto3 session.
        settings: Names of the stacks, the table bucket and the namespace.
        contract: The table contract as it is now.
        progress: Whether a progress bar is shown.

    Returns:
        As `preview_replay`.

    Raises:
        NotFoundError: The pipeline is not deployed.
        ContractError: The change log does not match the contract: deploy the contract first.
        NotReadyError: Firehose did not accept everything in time; what it accepted before is archived.

    Example:
        >>> replay_errors(session, settings, contract)["outcome"].value_counts()
    """
    from tqdm.auto import tqdm

    send, bucket = open_reentry(session, settings, contract), error_bucket(session, settings)
    route = deployed_route(session, settings, contract)
    done: list[Plan] = []
    with held_messages(session, settings) as messages:
        envelopes = read_all(session, settings, contract, messages)
        known = _delivered(session, settings, contract, envelopes)
        plans = _plan_all(envelopes, route, known, contract, held_back(session, settings, contract))
        total = sum(len(envelope.changes) for envelope in envelopes)
        bar = tqdm(total=total, desc="Replayed", unit="change", disable=not progress)
        with bar, ThreadPoolExecutor(THREADS) as pool:
            for group in _groups(plans):
                send([row for plan in group for row in plan.rows])
                list(pool.map(lambda plan: _archive(session, bucket, plan), group))
                bar.update(sum(len(plan.outcomes) for plan in group))
                done += group
    return _report(done, contract)


def _delivered(
    session: boto3.Session, settings: Settings, contract: Contract, envelopes: Iterable[Envelope]
) -> Known:
    """Ids in the change logs, from the first attempt at the earliest failed change on."""
    changes = [change for envelope in envelopes for change in envelope.changes]
    if not changes:
        return {each.log_name: set() for each in contract.of_source}
    moments = [changed_at(change.document) for change in changes]
    known = [moment for moment in moments if moment is not None]
    return ids_of_source(session, settings, contract, min(known) - CLOCK_MARGIN if known else None)


def _plan_all(
    envelopes: Iterable[Envelope], route: Route, known: Known, contract: Contract, is_held: HeldBack
) -> Iterator[Plan]:
    """Plan one envelope after the other; a change that is in two of them is sent once.

    Args:
        envelopes: What failed.
        route: The current routing and conversion.
        known: Ids that need not be sent, by change log; grows by those that are.
        contract: The table contract; rows that name no change log are of the first one of its source.
        is_held: Whether a row's item was forgotten.
    """
    for envelope in envelopes:
        outcomes: list[str] = []
        rows: list[Row] = []
        errors: dict[int, ConversionError] = {}
        own_log = envelope.log or contract.of_source[0].log_name
        for place, change in enumerate(envelope.changes):
            document = change.document
            change_id = id_of(document)
            if is_change_row(document):
                found, failed = _fitting(Row(own_log, change.raw))
            elif change_id is not None and all(change_id in ids for ids in known.values()):
                outcomes.append(DELIVERED)
                continue
            else:
                found, failed = route(document)
            if any(is_held(row.log, row.data) for row in found):
                errors[place] = ConversionError(
                    "Forgotten", "Its item was forgotten; forget() removes it, too"
                )
                outcomes.append(FORGOTTEN)
                continue
            new = [row for row in found if change_id not in known.setdefault(row.log, set())]
            rows += new
            for row in new:
                known[row.log].add(change_id)
            if failed and not _is_known(change_id, known, found):
                errors[place] = failed[0]
                outcomes.append(NEVER if failed[0].kind == TOO_LARGE else FAILED)
            else:
                outcomes.append(REPLAYED if new else DELIVERED)
        yield Plan(envelope, tuple(outcomes), tuple(rows), errors)


def _is_known(change_id: str | None, known: Known, rows: Sequence[Row]) -> bool:
    """Whether a change that does not fit now was delivered before, by another contract than today's."""
    others = [ids for log, ids in known.items() if log not in {row.log for row in rows}]
    return change_id is not None and any(change_id in ids for ids in others)


def _fitting(row: Row) -> tuple[list[Row], list[ConversionError]]:
    """A change row as it is, if Firehose accepts it; a call that holds a larger one is refused as a whole."""
    if len(row.data) > MAX_ROW_BYTES:
        message = f"Its row has {len(row.data):,} bytes, but Firehose accepts only {MAX_ROW_BYTES:,}"
        return [], [ConversionError(TOO_LARGE, message)]
    return [row], []


def changed_at(document: Any) -> datetime | None:
    """When a change was made, by its record or its row; None if that cannot be read."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    try:
        if is_change_row(document):
            return epoch + timedelta(microseconds=document["changed_at"])
        return epoch + timedelta(microseconds=changed_at_us(document))
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        return None


def _groups(plans: Iterable[Plan]) -> Iterator[list[Plan]]:
    """Groups of plans that are sent together."""
    group: list[Plan] = []
    for plan in plans:
        group.append(plan)
        if sum(len(other.outcomes) for other in group) >= _CHANGES_AT_ONCE:
            yield group
            group = []
    if group:
        yield group


def _archive(session: boto3.Session, bucket: str, plan: Plan) -> None:
    """Move what was replayed to the archive, and leave what failed again in the error bucket."""
    s3, envelope = aws.client(session, "s3"), plan.envelope
    if len(plan.errors) == len(envelope.changes) and envelope.name.startswith(ERROR_RECORDS):
        # An object that contains no error records is not ours to rewrite.
        if any(change.error_record for change in envelope.changes):
            s3.put_object(Bucket=bucket, Key=envelope.name, Body=_rest(plan))
        return
    archived = _archived_body(plan)
    digest = hashlib.sha256(archived).hexdigest()[:16]
    folder = envelope.where.replace(" ", "-") + "/" if envelope.message else ""
    s3.put_object(Bucket=bucket, Key=f"{ARCHIVE}/{folder}{envelope.name}-{digest}", Body=archived)
    if plan.errors:
        s3.put_object(Bucket=bucket, Key=_key_of_rest(envelope), Body=_rest(plan))
    if envelope.message:
        remove(session, envelope.message)
    elif not plan.errors or _key_of_rest(envelope) != envelope.name:
        s3.delete_object(Bucket=bucket, Key=envelope.name)


def _archived_body(plan: Plan) -> bytes:
    """The lines that were replayed; a batch or a message as a whole, unchanged."""
    if not plan.errors or not plan.envelope.name.startswith(ERROR_RECORDS):
        return plan.envelope.body
    lines = [line for line in plan.envelope.body.splitlines(keepends=True) if line.strip()]
    return b"".join(line for place, line in enumerate(lines) if place not in plan.errors)


def _key_of_rest(envelope: Envelope) -> str:
    """Where to keep the changes that failed again: in the same object, if it holds error records."""
    return envelope.name if envelope.name.startswith(ERROR_RECORDS) else error_key(envelope.body)


def _rest(plan: Plan) -> bytes:
    """The changes that failed again, as error records with the new reason."""
    return error_lines((plan.envelope.changes[place], error) for place, error in plan.errors.items())


def _report(plans: Sequence[Plan], contract: Contract) -> pd.DataFrame:
    frame = to_frame([plan.envelope for plan in plans], contract)
    frame["outcome"] = [outcome for plan in plans for outcome in plan.outcomes]
    frame["reason"] = [
        f"{plan.errors[place].code}: {plan.errors[place].message}" if place in plan.errors else None
        for plan in plans
        for place in range(len(plan.outcomes))
    ]
    return frame
