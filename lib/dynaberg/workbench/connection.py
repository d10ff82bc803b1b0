"""What a workbench and its tables share: names, a session, and the native objects."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
import pandas as pd
from tqdm.auto import tqdm

from dynaberg import aws, catalog, deploy, local
from dynaberg.contracts import Contract, ProjectContracts, project_contracts, read_project
from dynaberg.settings import Settings
from dynaberg.source import TrafficReport

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

Place = tuple[boto3.Session, Settings, Contract]


class Connection:
    """One project on one account and Region.

    Args:
        settings: Names, target and folders.
        session: An open boto3 session, for native access to everything.
        contract: The contract of the settings' table.
    """

    def __init__(self, settings: Settings, session: boto3.Session, contract: Contract) -> None:
        self.settings = settings
        self.session = session
        self.contract = contract
        self.written: list[TrafficReport] = []
        """Traffic whose delivery nobody has waited for yet."""

    @cached_property
    def catalog(self) -> Catalog:
        """The Iceberg REST catalog of the table bucket, a native pyiceberg `Catalog`."""
        return catalog.open_catalog(self.session, self.settings)

    def contracts(self) -> list[Contract]:
        """The contracts of the project as they are in its folder now."""
        return project_contracts(self.settings, self.contract)

    def project(self) -> ProjectContracts:
        """The same, with those that cannot be used beside the others."""
        return read_project(self.settings, self.contract)

    @property
    def place(self) -> Place:
        """What a room needs for the table of the settings."""
        return self.place_of(self.contract)

    def place_of(self, contract: Contract) -> Place:
        """What works on one table needs: the session, the settings for its source, and its contract."""
        contract = self._as_it_is_now(contract)
        return self.session, deploy.of_source(self.session, self.settings, contract), contract

    def reading_place_of(self, contract: Contract) -> Place:
        """What only reads one table needs: no stack is looked at, because analysts may not."""
        contract = self._as_it_is_now(contract)
        return self.session, replace(self.settings, table_name=contract.table), contract

    def _as_it_is_now(self, contract: Contract) -> Contract:
        if contract.when or contract.is_rest:
            # Its siblings: any of their contracts may have been changed since.
            project = self.project()
            if stopped := project.why_stopped(contract):
                raise stopped
            return next(each for each in project.contracts if each.table == contract.table)
        return contract

    def places(self, contract: Contract | None = None) -> list[Place]:
        """The same for a table, or for one table of each source whose change stream is deployed.

        If none is, it is the settings' table. A source with a contract that cannot be used is left out.

        Raises:
            ContractError: It is the only one, or the table's.
        """
        project = self.project()
        stopped = project.why_stopped(contract or self.contract)
        if contract is not None:
            if stopped:
                raise stopped
            return [self.place_of(contract)]
        found: dict[str, Place] = {}
        for each in (self.contract, *project.contracts):
            if each.source_table not in found and not project.why_stopped(each):
                place = self.place_of(each)
                if deploy.exists(*place[:2], "foundation"):
                    found[each.source_table] = place
        if stopped and not found:
            raise stopped
        return list(found.values()) or [self.place_of(self.contract)]

    def left_out(self, contract: Contract | None) -> list[pd.DataFrame]:
        """What `places` leaves out, as a deployment shows it: a row for each contract that cannot be used."""
        broken = [] if contract else self.project().broken
        rows = [
            (b.name, "table contract", b.source_table, f"cannot be used: {b.error.message}") for b in broken
        ]
        return [pd.DataFrame(rows, columns=["resource", "type", "name", "status"])] if rows else []

    def client(self, service: str) -> Any:
        """A native boto3 client."""
        return aws.client(self.session, service)

    def load_table(self, name: str) -> Table:
        """A native pyiceberg table of the namespace.

        Raises:
            NotFoundError: No such table; the message names those that exist.
        """
        return catalog.load_table(self.catalog, self.settings, name)

    def table_names(self) -> list[str]:
        """The names of the Iceberg tables of the namespace."""
        return catalog.table_names(self.catalog, self.settings)

    def forget_catalog(self) -> None:
        """Open the catalog again at its next use, because its table bucket is being removed."""
        self.__dict__.pop("catalog", None)

    def stop(self, *, force: bool) -> None:
        """Stop the local AWS, unless other people are connected."""
        others = [] if force or self.settings.target == "aws" else local.in_use_by(self.settings)
        if others:
            tqdm.write(f"The local AWS runs on for {', '.join(others)}; wb.stop(force=True) stops it.")
        else:
            aws.stop_local(self.settings, force=force)
