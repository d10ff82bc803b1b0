"""The table contracts of a project: one for each YAML file of `data/tables`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dynaberg.contracts.contract import Contract, load_contract
from dynaberg.errors import ContractError
from dynaberg.settings import Settings, of_name

SAMPLE_TABLE = "financial-transactions"


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


def project_contracts(settings: Settings, given: Contract | None = None) -> list[Contract]:
    """All table contracts of a project, by the names of their tables.

    Args:
        settings: The name and the folder.
        given: A contract that counts in place of those in the folder with its table or its source. If it is
            itself one of the folder, the others of its source stay.

    Raises:
        ContractError: One of them cannot be used, or two of them describe the same table.
    """
    found = [_named(settings, load_contract(path)) for path in sorted(folder_of(settings).glob("*.yaml"))]
    _check_tables(found)
    if given is not None:
        belongs = any(each.table == given.table and each.source_table == given.source_table for each in found)
        found = [
            each
            for each in found
            if each.table != given.table and (belongs or each.source_table != given.source_table)
        ]
        found.append(given)
    return sorted(found, key=lambda each: each.table)


def folder_of(settings: Settings) -> Path:
    """The folder of a project's table contracts."""
    return settings.root / "data" / "tables"


def _named(settings: Settings, contract: Contract) -> Contract:
    if contract.source_table != SAMPLE_TABLE:
        return contract
    return replace(contract, source_table=of_name(settings.name, SAMPLE_TABLE))


def _check_tables(contracts: Sequence[Contract]) -> None:
    """Refuse two tables of one name, or one with the name of another's change log."""
    names: dict[str, str] = {}
    for contract in contracts:
        for name in (contract.table, contract.log_name):
            if name in names:
                both = f"those of {names[name]!r} and {contract.table!r}"
                msg = f"Two contracts need the Iceberg table {name!r}: {both}."
                raise ContractError(msg, hint="Give one of them another `table`.")
            names[name] = contract.table
