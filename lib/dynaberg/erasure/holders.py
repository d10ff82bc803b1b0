"""Which data files hold rows, whatever delete files say of them, and which snapshots refer to these files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from dynaberg.erasure.wanted import IMAGES, Key, Wanted

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyiceberg.manifest import DataFile, ManifestFile
    from pyiceberg.table import Table

_THREADS = 8
# What S3 Tables' jobs may take on top: they run within a day.
JOB = timedelta(days=1)
COLUMNS = [
    *("table", "snapshot_id", "committed_at", "is_current", "holding_files", "rows"),
    *("expires_at", "gone_at"),
]


@dataclass(frozen=True)
class Held:
    """Rows in the files of a table.

    Attributes:
        rows: How many each file holds, by its path; files that hold none are left out.
        snapshots: The files of each snapshot that are among them.
        current: Id of the current snapshot.
        keys: The keys that were found by a value.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    snapshots: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    current: int | None = None
    keys: frozenset[Key] = frozenset()

    @property
    def in_current(self) -> tuple[str, ...]:
        """The files to which the current snapshot refers."""
        return self.snapshots.get(self.current or 0, ())

    @property
    def current_rows(self) -> int:
        """How many rows these files hold."""
        return sum(self.rows[path] for path in self.in_current)


Count = Callable[["pa.Table"], tuple[int, set[Key]]]


def find_rows(table: Table, wanted: Wanted) -> Held:
    """Find the rows of items in every file of every snapshot, by the files themselves.

    Files whose bounds rule the keys out are not read; of the others only the columns that decide.

    Args:
        table: Native pyiceberg table.
        wanted: The items, as the table has their keys.
    """
    names = [*wanted.contract.key, "changed_at", *({wanted.column.name, *IMAGES} if wanted.column else ())]

    def count(rows: pa.Table) -> tuple[int, set[Key]]:
        found = wanted.keys_in(rows)
        return len(wanted.with_keys(found).rows_of(rows)), found

    bounds = None if wanted.column else _Bounds(table, wanted)
    return _find(table, names, count, bounds)


def find_all(table: Table, before: datetime | None) -> Held:
    """Every file, as if each of its rows were of the items: for a table in which nobody can be told apart.

    Args:
        table: Native pyiceberg table.
        before: Only files of snapshots from before this moment; None for all.
    """
    files, named = _files(table)
    if before is not None:
        early = {s.snapshot_id for s in table.snapshots() if s.timestamp_ms < before.timestamp() * 1000}
        old = set().union(*(paths for number, paths in named.items() if number in early))
        files = {path: file for path, file in files.items() if path in old}
    rows = {path: file.record_count for path, file in files.items()}
    return _held(table, rows, named, frozenset())


def _find(table: Table, names: Sequence[str], count: Count, bounds: _Bounds | None) -> Held:
    files, named = _files(table)
    chosen = [file for file in files.values() if bounds is None or bounds.allow(file)]
    with ThreadPoolExecutor(_THREADS) as pool:
        counted = list(pool.map(lambda file: count(_read(table, file, names)), chosen))
    rows = {file.file_path: n for file, (n, _) in zip(chosen, counted, strict=True) if n}
    return _held(table, rows, named, frozenset().union(*(found for _, found in counted)))


def _held(table: Table, rows: Mapping[str, int], named: Mapping[int, set[str]], keys: frozenset[Key]) -> Held:
    snapshots = {
        number: tuple(sorted(paths & rows.keys())) for number, paths in named.items() if paths & rows.keys()
    }
    return Held(rows, snapshots, table.metadata.current_snapshot_id, keys)


def _files(table: Table) -> tuple[dict[str, DataFile], dict[int, set[str]]]:
    """The data files of all snapshots by their paths, and the paths of each snapshot."""
    files: dict[str, DataFile] = {}
    named: dict[int, set[str]] = {}
    manifests: dict[str, list[str]] = {}
    for snapshot in table.snapshots():
        for manifest in snapshot.manifests(table.io):
            path = manifest.manifest_path
            if path not in manifests:
                found = {file.file_path: file for file in _data_files(table, manifest)}
                files |= found
                manifests[path] = list(found)
            named.setdefault(snapshot.snapshot_id, set()).update(manifests[path])
    return files, named


def _data_files(table: Table, manifest: ManifestFile) -> Iterator[DataFile]:
    from pyiceberg.manifest import DataFileContent

    for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
        if entry.data_file.content == DataFileContent.DATA:
            yield entry.data_file


def _read(table: Table, file: DataFile, names: Sequence[str]) -> pa.Table:
    """Some columns of a data file, as they stand in it."""
    import pyarrow.parquet as pq

    with table.io.new_input(file.file_path).open() as stream:
        parquet = pq.ParquetFile(stream)
        there = parquet.schema_arrow.names
        return parquet.read(columns=[name for name in names if name in there] or there[:1])


class _Bounds:
    """What the bounds in manifests say about keys.

    Args:
        table: The table.
        wanted: Items by their keys.
    """

    def __init__(self, table: Table, wanted: Wanted) -> None:
        fields = [table.schema().find_field(name) for name in wanted.contract.key]
        self._columns: list[tuple[int, Any, Any, Any]] = []
        for place, each in enumerate(fields):
            values = [given[place] for given in wanted.keys]
            if values and not isinstance(values[0], datetime):
                self._columns.append((each.field_id, each.field_type, min(values), max(values)))

    def allow(self, file: DataFile) -> bool:
        """Whether a file may hold one of the keys."""
        from pyiceberg.conversions import from_bytes

        for number, kind, least, most in self._columns:
            lower, upper = (file.lower_bounds or {}).get(number), (file.upper_bounds or {}).get(number)
            try:
                if lower is not None and most < from_bytes(kind, lower):
                    return False
                if upper is not None and least > from_bytes(kind, upper):
                    return False
            except TypeError:
                continue
        return True


def schedule(
    table: Table, held: Held, *, min_snapshots: int, max_age_hours: int, noncurrent_days: int, now: datetime
) -> pd.DataFrame:
    """When the snapshots that hold rows expire, and when their files are deleted.

    Args:
        table: Native pyiceberg table.
        held: What its files hold.
        min_snapshots: How many snapshots stay, however old.
        max_age_hours: Younger snapshots stay.
        noncurrent_days: How long S3 Tables keeps the files of expired snapshots.
        now: Timezone-aware.

    Returns:
        One row per snapshot that holds rows: table, snapshot_id, committed_at, is_current, holding_files,
        rows, expires_at and gone_at (UTC, at the latest; NaT as long as the settings keep it).
    """
    import pandas as pd

    from dynaberg.upkeep import preview_retention

    preview = preview_retention(table, min_snapshots=min_snapshots, max_age_hours=max_age_hours, at=now)
    frame = preview[preview["snapshot_id"].isin(list(held.snapshots))][["snapshot_id", "committed_at"]].copy()
    frame["table"] = table.name()[-1]
    frame["is_current"] = [number == held.current for number in frame["snapshot_id"]]
    frame["holding_files"] = [len(held.snapshots[number]) for number in frame["snapshot_id"]]
    frame["rows"] = [sum(held.rows[p] for p in held.snapshots[number]) for number in frame["snapshot_id"]]
    due = preview["expires_at"].reindex(frame.index)
    frame["expires_at"] = due.mask(due < pd.Timestamp(now), pd.Timestamp(now)) + JOB
    frame["gone_at"] = frame["expires_at"] + timedelta(days=noncurrent_days) + JOB
    return frame[COLUMNS].reset_index(drop=True)
