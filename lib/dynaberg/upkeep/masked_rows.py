"""Masks for rows that are in the tables already: after a mask was added, or the key of the masks was changed.

Data files are read, masked here, and replaced: the key never leaves this process, and Athena's history holds
no value. A snapshot replaces some files at a time, so an interruption loses nothing, and the next run goes on
with the rest. Older snapshots hold the values until they expire, and their files until S3 Tables removes
them: Amazon S3 User Guide, "Maintenance for tables" and "Maintenance for table buckets".
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from dynaberg import catalog, upkeep
from dynaberg.errors import NotReadyError, SettingsError
from dynaberg.functions.statements.merges import KEEPS_LATEST
from dynaberg.layers import MASKS_APPLIED, describe_masks, follow_parquet
from dynaberg.masks import Masking, mask_keys, needs_key, renewed_hashes
from dynaberg.source import scan_items
from dynaberg.upkeep.masked_builds import (
    BUILT_AGAIN,
    DROPPED,
    build_again,
    copies_of,
    note_outdated,
    outdated,
)

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    import pyarrow as pa
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import FileScanTask, Table
    from pyiceberg.table.snapshots import Snapshot
    from pyiceberg.typedef import Record

    from dynaberg.contracts import Contract
    from dynaberg.functions.masks import MaskKey
    from dynaberg.settings import Settings

COLUMNS = [
    *("table", "column", "values", "older_hashes", "rows_replaced", "files_replaced"),
    *("snapshots_with_values", "expired_after", "removed_after"),
]
_FILES, _ATTEMPTS, _PAUSE_SECONDS = 16, 8, 0.2


def preview_remask(session: boto3.Session, settings: Settings, contract: Contract) -> pd.DataFrame:
    """Which values of a table's rows are not masked as the contract says, with the newest key.

    Every data file is read, but only the columns that may hold such values.

    Args:
        session: Open boto3 session.
        settings: Names of the stacks, the table bucket and the namespace.
        contract: The table contract, as it is deployed.

    Returns:
        One row per table and column with something to mask: table, column, values (how many would be
        masked), older_hashes (how many hashes of an older key stay, because DynamoDB does not have their
        value any more), rows_replaced and files_replaced (all that would be, the same in each line of a
        table), snapshots_with_values (those that hold the values as they are now), expired_after (UTC, when
        the last of them expires), removed_after (UTC, when S3 Tables has removed its files). One more row per
        table with copies: its column is `(built again)` for a curated table, `(dropped)` for what a failed
        build left, and nobody counted its values. Empty if nothing is to do.

    Raises:
        NotFoundError: A table, or the key, does not exist.
        BuildError: A curated SQL file cannot be read.
        CredentialsError: The caller may not read the key.
    """
    return mask_rows(session, settings, contract.with_rest, writes=False)


def remask(session: boto3.Session, settings: Settings, contract: Contract, *, confirm: str) -> pd.DataFrame:
    """Mask the rows of a change log and of its current table as the contract says, with the newest key.

    The change log of what no table of the source claims is masked, too, and curated tables that read any of
    them are built again as a whole. It may run while changes arrive and while others query. If it is
    interrupted, run it again; what is masked stays as it is.

    Args:
        session: Open boto3 session.
        settings: Names of the stacks, the table bucket and the namespace.
        contract: The table contract, as it is deployed.
        confirm: The table's name, as a confirmation: values that are masked cannot be taken back.

    Returns:
        As `preview_remask`: what was masked.

    Raises:
        SettingsError: It is not confirmed.
        NotReadyError: Other commits came in between at every attempt.
        BuildError: A curated SQL file cannot be read, and nothing was masked; or a curated table could not be
            built again, and may still show values.

    Example:
        >>> remask(session, settings, contract, confirm="orders")
    """
    if confirm != contract.table:
        msg = f"`confirm` is {confirm!r}, but the table is {contract.table!r}. Nothing was masked."
        raise SettingsError(msg, hint=f'See .masks.preview(), then .masks.apply(confirm="{contract.table}").')
    return mask_rows(session, settings, contract.with_rest, writes=True)


def mask_rows(
    session: boto3.Session,
    settings: Settings,
    contracts: Sequence[Contract],
    *,
    writes: bool,
    coming: MaskKey | None = None,
) -> pd.DataFrame:
    """Go through the tables of contracts; `coming` is a key that a preview takes for the newest."""
    import pandas as pd

    iceberg = catalog.open_catalog(session, settings)
    copies = copies_of(iceberg, settings, [name for each in contracts for name in tables_of(each)])
    note_once = cache(partial(note_outdated, iceberg, settings, copies.built))
    lines: list[tuple[Any, ...]] = []
    for each in contracts:
        keys = mask_keys(session, settings, each) if needs_key(each) else []
        keys = [coming, *keys] if keys and coming else keys
        lines += _mask_tables(session, settings, each, keys, note_once if writes else None)
    is_masked = any(line[2] for line in lines)
    built = copies.built if is_masked else outdated(iceberg, settings, copies.built)
    staged = copies.staged if is_masked or built else ()
    for name, what in (*((n, DROPPED) for n in staged), *((n, BUILT_AGAIN) for n in built)):
        table = catalog.load_table(iceberg, settings, name)
        lines.append(_copy_line(table, what, _ages(session, settings, table)))
    if writes:
        follow_parquet(session, settings, contracts[0])
        for name in staged:
            catalog.drop_table(session, settings, name)
        build_again(session, settings, built)
    return pd.DataFrame(lines, columns=COLUMNS).astype({"values": "Int64"})


def _mask_tables(
    session: boto3.Session,
    settings: Settings,
    contract: Contract,
    keys: Sequence[MaskKey],
    replaces: Callable[[], None] | None,
) -> Iterator[tuple[Any, ...]]:
    """Mask the rows of a contract's tables, or only read them, as `_Work.replaces` says."""
    renewed = _renewed(session, contract, keys)
    for name in tables_of(contract):
        table = catalog.load_table(catalog.open_catalog(session, settings), settings, name)
        unkeyed = MASKS_APPLIED not in table.properties
        work = _Work(table, Masking(contract, keys, unkeyed=unkeyed, renewed=renewed), replaces)
        before = [snapshot.snapshot_id for snapshot in table.snapshots()]
        work.run()
        yield from _lines(work, before, _ages(session, settings, table))
        if replaces:
            describe_masks(table, contract, keys[0].version if keys else 1)


