"""What a workbench and its tables share: names, a session, and the native objects."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3

from dynaberg import aws, catalog
from dynaberg.settings import Settings
from dynaberg.source import TrafficReport

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table


class Connection:
    """One project on one account and Region.

    Args:
        settings: Names, target and folders.
        session: An open boto3 session, for native access to everything.
    """

    def __init__(self, settings: Settings, session: boto3.Session) -> None:
        self.settings = settings
        self.session = session
        self.written: list[TrafficReport] = []
        """Traffic whose delivery nobody has waited for yet."""

    @cached_property
    def catalog(self) -> Catalog:
        """The Iceberg REST catalog of the table bucket, a native pyiceberg `Catalog`."""
        return catalog.open_catalog(self.session, self.settings)

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
