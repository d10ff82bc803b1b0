"""The Iceberg tables in which items may be: those of their source, and what is built from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dynaberg import catalog
from dynaberg.contracts import project_contracts
from dynaberg.curated import built_from, read_files
from dynaberg.functions.statements.builds import STAGING

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

LOG, CURRENT, CURATED, STAGED, OTHER = "change log", "current table", "curated", "staging", "other table"


@dataclass(frozen=True)
class Place:
    """One Iceberg table.

    Attributes:
        name: The table.
        kind: `change log`, `current table`, `curated` (built again), `staging` (dropped) or `other table` (of
            somebody else: looked at, and left as it is).
        contract: Has the names and types of its key columns; None if no row of it belongs to one item.
    """

    name: str
    kind: str
    contract: Contract | None = None


def places(iceberg: Catalog, settings: Settings, contract: Contract) -> list[Place]:
    """The tables in which items of a source may be, those of the source first.

    Args:
        iceberg: The catalog.
        settings: The namespace, and the project's folder with the SQL files.
        contract: A table contract of the source.

    Raises:
        BuildError: An SQL file cannot be read, so it is not known what is built from the tables.
    """
    existing = catalog.table_names(iceberg, settings)
    own = [place for each in contract.of_source for place in _own(each) if place.name in existing]
    files = read_files(settings)
    built = built_from(files, [place.name for place in own])
    found = [*own, *(Place(name, CURATED) for name in built if name in existing)]
    # A refresh has staging tables, too.
    begins = {*built, *(place.name for place in own)}
    found += [
        Place(name, STAGED) for name in existing if STAGING in name and name.partition(STAGING)[0] in begins
    ]
    others = {n for each in project_contracts(settings, contract) for n in (each.table, each.log_name)}
    left = {*existing} - {place.name for place in found} - others - files.keys()
    for name in sorted(name for name in left if STAGING not in name):
        columns = {field.name for field in catalog.load_table(iceberg, settings, name).schema().fields}
        if columns.issuperset(contract.key):
            found.append(Place(name, OTHER, contract))
    return found


def _own(contract: Contract) -> Iterator[Place]:
    yield Place(contract.log_name, LOG, contract)
    if not contract.is_rest:
        yield Place(contract.table, CURRENT, contract)