def tables_of(contract: Contract) -> tuple[str, ...]:
    """The Iceberg tables of a contract."""
    return (contract.log_name,) if contract.is_rest else (contract.log_name, contract.table)


def _renewed(session: boto3.Session, contract: Contract, keys: Sequence[MaskKey]) -> dict[str, str]:
    """The newest hash by older ones, of the values that DynamoDB has; read only if there is an older key."""
    if len(keys) < 2:
        return {}
    return renewed_hashes(contract, keys, scan_items(session, contract.source_table))


def _lines(work: _Work, before: Sequence[int], ages: Mapping[str, timedelta]) -> Iterator[tuple[Any, ...]]:
    """What was found in each column, and how long older snapshots keep it."""
    table, masking = work.table, work.masking
    kept = [s for s in table.snapshots() if s.snapshot_id in set(before)]
    expired, removed = _gone_at(kept, ages)
    for column in masking.columns:
        values, older = masking.masked[column], masking.older[column]
        if values or older:
            holding = len(kept) if values else 0
            moments = (expired, removed) if values else (None, None)
            yield (table.name()[-1], column, values, older, work.rows, work.files, holding, *moments)


def _copy_line(table: Table, what: str, ages: Mapping[str, timedelta]) -> tuple[Any, ...]:
    """A table that holds copies, and how long older snapshots keep what it holds now."""
    kept = table.snapshots()
    snapshot = table.current_snapshot()
    rows = catalog.live_records(table, [snapshot])[snapshot.snapshot_id] if snapshot else 0
    files = sum(1 for _ in table.scan().plan_files())
    if what == DROPPED:
        return table.name()[-1], what, None, 0, rows, files, 0, None, None
    return (table.name()[-1], what, None, 0, rows, files, len(kept), *_gone_at(kept, ages))


def _gone_at(kept: Sequence[Snapshot], ages: Mapping[str, timedelta]) -> tuple[Any, Any]:
    """When the last of some snapshots expires, and when its files are removed."""
    import pandas as pd

    if not kept:
        return None, None
    newest = max(snapshot.timestamp_ms for snapshot in kept)
    expired = pd.Timestamp(newest, unit="ms", tz="UTC") + ages["snapshots"]
    return expired, expired + ages["files"]


def _ages(session: boto3.Session, settings: Settings, table: Table) -> dict[str, timedelta]:
    """How long S3 Tables keeps snapshots, and then their files."""
    values = upkeep.maintenance(session, settings, table).set_index("setting")["value"].to_dict()
    files = timedelta(days=int(values["unreferenced_days"]) + int(values["noncurrent_days"]))
    return {"snapshots": timedelta(hours=int(values["max_age_hours"])), "files": files}


