"""What every part of the workbench stands on: names, a session, the contract, and the native objects."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

from dynaberg import aws, catalog
from dynaberg.contract import Contract
from dynaberg.errors import NotFoundError
from dynaberg.settings import Settings

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

Moment = datetime | int | str


class Ground:
    """One DynamoDB table, its pipeline, and the Iceberg tables that it fills.

    Args:
        settings: Names, target and folders.
        session: An open boto3 session; the native way to everything.
        contract: The table contract.
    """

    def __init__(self, settings: Settings, session: boto3.Session, contract: Contract) -> None:
        self.settings = settings
        self.session = session
        self.contract = contract

    @property
    def name(self) -> str:
        """Beginning of the names of the stacks; a clean-up is confirmed with it."""
        return self.settings.name

    @cached_property
    def catalog(self) -> Catalog:
        """The Iceberg REST catalog of the table bucket, a native pyiceberg `Catalog`."""
        return catalog.open_catalog(self.session, self.settings)

    def client(self, service: str) -> Any:
        """A native boto3 client, such as `wb.client("firehose")`."""
        return aws.client(self.session, service)

    def load_table(self, name: str) -> Table:
        """Load a table as a native pyiceberg `Table`.

        Args:
            name: Table of the namespace, without the namespace.

        Raises:
            NotFoundError: No such table; the message names those that exist.
        """
        return catalog.load_table(self.catalog, self.settings, name)

    def data_path(self, *parts: str) -> Path:
        """A path under the project's `data/` folder, wherever the notebook runs."""
        return self.settings.root.joinpath("data", *parts)

    def _table(self, table: str | Table) -> Table:
        return self.load_table(table) if isinstance(table, str) else table

    def _check_current(self, name: str | None) -> None:
        if name not in (None, self.settings.table_name):
            raise NotFoundError.among(
                "current table",
                str(name),
                [self.settings.table_name],
                hint="Curated tables are built with wb.build().",
            )
