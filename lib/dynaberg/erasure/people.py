"""A person in several tables: found in each by the same value, and forgotten in all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dynaberg.erasure.forget import alive_items, check_confirmation, forget, preview_forget, still_there
from dynaberg.erasure.report import ForgetReport, joined
from dynaberg.erasure.search import Search
from dynaberg.erasure.wanted import wanted_where
from dynaberg.errors import NotFoundError, SettingsError

if TYPE_CHECKING:
    import boto3

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

Place = tuple["boto3.Session", "Settings", "Contract"]


def preview_person(
    places: Sequence[Place], where: Mapping[str, Any] | None, key: Mapping[str, Any] | None = None
) -> ForgetReport:
    """Find a person in every table that has a column.

    Args:
        places: The tables of the project.
        where: The column and the value, `{"customer_id": "C-17"}`.
        key: Refused: a key is of one table.

    Returns:
        One report of all tables.

    Raises:
        NotFoundError: No table has the column.
        SettingsError: Nobody can be found by it, or a key was given.
    """
    where = _checked(where, key)
    return joined([preview_forget(*place, where=where) for place in _with_column(places, where)])


def forget_person(
    places: Sequence[Place],
    where: Mapping[str, Any] | None,
    key: Mapping[str, Any] | None = None,
    *,
    confirm: str,
    even_if_alive: bool = False,
) -> ForgetReport:
    """Forget a person in every table that has a column, or, if an item is still there, in none.

    Args:
        places: The tables of the project.
        where: The column and the value, `{"customer_id": "C-17"}`.
        key: Refused: a key is of one table.
        confirm: The value, as a confirmation.
        even_if_alive: Forget what the tables hold of items, although DynamoDB still has them.

    Returns:
        One report of all tables in which the person was.

    Raises:
        NotFoundError: No table has the column, or none holds the value.
        SettingsError: The confirmation does not match, or an item is still in DynamoDB; nothing was removed.
    """
    where = _checked(where, key)
    chosen = _with_column(places, where)
    for session, settings, contract in chosen:
        wanted = wanted_where(contract, where)
        check_confirmation(wanted, confirm)
        search = Search(session, settings, wanted, None)
        search.look()
        alive = alive_items(session, search.wanted)
        if alive and not even_if_alive:
            raise still_there(wanted, alive)
    reports: list[ForgetReport] = []
    nowhere: list[NotFoundError] = []
    for place in chosen:
        try:
            reports.append(forget(*place, where=where, confirm=confirm, even_if_alive=even_if_alive))
        except NotFoundError as error:
            nowhere.append(error)
    if not reports:
        raise nowhere[0]
    return joined(reports)


def _checked(where: Mapping[str, Any] | None, key: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if where is None or key is not None:
        msg = "`everywhere` finds a person by a column that tables share, and a key is of one table."
        raise SettingsError(msg, hint='Give where={"customer_id": …} alone, or leave `everywhere` out.')
    return where


def _with_column(places: Sequence[Place], where: Mapping[str, Any]) -> list[Place]:
    found = [place for place in places if any(c.name in where for c in place[2].columns)]
    if not found:
        named = sorted({column.name for place in places for column in place[2].columns})
        raise NotFoundError.among("column", ", ".join(where), named)
    return found