@dataclass
class _Work:
    """One table, file by file.

    Attributes:
        table: The table.
        masking: What is done to its rows, and counts.
        replaces: Called before files are replaced; None if they are only read.
        rows: How many rows are in files with something to mask.
        files: How many such files there are.
    """

    table: Table
    masking: Masking
    replaces: Callable[[], None] | None
    rows: int = 0
    files: int = 0

    def run(self) -> None:
        """Mask all files; those that another commit replaced in the meantime are read again."""
        done: set[str] = set()
        for _ in range(_ATTEMPTS if self.masking.columns else 0):
            waiting = iter([task for task in self._tasks() if task.file.file_path not in done])
            interrupted = False
            while group := list(islice(waiting, _FILES)):
                finished = self._mask(group)
                done |= finished
                interrupted = interrupted or not finished
            if not interrupted:
                return
        if not self.masking.columns:
            return
        msg = f"Other commits to {self.table.name()[-1]!r} came in between {_ATTEMPTS} times."
        raise NotReadyError(msg, hint="Nothing is lost: run it again when fewer changes arrive.")

    def _tasks(self) -> list[FileScanTask]:
        self.table.refresh()
        return list(self.table.scan().plan_files())

    def _mask(self, group: Sequence[FileScanTask]) -> set[str]:
        """Mask some files in one commit; returns the paths of those that need no more, old and new."""
        masked, older = self.masking.masked.copy(), self.masking.older.copy()
        replaced: list[tuple[DataFile, pa.Table]] = []
        for task in group:
            rows = self._read(task)
            new = self._masked(rows)
            if new is not None:
                replaced.append((task.file, new))
        if replaced and self.replaces:
            self.replaces()
            written = self._replace(group, replaced)
            if written is None:
                self.masking.masked, self.masking.older = masked, older
                return set()
        else:
            written = []
        self.rows += sum(rows.num_rows for _, rows in replaced)
        self.files += len(replaced)
        return {task.file.file_path for task in group} | {file.file_path for file in written}

    def _read(self, task: FileScanTask) -> pa.Table:
        from pyiceberg.expressions import AlwaysTrue
        from pyiceberg.io.pyarrow import ArrowScan

        schema = self.table.schema() if self.replaces else self.table.schema().select(*self._present())
        return ArrowScan(self.table.metadata, self.table.io, schema, AlwaysTrue()).to_table([task])

    def _present(self) -> list[str]:
        names = {field.name for field in self.table.schema().fields}
        return [name for name in self.masking.columns if name in names]

    def _masked(self, rows: pa.Table) -> pa.Table | None:
        """Rows with their values masked; None if all were."""
        import pyarrow as pa

        before = rows
        for name in self._present():
            values = rows.column(name).to_pylist()
            masked = self.masking.values(name, values)
            if masked != values:
                field = rows.schema.field(name)
                at = rows.column_names.index(name)
                rows = rows.set_column(at, field, pa.array(masked, field.type))
        return None if rows is before else rows

    def _replace(
        self, group: Sequence[FileScanTask], replaced: Sequence[tuple[DataFile, pa.Table]]
    ) -> list[DataFile] | None:
        """Commit masked files in place of others; None if another commit changed one of the group."""
        from pyiceberg.exceptions import CommitFailedException, ValidationException

        new = [write_rows(self.table, rows, old.spec_id, old.partition) for old, rows in replaced]
        for attempt in range(_ATTEMPTS):
            try:
                with (
                    self.table.transaction() as transaction,
                    transaction.update_snapshot({KEEPS_LATEST: "true"}).overwrite() as snapshot,
                ):
                    for old, _ in replaced:
                        snapshot.delete_data_file(old)
                    for file in new:
                        snapshot.append_data_file(file)
            except (CommitFailedException, ValidationException):
                time.sleep(_PAUSE_SECONDS * 2**attempt)
                now = {task.file.file_path: len(task.delete_files) for task in self._tasks()}
                if any(now.get(task.file.file_path) != len(task.delete_files) for task in group):
                    return None
            else:
                return new
        return None


def write_rows(table: Table, rows: pa.Table, spec_id: int, partition: Record) -> DataFile:
    """Write the rows of one partition as a data file.

    To write a table as a whole, pyiceberg would find out the partitions, which needs pyiceberg-core.

    Args:
        table: Native pyiceberg table.
        rows: The rows.
        spec_id: Id of the partition spec.
        partition: The values of the partition, as a data file has them.
    """
    from pyiceberg.io.pyarrow import pyarrow_to_schema, write_file
    from pyiceberg.partitioning import PartitionKey
    from pyiceberg.table import WriteTask

    spec = table.specs()[spec_id]
    place = None if spec.is_unpartitioned() else PartitionKey([], spec, table.schema())
    if place is not None:
        place.__dict__["partition"] = partition
    schema = pyarrow_to_schema(rows.schema, name_mapping=table.schema().name_mapping)
    task = WriteTask(uuid.uuid4(), 0, schema, rows.to_batches(), partition_key=place)
    metadata = table.metadata.model_copy(update={"default_spec_id": spec_id})
    [file] = write_file(table.io, metadata, iter([task]))
    return file
