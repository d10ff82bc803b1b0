"""The order in which curated tables are built: inputs first, and no circles."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from dynaberg.curated.files import CuratedFile
from dynaberg.errors import BuildError, NotFoundError


def build_order(files: Mapping[str, CuratedFile], existing: Collection[str]) -> dict[str, int]:
    """Each curated table with its depth, in an order in which its inputs come first.

    Args:
        files: The SQL files by name.
        existing: Tables of the namespace that exist.

    Returns:
        By name: 1 for a table that reads no other curated table, otherwise one more than its deepest input.

    Raises:
        NotFoundError: A file reads a table that neither exists nor has a file.
        BuildError: Files read each other in a circle.

    Example:
        >>> build_order(files, ["orders", "orders_changes"])
        {'by_day': 1, 'by_month': 2}
    """
    for file in files.values():
        for name in file.inputs:
            if name not in files and name not in existing:
                hint = f"{file.name}.sql reads it. Write {name}.sql, or create the table."
                raise NotFoundError.among(f"input of {file.name}.sql,", name, {*files, *existing}, hint=hint)
    depths: dict[str, int] = {}
    for name in files:
        _visit(name, files, depths, ())
    return dict(sorted(depths.items(), key=lambda pair: (pair[1], pair[0])))


def _visit(name: str, files: Mapping[str, CuratedFile], depths: dict[str, int], path: tuple[str, ...]) -> int:
    if name in path:
        circle = " → ".join([*path[path.index(name) :], name])
        msg = f"Curated tables read each other in a circle: {circle}. Nothing was built."
        raise BuildError(msg, hint="Let one of them read the current table instead.")
    if name not in depths:
        above = [n for n in files[name].inputs if n in files]
        depths[name] = 1 + max((_visit(n, files, depths, (*path, name)) for n in above), default=0)
    return depths[name]


def built_from(files: Mapping[str, CuratedFile], tables: Collection[str]) -> list[str]:
    """The curated tables that read some tables, directly or through others, inputs first.

    Args:
        files: The SQL files by name.
        tables: Names of tables.

    Raises:
        BuildError: Files read each other in a circle.
    """
    depths: dict[str, int] = {}
    for name in files:
        _visit(name, files, depths, ())
    reached = {*tables}
    found = []
    for name in sorted(depths, key=lambda each: (depths[each], each)):
        if reached.intersection(files[name].inputs):
            reached.add(name)
            found.append(name)
    return found
