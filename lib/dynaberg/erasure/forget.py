"""Forgetting items: out of every table, bucket and queue, with a tombstone, and with proof."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dynaberg import aws
from dynaberg.erasure.graves import bury, is_known
from dynaberg.erasure.report import ForgetReport
from dynaberg.erasure.search import Search
from dynaberg.erasure.wanted import Key, Wanted, key_of, wanted_by_key, wanted_where
from dynaberg.errors import NotFoundError, NotReadyError, SettingsError
from dynaberg.source import get_items

if TYPE_CHECKING:
    import boto3

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

ARRIVAL_SECONDS = 60.0


def preview_forget(
    session: boto3.Session,
    settings: Settings,
    contract: Contract,
    key: Mapping[str, Any] | None = None,
    *,
    where: Mapping[str, Any] | None = None,
) -> ForgetReport:
    """Find what `forget` would remove, in every place; nothing is removed.

    The files of the tables are read themselves, those of old snapshots, too, and rows under delete files
    count. Nothing of the key is sent to Athena, which would keep it in its history.

    Args:
        session: Open boto3 session.
        settings: Names of the stacks, the table bucket and the namespace.
        contract: The table contract.
        key: The item's key.
        where: Instead of a key a column and a value, `{"customer_id": "C-17"}`: all items that have, or ever
            had, that value.

    Returns:
        The report; its `removed` is 0 throughout.

    Raises:
        SettingsError: Neither a key nor a value, or one that no item can have.
        NotFoundError: The pipeline is not deployed, or there is no such column.
        BuildError: A curated file cannot be read.

    Example:
        >>> preview_forget(session, settings, contract, {"order_id": "A-1"}).df
    """
    search = Search(session, settings, _wanted(contract, key, where), None)
    return search.report(search.look())


def forget(
    session: boto3.Session,
    settings: Settings,
    contract: Contract,
    key: Mapping[str, Any] | None = None,
    *,
    where: Mapping[str, Any] | None = None,
    confirm: str,
    even_if_alive: bool = False,
    timeout: float = ARRIVAL_SECONDS,
) -> ForgetReport:
    """Forget items: remove them from every table, bucket and queue, and let no replay bring them back.

    A tombstone is written first: changes up to now are held back by replays, redrives and backfills, later
    ones are let through. Rows are removed by writing their files again, curated tables are built again as a
    whole, query results up to now are deleted. What only time removes is named, with the moment: snapshots
    that still hold rows, and the change stream. If it is interrupted, run it again: it ends the same.

    Args:
        session: Open boto3 session.
        settings: Names of the stacks, the table bucket and the namespace.
        contract: The table contract.
        key: The item's key.
        where: Instead of a key a column and a value, `{"customer_id": "C-17"}`: all items that have, or ever
            had, that value.
        confirm: The values of the key, joined by `/`, or the value of `where`, as a confirmation.
        even_if_alive: Forget what the tables hold of an item, although DynamoDB still has it.
        timeout: How long to wait for changes that are on their way, in seconds.

    Returns:
        The report: each place, what was found, removed and left, and until when. `.check()` looks again.

    Raises:
        SettingsError: The confirmation does not match, or an item is still in DynamoDB; nothing was removed.
        NotFoundError: No place holds the items, and it was never asked to forget them; or the pipeline is not
            deployed.
        NotReadyError: Others committed to a table first, again and again: run it again.
        BuildError: A curated file cannot be read; nothing was removed.

    Example:
        >>> forget(session, settings, contract, {"order_id": "A-1"}, confirm="A-1").gone_at
    """
    wanted = _wanted(contract, key, where)
    check_confirmation(wanted, confirm)
    search = Search(session, settings, wanted, None)
    found = search.look()
    was_known = is_known(session, settings, search.wanted)
    if not found.anything and not was_known:
        raise _nothing(wanted)
    alive = alive_items(session, search.wanted)
    if alive and not even_if_alive:
        raise still_there(wanted, alive)
    moment = aws.now(session)
    bury(session, settings, search.wanted, moment, frozenset(alive))
    # What was removed by an earlier run is not on its way.
    if not was_known and _wait_for_arrivals(search, timeout):
        # What has arrived since may be of keys that nobody knew.
        found = search.look()
        bury(session, settings, search.wanted, moment, frozenset(alive))
    report = search.remove(found, moment)
    # Streams date a change to the second: what comes next is newer than the tombstone.
    while aws.now(session).replace(microsecond=0) <= moment:
        time.sleep(0.05)
    return report


def _wanted(contract: Contract, key: Mapping[str, Any] | None, where: Mapping[str, Any] | None) -> Wanted:
    if key is not None and where is None:
        return wanted_by_key(contract, key)
    if where is not None and key is None:
        return wanted_where(contract, where)
    msg = "Give either a key or `where`" + ("." if key is None else ", not both.")
    raise SettingsError(
        msg, hint='Write forget({"order_id": "A-1"}, …) or forget(where={"customer_id": …}, …).'
    )


def _typed(wanted: Wanted) -> str:
    """What has to be typed."""
    values = [wanted.value] if wanted.column is not None else next(iter(wanted.keys))
    return "/".join(map(str, values))


def check_confirmation(wanted: Wanted, confirm: str) -> None:
    """Refuse what was not confirmed.

    Raises:
        SettingsError: The confirmation does not match.
    """
    if confirm != _typed(wanted):
        what = "the key" if wanted.column is None else f"the value of {wanted.column.name!r}"
        msg = f"`confirm` is {confirm!r}, but {what} is {_typed(wanted)!r}. Nothing was removed."
        raise SettingsError(
            msg, hint=f'confirm="{_typed(wanted)}" removes it; preview_forget(…) shows from where.'
        )


def _nothing(wanted: Wanted) -> NotFoundError:
    msg = f"No table, bucket, queue or stream of {wanted.contract.table!r} holds {_typed(wanted)!r}."
    return NotFoundError(msg, hint="Check the spelling; preview_forget(…) shows every place.")


def alive_items(session: boto3.Session, wanted: Wanted) -> list[Key]:
    """The keys whose items are still in DynamoDB."""
    items = get_items(session, wanted.contract, wanted.keys)
    return [key for item in items if (key := key_of(item, wanted.contract)) in wanted.keys]


def still_there(wanted: Wanted, alive: list[Key]) -> SettingsError:
    """The error for items that are still in DynamoDB."""
    named = ", ".join("/".join(map(str, key)) for key in alive[:3])
    more = f" and {len(alive) - 3:,} more" if len(alive) > 3 else ""
    msg = f"DynamoDB's {wanted.contract.source_table!r} still has {named}{more}. Nothing was removed."
    hint = "Delete the item there first, or pass even_if_alive=True to forget what the tables hold of it."
    return SettingsError(msg, hint=hint)


def _wait_for_arrivals(search: Search, timeout: float) -> bool:
    """Wait for changes that the stream has, but neither a change log nor a place for failures.

    After the deadline the report says so: what arrives later is found by `check()`.

    Returns:
        Whether there were any.
    """
    missing = search.on_their_way()
    if not missing:
        return False
    with contextlib.suppress(NotReadyError):
        aws.wait_for(lambda: not search.on_their_way() or None, timeout=timeout, what="What is on its way")
    return True
