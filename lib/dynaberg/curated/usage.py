"""Which curated SQL files read a column."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from dynaberg.curated.files import CuratedFile, curated_folder, read_file
from dynaberg.errors import BuildError
from dynaberg.settings import Settings
from dynaberg.sql import column_names


def files_naming(settings: Settings, tables: Collection[str], name: str) -> Iterator[tuple[str, bool]]:
    """The files that read one of some tables and name a column, or take all columns with `*`.

    A name that a file gives to something of its own counts, too: better a file too many than one too few.

    Args:
        settings: The project's folder and the namespace.
        tables: Names of tables.
        name: A column of theirs.

    Yields:
        The file's name, and whether it names the column.
    """
    for path in sorted(curated_folder(settings).glob("*.sql")):
        file = _read(settings, path.stem)
        if file is not None and not set(file.inputs).isdisjoint(tables):
            names = column_names(file.select)
            if name in names:
                yield path.name, True
            elif "*" in names:
                yield path.name, False


def _read(settings: Settings, name: str) -> CuratedFile | None:
    """A file; one that cannot be read breaks no more than it is broken."""
    try:
        return read_file(settings, name)
    except BuildError:
        return None
