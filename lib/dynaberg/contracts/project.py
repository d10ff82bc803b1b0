"""The table contracts of a project: one for each YAML file of `data/tables`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations
from pathlib import Path

from dynaberg.contracts.columns import Column
from dynaberg.contracts.conditions import overlap
from dynaberg.contracts.contract import Contract, load_contract
from dynaberg.contracts.mask_paths import PathMask
from dynaberg.contracts.names import snake_case
from dynaberg.errors import ContractError
from dynaberg.settings import Settings, of_name

SAMPLE_TABLE = "financial-transactions"
_SOURCE = re.compile(r"""^source_table:\s*["']?([\w.-]+)""", re.MULTILINE)


def project_contract(settings: Settings, path: Path | None = None) -> Contract:
    """The table contract of the settings' table.

    The walk's DynamoDB table is called by the project's name, so that several people can share an account.

    Args:
        settings: The table, the name and the folder.
        path: The contract's YAML file; by default `data/tables/<table_name>.yaml`.

    Raises:
        NotFoundError: There is no such file; the message names the contracts that exist.
        ContractError: It cannot be used.
    """
    return _named(settings, load_contract(path or folder_of(settings) / f"{settings.table_name}.yaml"))


@dataclass(frozen=True)
class Broken:
    """A table contract that cannot be used, or several of one source that contradict each other.

    Attributes:
        name: Of the file, or of the tables.
        source_table: The DynamoDB table; empty if the file does not say it.
        error: What is wrong.
    """

    name: str
    source_table: str
    error: ContractError


@dataclass(frozen=True)
class ProjectContracts:
    """The table contracts of a project, with those that cannot be used.

    Attributes:
        contracts: Those that can be read, by the names of their tables.
        broken: Those that cannot be used.
    """

    contracts: list[Contract]
    broken: list[Broken]

    def why_stopped(self, contract: Contract) -> ContractError | None:
        """What keeps a contract's source from being deployed: a contract of it cannot be used.

        One whose source is not known may be of any source that several tables share.
        """
        is_shared = bool(contract.when) or contract.is_rest
        found = (
            each.error
            for each in self.broken
            if each.source_table == contract.source_table or (not each.source_table and is_shared)
        )
        return next(found, None)

    def refuse_broken(self, name: str) -> None:
        """Refuse a name that is of something that cannot be used.

        Raises:
            ContractError: It is; the message says why.
        """
        for each in self.broken:
            if each.name == name:
                raise each.error


def project_contracts(settings: Settings, given: Contract | None = None) -> list[Contract]:
    """All table contracts of a project, by the names of their tables; those of one source know each other.

    Args:
        settings: The name and the folder.
        given: A contract that counts in place of those in the folder with its table or its source. If it is
            itself one of the folder, the others of its source stay.

    Raises:
        ContractError: One of them cannot be used, or two of them describe the same table or claim the same
            items.
    """
    found = read_project(settings, given)
    if found.broken:
        raise found.broken[0].error
    return found.contracts


def read_project(settings: Settings, given: Contract | None = None) -> ProjectContracts:
    """The same, with those that cannot be used beside the others.

    Args:
        settings: The name and the folder.
        given: As for `project_contracts`.
    """
    found, broken = _read_files(settings)
    if given is not None:
        belongs = any(each.table == given.table and each.source_table == given.source_table for each in found)
        # Its own file may have become unreadable since it was read.
        belongs = belongs or any(
            each.name == given.table and each.source_table in ("", given.source_table) for each in broken
        )
        found = [
            each
            for each in found
            if each.table != given.table and (belongs or each.source_table != given.source_table)
        ]
        broken = [each for each in broken if belongs or each.source_table != given.source_table]
        found.append(replace(given, siblings=()))
    by_source: dict[str, list[Contract]] = {}
    for contract in sorted(found, key=lambda each: each.table):
        by_source.setdefault(contract.source_table, []).append(contract)
    complete: list[Contract] = []
    for source, contracts in by_source.items():
        try:
            complete += of_one_source(contracts)
        except ContractError as error:
            complete += contracts
            broken.append(Broken(" and ".join(each.table for each in contracts), source, error))
    broken += _clashes(complete)
    return ProjectContracts(sorted(complete, key=lambda each: each.table), broken)


def _read_files(settings: Settings) -> tuple[list[Contract], list[Broken]]:
    found: list[Contract] = []
    broken: list[Broken] = []
    for path in _files(settings):
        try:
            found.append(_named(settings, _load(path, path.stat().st_mtime_ns)))
        except ContractError as error:
            broken.append(Broken(path.stem, _source_in(settings, path), error))
    return found, broken


