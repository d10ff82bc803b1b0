"""Building curated tables: each into a staging table, checked there, and then put in place by one commit."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from dynaberg import aws, catalog
from dynaberg.curated.content import create_content, replace_content
from dynaberg.curated.files import STAGING, CuratedFile, implied_checks, read_file
from dynaberg.curated.merge import content_after, merge_from, region, watermark_bound
from dynaberg.curated.plan import Step, make_plan
from dynaberg.curated.state import Built, load_states, set_built, set_failed, staging_of
from dynaberg.errors import BuildError, DynabergError, QueryError
from dynaberg.sql import commit, query

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    from pyiceberg.catalog import Catalog

    from dynaberg.settings import Settings

_COLUMNS = ("table", "action", "why", "rows", "snapshot_id", "bytes_scanned", "seconds")
# Athena stops a statement after 30 minutes, so nobody is at work on an older staging table.
_ABANDONED = timedelta(hours=1)


def build(session: boto3.Session, settings: Settings, name: str, *, full: bool = False) -> pd.DataFrame:
    """Build one curated table from its SQL file, whether or not something changed.

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace, and the project's folder.
        name: Name of the table and of its file under `data/sql/curated/`.
        full: Build the whole content, even if the file is incremental.

    Returns:
        One row: table, action (`created`, `replaced` or `merged`), why, rows, snapshot_id, bytes_scanned,
        seconds. `rows` are those that were written.

    Raises:
        NotFoundError: There is no such SQL file.
        BuildError: A check failed, or the file's header cannot be read; the old content stays.
        QueryError: Athena refused the statement, or its columns no longer match those of the table.
    """
    iceberg = catalog.open_catalog(session, settings)
    file = read_file(settings, name)
    existing = catalog.table_names(iceberg, settings)
    states = load_states(iceberg, settings, [each for each in {name, *file.inputs} if each in existing])
    built = states[name].built if name in states else None
    whole = full or file.incremental is None or built is None or built.digest != file.digest
    return _frame([_Work(session, settings, iceberg).do(Step(file, 1, "asked for", whole=whole))])


def build_all(session: boto3.Session, settings: Settings, *, full: bool = False) -> pd.DataFrame:
    """Build all curated tables in the order of their inputs, but only what changed and what depends on it.

    A table that fails does not stop those that do not read it. When all is done, its error is raised.

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace, and the project's folder.
        full: Build everything, and everything whole.

    Returns:
        One row per SQL file, as `build` returns it; the action is `unchanged` if nothing was to be done.

    Raises:
        BuildError: A header cannot be read, files read each other in a circle, or a table could not be built;
            what has failed keeps its old content, and so does what reads it.
        NotFoundError: A file reads a table that does not exist; nothing was built.
    """
    iceberg = catalog.open_catalog(session, settings)
    plan = make_plan(iceberg, settings, full=full)
    work = _Work(session, settings, iceberg)
    rows: list[tuple[object, ...]] = []
    errors: dict[str, DynabergError] = {}
    for step in plan.steps:
        failed = [name for name in step.file.inputs if name in errors]
        if failed:
            errors[step.file.name] = BuildError(f"{step.file.name} reads {', '.join(failed)}, and waits.")
        elif step.why:
            try:
                rows.append(work.do(step))
            except DynabergError as error:
                errors[step.file.name] = error
        else:
            state = plan.states[step.file.name]
            rows.append((step.file.name, "unchanged", "", state.rows, state.snapshot_id, 0, 0.0))
    if errors:
        raise _summary(errors, rows)
    return _frame(rows)


def _summary(errors: dict[str, DynabergError], rows: list[tuple[object, ...]]) -> DynabergError:
    """The error of a build: the first one, and what became of the others."""
    first, *others = errors.values()
    if not others and not rows:
        return first
    done = [str(row[0]) for row in rows if row[1] != "unchanged"]
    lines = [first.message, *(other.message for other in others)]
    lines.append(f"Built: {', '.join(done) or 'nothing'}. Every other table keeps its content.")
    summary = BuildError("\n".join(lines), hint=first.hint)
    summary.__cause__ = first
    return summary


def _frame(rows: list[tuple[object, ...]]) -> pd.DataFrame:
    import pandas as pd

    types = {"rows": "int64", "bytes_scanned": "int64", "snapshot_id": "Int64", "seconds": "float64"}
    return pd.DataFrame(rows, columns=[*_COLUMNS]).astype(types)


class _Work:
    """Builds one table after another, over one connection."""

    def __init__(self, session: boto3.Session, settings: Settings, iceberg: Catalog) -> None:
        self._session, self._settings, self._iceberg = session, settings, iceberg
        self._bytes = 0

    def do(self, step: Step) -> tuple[object, ...]:
        """Build one table; returns its row of the report."""
        started, self._bytes = time.monotonic(), 0
        file = step.file
        existing = catalog.table_names(self._iceberg, self._settings)
        # Read before the statement runs: what arrives meanwhile is built next time.
        states = load_states(self._iceberg, self._settings, [n for n in file.inputs if n in existing])
        self._remove_old_staging(file, existing)
        try:
            action = self._put_in_place(step, exists=file.name in existing)
        except DynabergError as error:
            set_failed(self._iceberg, self._settings, file.name, error.message.splitlines()[0])
            raise
        table = catalog.load_table(self._iceberg, self._settings, file.name)
        snapshot = table.current_snapshot()
        rows = int(snapshot.summary["added-records"] or 0) if snapshot and snapshot.summary else 0
        contents = {name: state.content for name, state in states.items() if state.content is not None}
        now = datetime.now(UTC).isoformat(timespec="seconds")
        set_built(table, Built(file.digest, contents, action, now, rows))
        snapshot_id = snapshot.snapshot_id if snapshot else None
        seconds = round(time.monotonic() - started, 3)
        return file.name, action, step.why, rows, snapshot_id, self._bytes, seconds

    def _put_in_place(self, step: Step, *, exists: bool) -> str:
        file = step.file
        bound = None
        if exists and not step.whole and file.incremental:
            bound = watermark_bound(self._session, self._settings, file.name, file.incremental)
        if not implied_checks(file):
            return self._fill(file.name, file.select, exists=exists)
        staging = f"{file.name}{STAGING}{uuid4().hex[:8]}"
        select = region(file, bound) if bound else file.select
        self._fill(staging, select, exists=False)
        self._check(file, staging, bound)
        if bound and file.incremental:
            statement = merge_from(self._iceberg, self._settings, file, staging, bound)
            self._bytes += commit(self._session, self._settings, statement).bytes_scanned
            action = "merged"
        else:
            action = self._fill(file.name, f'SELECT * FROM "{staging}"', exists=exists)  # noqa: S608
        self._remove(staging)
        return action

    def _fill(self, name: str, select: str, *, exists: bool) -> str:
        fill = replace_content if exists else create_content
        self._bytes += fill(self._session, self._settings, name, select).bytes_scanned
        return "replaced" if exists else "created"

    def _check(self, file: CuratedFile, staging: str, bound: str | None) -> None:
        """Run all checks of a file in one statement.

        Raises:
            BuildError: One of them failed.
        """
        source = content_after(self._settings, file, staging, bound) if bound else f'"{staging}"'
        checks = implied_checks(file)
        counts = ", ".join(
            f"(SELECT count(*) FROM (\n{check.on(source)}\n)) AS c{n}"  # noqa: S608
            for n, check in enumerate(checks)
        )
        try:
            result = query(self._session, self._settings, f"SELECT {counts}", progress=False)
        except QueryError as error:
            msg = f"The checks of {file.name}.sql cannot be run. {error.message}"
            raise BuildError(msg, hint=error.hint) from error
        self._bytes += result.bytes_scanned
        broken = {check: int(n) for check, n in zip(checks, result.df.iloc[0], strict=True) if n}
        if broken:
            words = "; ".join(
                f"{check.text}: {n:,} {'row' if n == 1 else 'rows'}" for check, n in broken.items()
            )
            example = next(iter(broken)).on(source)
            msg = f"{file.name} was not built, because checks failed: {words}. The table stays as it was."
            raise BuildError(msg, hint=f"See what breaks the first one: wb.query('''{example}''').df")

    def _remove_old_staging(self, file: CuratedFile, existing: list[str]) -> None:
        """Remove what failed or abandoned builds left."""
        left = load_states(self._iceberg, self._settings, staging_of(file.name, existing))
        for name, state in left.items():
            age = datetime.now(UTC) - (state.changed_at or datetime.now(UTC))
            if state.failed or age > _ABANDONED:
                self._remove(name)

    def _remove(self, name: str) -> None:
        # pyiceberg's own call asks for `purgeRequested=True`, and S3 Tables documents `true`.
        arn = catalog.table_bucket_arn(self._session, self._settings)
        aws.client(self._session, "s3tables").delete_table(
            tableBucketARN=arn, namespace=self._settings.namespace, name=name
        )
