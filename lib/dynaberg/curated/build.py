"""Building curated tables: each into a staging table, checked there, and then put in place by one commit."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from dynaberg import catalog
from dynaberg.curated.content import create_content, replace_content
from dynaberg.curated.files import CuratedFile, build_of, read_file
from dynaberg.curated.plan import Step, make_plan
from dynaberg.curated.state import TableState, load_states, set_built, set_failed, staging_of, state_of
from dynaberg.errors import BuildError, DynabergError, QueryError
from dynaberg.functions.statements.builds import (
    STAGING,
    Build,
    Built,
    CannotBuildError,
    bound_literal,
    bound_sql,
    bound_type,
    broken_checks,
    checks_sql,
    content_after,
    put_sql,
    region_sql,
)
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
    state = states.get(name)
    is_same = state and state.built and state.built.digest == file.digest and not state.is_outdated
    whole = full or file.incremental is None or not is_same
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
        names = [name for name in {*file.inputs, file.name} if name in existing]
        states = load_states(self._iceberg, self._settings, names)
        self._remove_old_staging(file, existing)
        try:
            action = self._put_in_place(step, exists=file.name in existing)
        except DynabergError as error:
            set_failed(self._iceberg, self._settings, file.name, error.message.splitlines()[0])
            raise
        table = catalog.load_table(self._iceberg, self._settings, file.name)
        snapshot = table.current_snapshot()
        rows = int(snapshot.summary["added-records"] or 0) if snapshot and snapshot.summary else 0
        here = states.get(file.name, TableState(file.name))
        before, after = here.built, state_of(table).built
        # If another build ended meanwhile, nobody knows whose rows are in place: they are built again.
        known = [states[name] for name in file.inputs if name in states and before == after]
        contents = {state.name: state.content for state in known if state.content is not None}
        now = datetime.now(UTC).isoformat(timespec="seconds")
        set_built(table, Built(file.digest, contents, action, now, rows, here.masked))
        snapshot_id = snapshot.snapshot_id if snapshot else None
        seconds = round(time.monotonic() - started, 3)
        return file.name, action, step.why, rows, snapshot_id, self._bytes, seconds

    def _put_in_place(self, step: Step, *, exists: bool) -> str:
        build = build_of(step.file)
        bound = None
        if exists and not step.whole and build.watermark:
            bound = _watermark_bound(self._session, self._settings, build)
        if not build.checks:
            return self._fill(build.name, build.select, exists=exists)
        staging = f"{build.name}{STAGING}{uuid4().hex[:8]}"
        self._fill(staging, region_sql(build, bound) if bound else build.select, exists=False)
        self._check(build, staging, bound)
        if bound:
            fields = catalog.load_table(self._iceberg, self._settings, build.name).schema().fields
            statement = put_sql(build, [each.name for each in fields], staging, bound)
            self._bytes += commit(self._session, self._settings, statement).bytes_scanned
            action = "merged"
        else:
            action = self._fill(build.name, f'SELECT * FROM "{staging}"', exists=exists)  # noqa: S608
        catalog.drop_table(self._session, self._settings, staging)
        return action

    def _fill(self, name: str, select: str, *, exists: bool) -> str:
        fill = replace_content if exists else create_content
        self._bytes += fill(self._session, self._settings, name, select).bytes_scanned
        return "replaced" if exists else "created"

    def _check(self, build: Build, staging: str, bound: str | None) -> None:
        """Run all checks of a table in one statement.

        Raises:
            BuildError: One of them failed.
        """
        namespace = self._settings.namespace
        source = content_after(namespace, build, staging, bound) if bound else f'"{staging}"'
        try:
            result = query(self._session, self._settings, checks_sql(build, source), progress=False)
        except QueryError as error:
            msg = f"The checks of {build.name}.sql cannot be run. {error.message}"
            raise BuildError(msg, hint=error.hint) from error
        self._bytes += result.bytes_scanned
        counts = [int(n) for n in result.df.iloc[0]]
        words = broken_checks(build, counts)
        if words:
            broken = next(sql for (_, sql), n in zip(build.checks, counts, strict=True) if n)
            example = broken.replace("{new}", source)
            msg = f"{build.name} was not built, because checks failed: {words}. The table stays as it was."
            raise BuildError(msg, hint=f"See what breaks the first one: wb.query('''{example}''').df")

    def _remove_old_staging(self, file: CuratedFile, existing: list[str]) -> None:
        """Remove what failed or abandoned builds left."""
        left = load_states(self._iceberg, self._settings, staging_of(file.name, existing))
        for name, state in left.items():
            age = datetime.now(UTC) - (state.changed_at or datetime.now(UTC))
            if state.failed or age > _ABANDONED:
                catalog.drop_table(self._session, self._settings, name)


def _watermark_bound(session: boto3.Session, settings: Settings, build: Build) -> str | None:
    """From which value on rows are computed again, as a literal of SQL; None if the table has no row."""
    table = catalog.load_table(catalog.open_catalog(session, settings), settings, build.name)
    types = {field.name: str(field.field_type) for field in table.schema().fields}
    try:
        cast = bound_type(build, types)
    except CannotBuildError as error:
        raise BuildError(str(error), hint=f"Correct `-- build:` in {build.name}.sql.") from None
    bound = query(session, settings, bound_sql(build), progress=False).df["bound"].iloc[0]
    return bound_literal(bound, cast) if isinstance(bound, str) else None