def _source_in(settings: Settings, path: Path) -> str:
    """The source that a file names, although it cannot be used; empty if it names none."""
    try:
        named = _SOURCE.search(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ""
    source = named[1] if named else ""
    return of_name(settings.name, SAMPLE_TABLE) if source == SAMPLE_TABLE else source


def of_one_source(contracts: Sequence[Contract]) -> list[Contract]:
    """The contracts of one source, each with its siblings, and that of the rest if it needs one.

    Raises:
        ContractError: Two of them claim the same items, have other keys, or mask what a `when` looks at.
    """
    _check_claims(contracts)
    whole = [*contracts, *([rest_of(contracts)] if any(contract.when for contract in contracts) else [])]
    _check_masked_conditions(whole)
    return [replace(each, siblings=tuple(other for other in whole if other is not each)) for each in whole]


def rest_of(contracts: Sequence[Contract]) -> Contract:
    """The contract of what no table of a source claims: its keys, and everything else as JSON.

    What any of the tables masks is masked in it, too.
    """
    source = contracts[0].source_table
    types = {"S": "string", "N": "decimal(38,10)", "B": "binary"}
    columns = [
        Column(snake_case(attribute), types[letter], attribute=attribute)
        for attribute, letter in contracts[0].key_attribute_types().items()
    ]
    sort = columns[1].name if columns[1:] else None
    table = f"{snake_case(source, otherwise='table_1')}_other"
    masks = tuple(_masks_of_all(contracts))
    return Contract(table, source, columns[0].name, sort, tuple(columns), masks, is_rest=True)


def _masks_of_all(contracts: Sequence[Contract]) -> Iterator[PathMask]:
    """The masks of all contracts; where they differ, or one lies inside another, the strictest."""
    found: dict[tuple[str, ...], str] = {}
    for contract in contracts:
        own = [PathMask((c.attribute,), c.mask) for c in contract.columns if c.mask]
        for mask in (*own, *contract.masks):
            found[mask.path] = mask.mask if found.get(mask.path, mask.mask) == mask.mask else "drop"
    for path, how in found.items():
        inside = any(path != other and path[: len(other)] == other for other in found)
        around = any(path != other and other[: len(path)] == path for other in found)
        if not inside:
            yield PathMask(path, "drop" if around else how)


def folder_of(settings: Settings) -> Path:
    """The folder of a project's table contracts."""
    return settings.root / "data" / "tables"


def _named(settings: Settings, contract: Contract) -> Contract:
    if contract.source_table != SAMPLE_TABLE:
        return contract
    return replace(contract, source_table=of_name(settings.name, SAMPLE_TABLE))


def _files(settings: Settings) -> list[Path]:
    return sorted(folder_of(settings).glob("*.yaml"))


@lru_cache(maxsize=256)
def _load(path: Path, changed_ns: int) -> Contract:
    """A contract as it is in a file since a moment."""
    return load_contract(path)


def _check_claims(contracts: Sequence[Contract]) -> None:
    """Refuse contracts of one source that have other keys, or claim the same items as far as can be seen."""
    for first, second in combinations(contracts, 2):
        if first.key_attribute_types() != second.key_attribute_types():
            keys = [", ".join(each.key_attribute_types()) for each in (first, second)]
            msg = (
                f"The tables {first.table!r} and {second.table!r} have one source, {first.source_table!r}, "
                f"but other keys: {keys[0]}; and {keys[1]}."
            )
            raise ContractError(msg, hint="Correct `key` in one of the contracts.")
        if overlap(first.when, second.when):
            both = f"{first.table!r} and {second.table!r}"
            msg = f"The tables {both} claim the same items of {first.source_table!r}."
            hint = (
                "Give each contract a `when` that the other one excludes, such as "
                '`{attribute: SK, begins_with: "ORDER#"}`, or remove one of them.'
            )
            raise ContractError(msg, hint=hint)


def _check_masked_conditions(contracts: Sequence[Contract]) -> None:
    """Refuse masks that would send a change to another table once it has failed and was kept masked."""
    for contract in contracts:
        own = [((c.attribute,), c.mask) for c in contract.columns if c.mask]
        masks = {
            path[0]: mask
            for path, mask in (*own, *((m.path, m.mask) for m in contract.masks))
            if not path[1:]
        }
        for condition in (each for other in contracts for each in other.when):
            mask = masks.get(condition.attribute)
            if mask and (condition.test != "exists" or mask == "drop"):
                name = condition.attribute
                msg = f"{contract.table!r} masks {name!r} by {mask!r}, but a `when` looks at it."
                hint = "What fails is kept masked, and must find its table again: use `exists`, or no mask."
                raise ContractError(msg, hint=hint)


def _clashes(contracts: Sequence[Contract]) -> Iterator[Broken]:
    """Two tables of one name, or one with the name of another's change log: both sources are stopped."""
    owners: dict[str, Contract] = {}
    for contract in contracts:
        for name in (contract.log_name,) if contract.is_rest else (contract.table, contract.log_name):
            owner = owners.setdefault(name, contract)
            if owner is not contract:
                both = f"those of {owner.table!r} and {contract.table!r}"
                msg = f"Two contracts need the Iceberg table {name!r}: {both}."
                error = ContractError(msg, hint="Give one of them another `table`.")
                for each in dict.fromkeys((owner.source_table, contract.source_table)):
                    yield Broken(name, each, error)
