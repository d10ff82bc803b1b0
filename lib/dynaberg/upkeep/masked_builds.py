"""Curated tables over rows that are masked: they are built again as a whole, since they hold copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dynaberg import catalog, curated
from dynaberg.errors import BuildError, DynabergError
from dynaberg.functions.statements.builds import STAGING

if TYPE_CHECKING:
    import boto3
    from pyiceberg.catalog import Catalog

    from dynaberg.settings import Settings

BUILT_AGAIN, DROPPED = "(built again)", "(dropped)"
"""What stands for the columns of a curated table, and of a staging table that a failed build or run left."""


@dataclass(frozen=True)
class Copies:
    """The tables that hold copies of others.

    Attributes:
        built: Curated tables, inputs first.
        staged: Staging tables.
    """

    built: Sequence[str]
    staged: Sequence[str]


def copies_of(iceberg: Catalog, settings: Settings, names: Sequence[str]) -> Copies:
    """The tables that hold copies of some tables, directly or through others.

    Raises:
        BuildError: An SQL file cannot be read, so it is not known what is built from the tables.
    """
    existing = catalog.table_names(iceberg, settings)
    built = curated.built_from(curated.read_files(settings), names)
    begins = {*names, *built}
    staged = [each for each in existing if STAGING in each and each.partition(STAGING)[0] in begins]
    return Copies([each for each in built if each in existing], staged)


def outdated(iceberg: Catalog, settings: Settings, names: Sequence[str]) -> list[str]:
    """Those curated tables whose rows were made before values below them were masked."""
    states = curated.load_states(iceberg, settings, names)
    return [name for name in names if states[name].is_outdated]


def note_outdated(iceberg: Catalog, settings: Settings, names: Sequence[str]) -> None:
    """Note, before a value is masked, that tables hold copies: an interruption does not forget them."""
    for name in names:
        curated.set_outdated(catalog.load_table(iceberg, settings, name))


def build_again(session: boto3.Session, settings: Settings, names: Sequence[str]) -> None:
    """Build curated tables as a whole; one that cannot be built stops only those that read it.

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace, and the project's folder.
        names: The tables, inputs first.

    Raises:
        BuildError: One could not be built; its old content stays, with the values.
    """
    files, failed, first = curated.read_files(settings), list[str](), None
    for name in names:
        if name in curated.built_from(files, failed):
            failed.append(name)
            continue
        try:
            curated.build(session, settings, name, full=True)
        except DynabergError as error:
            failed.append(name)
            first = first or error
    if first:
        msg = (
            f"The rows are masked, but {', '.join(failed)} could not be built again and may still show the "
            f"values. {first.message}"
        )
        hint = f"Correct the SQL file, then wb.build(): it builds them as a whole. {first.hint or ''}"
        raise BuildError(msg, hint=hint.strip()) from first
