"""Nested columns of a plain SELECT, read exactly in the same scan.

What a plain SELECT (`plain`) names is a column of its table, whose type the schema gives, so the
statement can select it as JSON too (`nested`). In every other statement a nested column stays Athena's text,
and the result says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from dynaberg import catalog
from dynaberg.errors import DynabergError, QueryError
from dynaberg.sql.nested import exact, quote, reviver
from dynaberg.sql.plain import Plain, plain_select
from dynaberg.sql.types import AS_TEXT, ResultColumn

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    from pyiceberg.catalog import Catalog
    from pyiceberg.types import IcebergType, NestedField

    from dynaberg.settings import Settings

_ANSWERS = {"array": "list", "map": "map", "row": "struct"}


@dataclass(frozen=True)
class Exactly:
    """A statement that selects nested columns as JSON too, behind its own columns.

    Attributes:
        statement: The statement.
        items: What the original selects (`Plain.items`).
        added: The nested columns whose JSON is added, by name, in order.
    """

    statement: str
    items: tuple[str, ...]
    added: dict[str, IcebergType]

    def revived(self, frame: pd.DataFrame, columns: Sequence[ResultColumn]) -> pd.DataFrame:
        """The result of the original statement, with the values of its nested columns.

        Args:
            frame: The result.
            columns: Athena's description of its columns.
        """
        import pandas as pd

        width = len(columns) - len(self.added)
        texts = dict(zip(self.added, range(width, len(columns)), strict=True))
        series, revived = [frame.iloc[:, place] for place in range(width)], set()
        for place, name in _places(self.items, [column.name for column in columns[:width]]):
            kind = self.added.get(name)
            if kind is None or not str(kind).startswith(_ANSWERS.get(columns[place].type, "?")):
                continue
            try:
                values = [*map(reviver(kind), frame.iloc[:, texts[name]])]
            except QueryError:
                continue
            series[place] = pd.Series(values, index=frame.index, dtype=object)
            revived.add(place)
        found: pd.DataFrame = pd.concat(series, axis=1)
        found.columns = frame.columns[:width]
        left = {columns[place].name for place in range(width) if place not in revived}
        kept = {name: why for name, why in frame.attrs.get(AS_TEXT, {}).items() if name in left}
        found.attrs = {AS_TEXT: kept} if kept else {}
        return found


def _places(items: Sequence[str], names: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Where in a result each column of the table is: place and name."""
    stars = items.count("*")
    if not stars and len(items) != len(names):
        return
    before = items.index("*") if stars else len(items)
    after = len(items) - before - stars
    yield from enumerate(items[:before])
    yield from ((place, names[place].lower()) for place in range(before, len(names) - after))
    yield from enumerate(items[len(items) - after :], start=len(names) - after)


def exactly(session: boto3.Session, settings: Settings, statement: str) -> Exactly | None:
    """The statement that reads the nested columns of a plain SELECT exactly; None if it names none.

    A table is loaded once to learn which of its columns are nested, and again for every statement that names
    one of them: their types may have gained members.

    Args:
        session: Open boto3 session.
        settings: Names of the table bucket and the namespace.
        statement: One statement.
    """
    plain = plain_select(statement, settings.namespace)
    if plain is None:
        return None
    known = _nested_columns(session, settings)
    if plain.table in known and not _named(plain, known[plain.table]):
        return None
    fields = _fields(session, settings, plain)
    if fields is None:
        return None
    nested = {field.name.lower(): field.field_type for field in fields if not field.field_type.is_primitive}
    if plain.version is None:
        known[plain.table] = frozenset(nested)
    # In a table that is called place, `place.city` is the column city.
    own = {plain.table, plain.alias}
    added = {name: nested[name] for name in nested if name in _named(plain, nested) and name not in own}
    if not added:
        return None
    behind = ", ".join(
        f"{exact(quote(name), kind)} AS {quote(f'{name} as JSON')}" for name, kind in added.items()
    )
    rewritten = f"{statement[: plain.end]}, {behind} {statement[plain.end :]}"
    return Exactly(rewritten, plain.items, added)


def _named(plain: Plain, columns: Collection[str]) -> set[str]:
    """Those columns that a statement selects."""
    return {name for name in columns if name in plain.items or "*" in plain.items}


def _fields(session: boto3.Session, settings: Settings, plain: Plain) -> Sequence[NestedField] | None:
    """The columns of a table; None if the catalog has none, so that Athena alone answers."""
    from botocore.exceptions import BotoCoreError, ClientError
    from pyiceberg.exceptions import NoSuchTableError, RESTError

    try:
        table = catalog.load_table(_open_catalog(session, settings), settings, plain.table)
    except (DynabergError, BotoCoreError, ClientError, NoSuchTableError, RESTError, OSError):
        # Perhaps its credentials have expired.
        _open_catalog.cache_clear()
        return None
    if plain.version is None:
        return table.schema().fields
    snapshot = table.snapshot_by_id(plain.version)
    schema_id = snapshot.schema_id if snapshot else None
    return table.schemas()[schema_id].fields if schema_id is not None else None


@lru_cache(maxsize=8)
def _open_catalog(session: boto3.Session, settings: Settings) -> Catalog:
    """The catalog, cached: opening it takes longer than loading a table."""
    return catalog.open_catalog(session, settings)


@lru_cache(maxsize=8)
def _nested_columns(session: boto3.Session, settings: Settings) -> dict[str, frozenset[str]]:
    """The nested columns of the tables that were loaded so far."""
    return {}


def forget_tables(session: boto3.Session, settings: Settings) -> None:
    """Load the tables again, after one turned out to have a nested column.

    Args:
        session: Open boto3 session.
        settings: Names of the table bucket and the namespace.
    """
    _nested_columns(session, settings).clear()
