"""Adopting a DynamoDB table whole or not at all."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from dynaberg import deploy
from dynaberg.errors import DynabergError

if TYPE_CHECKING:
    import pandas as pd

    from dynaberg.contracts import Contract
    from dynaberg.workbench.connection import Connection


def adopt(connection: Connection, contract: Contract) -> pd.DataFrame:
    """Adopt a table; if its stream cannot be switched on, the foundation that was made for it goes again.

    An interruption is no refusal: the same call continues from there.

    Args:
        connection: The project.
        contract: The contract of the table.

    Returns:
        What `deploy.adopt` returns.

    Raises:
        DynabergError: As `deploy.adopt`; nothing is left of what it began.
    """
    session, settings, contract = connection.place_of(contract)
    was_there = deploy.exists(session, settings, "foundation")
    try:
        return deploy.adopt(session, settings, contract)
    except DynabergError:
        # What could not be created is not there, and its name may be somebody else's: that is left alone.
        if not was_there and deploy.exists(session, settings, "foundation"):
            _undo(connection, contract)
        raise


def _undo(connection: Connection, contract: Contract) -> None:
    """Remove a foundation that holds nothing yet; where that is refused, a later adoption goes on from it."""
    session, settings, contract = connection.place_of(contract)
    with suppress(DynabergError, ClientError):
        if settings.source:
            deploy.remove_source(session, settings, contract, confirm=contract.source_table)
        else:
            deploy.clean_up(session, settings, confirm=settings.name)
            connection.forget_catalog()
