"""Traffic: seeded, realistic changes of the source table, written through the DynamoDB API."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import floor
from threading import Event, Lock
from typing import Any

import boto3
import pandas as pd
from botocore.exceptions import BotoCoreError, ClientError

from dynaberg import aws
from dynaberg.errors import NotFoundError, TrafficError, require_moment, require_whole
from dynaberg.source.transactions_model import PREFIX, Change, plan_changes

OPERATIONS = {"INSERT": "inserts", "MODIFY": "updates", "REMOVE": "deletes"}
# "BatchWriteItem": up to 25 writes in a call, no two with the same key.
_BATCH_WRITES = 25
_MOST_CHANGES = 10_000_000
_MAX_ATTEMPTS = 10
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 5.0
# How often a wait for the threads looks up.
_WAIT_SECONDS = 0.2


@dataclass(frozen=True)
class TrafficReport:
    """What was written.

    Attributes:
        inserts: New items.
        updates: Changes of items.
        deletes: Deleted items.
        started_at: Before the first write; timezone-aware.
        finished_at: After the last write; timezone-aware.
        retried_items: Writes that DynamoDB left unprocessed and that were sent again.
        seed: Seed of the traffic.
        plan: The changes themselves.
    """

    inserts: int
    updates: int
    deletes: int
    started_at: datetime
    finished_at: datetime
    retried_items: int
    seed: int
    plan: tuple[Change, ...] = field(repr=False)

    @property
    def changes(self) -> int:
        """How many change records it produced."""
        return self.inserts + self.updates + self.deletes

    @property
    def live_items(self) -> int:
        """How many of the new items remain."""
        return self.inserts - self.deletes

    @property
    def seconds(self) -> float:
        """How long the writing took."""
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def changes_per_second(self) -> float:
        """How fast the writing was."""
        return self.changes / self.seconds

    @property
    def df(self) -> pd.DataFrame:
        """How many inserts, updates and deletes there were in each merchant category."""
        return self._count("merchant_category", [c.transaction.merchant_category for c in self.plan])

    def by_hour(self) -> pd.DataFrame:
        """How many inserts, updates and deletes there were for transactions of each hour, in UTC."""
        hours = [_hour(change.transaction.timestamp) for change in self.plan]
        return self._count("hour", hours).sort_index()

    def _count(self, name: str, groups: Sequence[Any]) -> pd.DataFrame:
        counts = Counter((group, change.operation) for group, change in zip(groups, self.plan, strict=True))
        index = pd.Index(sorted(set(groups)), name=name)
        columns = {
            word: [counts[group, operation] for group in index] for operation, word in OPERATIONS.items()
        }
        table = pd.DataFrame(columns, index=index)
        return table.assign(changes=table.sum(axis=1)).sort_values("changes", ascending=False)

    def __repr__(self) -> str:
        return (
            f"TrafficReport: {self.changes:,} changes in {self.seconds:.1f} s "
            f"({self.inserts:,} inserts, {self.updates:,} updates, {self.deletes:,} deletes, "
            f"{self.retried_items:,} retried), seed {self.seed}"
        )


def generate_traffic(
    session: boto3.Session,
    source_table: str,
    *,
    changes: int = 10_000,
    seed: int = 7,
    workers: int = 8,
    mix: tuple[float, float, float] = (0.60, 0.25, 0.15),
    now: datetime | None = None,
    progress: bool = True,
) -> TrafficReport:
    """Write inserts, updates and deletes of transactions, batched and concurrent.

    Each change produces exactly one change record: an insert has a new key, an update changes something, and
    a delete finds an item. The changes of one item are made in order.

    Args:
        session: An open session.
        source_table: Name of the DynamoDB table.
        changes: How many changes.
        seed: The same seed and the same `now` make the same changes.
        workers: How many threads write.
        mix: Shares of inserts, updates and deletes; they add up to 1.
        now: When the latest transaction took place; timezone-aware; by default now. A run with the
            seed and the moment of an earlier one would overwrite its items.
        progress: Whether to show a progress bar.

    Returns:
        What was written.

    Raises:
        NotFoundError: There is no such table.
        SettingsError: `now` has no time zone, or `changes` is no whole number of 1 or more.
        TrafficError: A mix that is impossible, or writes that DynamoDB did not accept.

    Example:
        >>> generate_traffic(boto3.Session(), "financial-transactions", changes=1_000).df
    """
    counts = split(changes, mix)
    moment = datetime.now(UTC) if now is None else require_moment(now)
    # Without checking each member's type the client is half as busy: tests show that the items are correct.
    client = aws.new_client(session, "dynamodb", parameter_validation=False, max_pool_connections=workers)
    _check_table(client, source_table)
    plan = tuple(plan_changes(counts, seed=seed, now=moment))
    started_at = aws.now(session)
    retried = _write_all(client, source_table, plan, workers=workers, progress=progress)
    return TrafficReport(*counts, started_at, datetime.now(UTC), retried, seed, plan)


def split(changes: int, mix: tuple[float, float, float]) -> tuple[int, int, int]:
    """How many inserts, updates and deletes make a number of changes, as close to the mix as possible.

    Raises:
        SettingsError: `changes` is no whole number of 1 or more.
        TrafficError: Shares that do not add up to 1, or more deletes than inserts.
    """
    changes = require_whole("changes", changes, least=1, most=_MOST_CHANGES, hint="Use for example 10_000.")
    if min(mix) < 0 or abs(sum(mix) - 1) > 1e-9:
        msg = f"{changes} changes in the mix {mix} are impossible."
        raise TrafficError(msg, hint="Ask for shares that add up to 1.")
    exact = [changes * share for share in mix]
    counts = [floor(count + 1e-9) for count in exact]
    by_remainder = sorted(range(3), key=lambda place: counts[place] - exact[place])
    for place in by_remainder[: changes - sum(counts)]:
        counts[place] += 1
    inserts, updates, deletes = counts
    if inserts == 0 or deletes > inserts:
        msg = f"The mix {mix} has {inserts} inserts and {deletes} deletes: there would be nothing to change."
        raise TrafficError(msg, hint="Only items of this run are changed: ask for more inserts.")
    return inserts, updates, deletes


def _check_table(client: Any, source_table: str) -> None:
    try:
        client.describe_table(TableName=source_table)
    except client.exceptions.ResourceNotFoundException as error:
        existing = client.list_tables()["TableNames"]
        hint = "Run notebooks/01_enable_cdc.ipynb, or `wb.enable_cdc()`: it creates the table."
        raise NotFoundError.among("DynamoDB table", source_table, existing, hint=hint) from error


def _write_all(
    client: Any, source_table: str, plan: Sequence[Change], *, workers: int, progress: bool
) -> int:
    """Write a plan with several threads; returns the number of writes that had to be sent again."""
    from tqdm.auto import tqdm

    # Each item has only one worker, which makes its changes one after the other.
    shares: list[list[Change]] = [[] for _ in range(workers)]
    for change in plan:
        shares[int(change.transaction.transaction_id[-4:], 16) % workers].append(change)
    with (
        tqdm(total=len(plan), desc=f"Writing to {source_table}", unit=" change", disable=not progress) as bar,
        ThreadPoolExecutor(workers) as pool,
    ):
        writing = _Writing(client, source_table, bar.update)
        try:
            pending = {pool.submit(writing.write, share) for share in shares}
            while pending:
                # An endless wait can miss an interrupt that comes just before it begins.
                done, pending = wait(pending, timeout=_WAIT_SECONDS, return_when=FIRST_EXCEPTION)
                for each in done:
                    each.result()
        except (BotoCoreError, ClientError, _RefusedError) as error:
            msg = f"DynamoDB accepted {writing.written:,} of {len(plan):,} changes, and then no more: {error}"
            hint = "What was written is delivered as usual. Wait a little and generate traffic again."
            raise TrafficError(msg, hint=hint) from error
        except KeyboardInterrupt:
            # Before the pool waits for its threads: each stops after its current batch.
            writing.stop()
            pool.shutdown(cancel_futures=True)
            msg = f"DynamoDB accepted {writing.written:,} of {len(plan):,} changes. Nothing more is written."
            raise KeyboardInterrupt(msg) from None
    return writing.retried


def holds_items_of_others(session: boto3.Session, source_table: str) -> bool:
    """Whether a DynamoDB table holds an item that traffic could not have written, among the first 1,000.

    Args:
        session: An open session.
        source_table: Name of the DynamoDB table.
    """
    try:
        answer = aws.client(session, "dynamodb").scan(
            TableName=source_table,
            Limit=1_000,
            FilterExpression="attribute_not_exists(#id) OR NOT begins_with(#id, :prefix)",
            ExpressionAttributeNames={"#id": "transaction_id"},
            ExpressionAttributeValues={":prefix": {"S": PREFIX}},
            Select="COUNT",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return False
        raise
    return bool(answer["Count"])


class _RefusedError(Exception):
    """Writes that stay unprocessed."""


class _Writing:
    """What the threads share: the client and their progress."""

    def __init__(self, client: Any, source_table: str, report: Callable[[int], object]) -> None:
        self.written = self.retried = 0
        self._client, self._source_table, self._report = client, source_table, report
        self._stopped, self._lock = Event(), Lock()

    def stop(self) -> None:
        """Let every thread stop after its current batch."""
        self._stopped.set()

    def write(self, changes: Sequence[Change]) -> None:
        """Write changes in order, until all are written or the writing is stopped."""
        try:
            for batch in _batches(changes):
                if self._stopped.is_set():
                    return
                retried = self._write_batch(batch)
                with self._lock:
                    self.written += len(batch)
                    self.retried += retried
                    self._report(len(batch))
        except BaseException:
            self._stopped.set()
            raise

    def _write_batch(self, batch: Sequence[Change]) -> int:
        """Write one batch, and retry what stays unprocessed; returns the number of retried writes."""
        requests, retried = [_request(change) for change in batch], 0
        for attempt in range(_MAX_ATTEMPTS):
            answer = self._client.batch_write_item(RequestItems={self._source_table: requests})
            requests = answer.get("UnprocessedItems", {}).get(self._source_table, [])
            if not requests:
                return retried
            retried += len(requests)
            if self._stopped.is_set():
                break
            longest = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**attempt)
            time.sleep(random.uniform(0, longest))  # noqa: S311
        msg = f"{len(requests)} writes of a batch stayed unprocessed in {_MAX_ATTEMPTS} attempts"
        raise _RefusedError(msg)


def _batches(changes: Sequence[Change]) -> Iterator[list[Change]]:
    """The changes in order, up to 25 together, no two of the same item."""
    batch: dict[str, Change] = {}
    for change in changes:
        if len(batch) == _BATCH_WRITES or change.transaction.transaction_id in batch:
            yield list(batch.values())
            batch = {}
        batch[change.transaction.transaction_id] = change
    if batch:
        yield list(batch.values())


def _request(change: Change) -> dict[str, Any]:
    # An update is a put of the whole new item: 25 go in one call, an UpdateItem goes alone, and the change
    # stream says MODIFY either way.
    if change.operation == "REMOVE":
        return {"DeleteRequest": {"Key": change.transaction.key()}}
    return {"PutRequest": {"Item": change.transaction.item()}}


def _hour(timestamp_ms: int) -> datetime:
    return datetime.fromtimestamp(timestamp_ms // 3_600_000 * 3_600, UTC)
