"""DynamoDB against Iceberg: current table and change log, every attribute of every item, with exact types.

If digests of key ranges agree, no row is read; only keys that differ are read and compared exactly.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dynaberg.contracts import canonical_json
from dynaberg.errors import SettingsError, require_seconds, require_whole
from dynaberg.functions.masks import KEYED, mask_image, mask_rules
from dynaberg.masks import mask_key
from dynaberg.proof import digests
from dynaberg.proof.comparison import (
    EXTRA,
    MISSING,
    UNFIT,
    Key,
    compare_sides,
    key_of,
    keys_of,
    only,
)
from dynaberg.proof.digests import CURRENT, LOG
from dynaberg.proof.report import PROBLEMS, ReconcileReport
from dynaberg.proof.sides import Rows, Sides, load_sides
from dynaberg.source import Item, get_items, query_items, scan_items, scan_sample
from dynaberg.sql import query

if TYPE_CHECKING:
    import boto3
    import pandas as pd

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

_LONGEST_PAUSE_SECONDS = 5.0
Own = Callable[[list[Item]], list[Item]]


def reconcile(
    session: boto3.Session,
    settings: Settings,
    contract: Contract,
    *,
    settle_seconds: float = 0,
    sample: int | None = None,
    partition_keys: Sequence[Any] | None = None,
    before_looking_again: Callable[[], object] | None = None,
) -> ReconcileReport:
    """Compare DynamoDB with the current table and with the change log, every attribute of every item.

    DynamoDB is scanned, because there is no other way. Athena digests the current table, and its expected
    state by the change log, in key ranges; only rows that differ are read and compared with their exact
    types. A contract with doubles or nested columns, which have no text that is the same on both sides, is
    compared row by row throughout.

    Differences are checked again before they are reported: an item that has changed in the meantime is in
    flight and not lost. On a table that is being written to, allow some time to settle: differences are then
    checked again until they are gone or the time is over. Masked columns are left out and named.
    `preview_reconcile` shows in advance what is read. Source of the parallel scan: Amazon DynamoDB Developer
    Guide, "Scanning tables in DynamoDB".

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace.
        contract: The table contract.
        settle_seconds: How long to wait for differences to settle.
        sample: Compare only about this many items: all items of randomly chosen partition keys.
        partition_keys: Compare only the items of these partition keys.
        before_looking_again: Called each time before differences are checked again, such as a refresh.

    Returns:
        The report; `.matches` is true if nothing differs.

    Raises:
        SettingsError: Both a sample and partition keys were given.
        NotFoundError: The DynamoDB table, the current table or the change log does not exist.

    Example:
        >>> reconcile(session, settings, contract).matches
        True
    """
    if sample is not None and partition_keys is not None:
        msg = "Both `sample` and `partition_keys` are given, but only one can say what to compare."
        raise SettingsError(msg, hint="Pass only one of them.")
    if sample is not None:
        sample = require_whole("sample", sample, least=1, hint="Leave it out, or use for example 10_000.")
    deadline = time.monotonic() + require_seconds("settle_seconds", settle_seconds)
    sides = load_sides(session, settings, contract)
    compared_at = datetime.now(UTC)
    own = _own(session, settings, contract)
    items, chosen = _items(session, contract, sample, partition_keys)
    items = own(items)
    fitting, unfit = _by_key(items, contract)
    suspects = _find_suspects(session, settings, sides, fitting, chosen)
    first, coming = _compare(suspects.items, suspects.rows, contract)
    df, moving = first, coming
    seen = _texts(_keyed(suspects.items, contract))
    pause_seconds = 0.5
    while len(df) or moving:
        wanted = moving.union(keys_of(df, contract.key))
        if before_looking_again is not None:
            before_looking_again()
        df, moving, seen = _look_again(session, load_sides(session, settings, contract), wanted, seen, own)
        left_seconds = deadline - time.monotonic()
        if not (len(df) or moving) or left_seconds <= 0:
            break
        time.sleep(min(pause_seconds, left_seconds))
        pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)
    rows = suspects.rows_in_all + _rows_settled(first, moving.union(keys_of(df, contract.key)), contract)
    df = _with_unfit(df, unfit, contract)
    counts = df.drop_duplicates([*contract.key, "problem"])["problem"].value_counts()
    return ReconcileReport(
        df=df,
        items=len(items),
        rows=rows,
        **{problem: int(counts.get(problem, 0)) for problem in PROBLEMS},
        in_flight=len(moving),
        rows_read=len(suspects.rows.current),
        packed=suspects.rows.packed,
        columns=(*(column.name for column in contract.columns if not column.mask), "unmapped"),
        not_compared=tuple(column.name for column in contract.columns if column.mask),
        scope="" if chosen is None else f"{len(items):,} items of {len(chosen):,} partition keys",
        compared_at=compared_at,
        snapshot_id=sides.snapshots.get(CURRENT),
        log_snapshot_id=sides.snapshots.get(LOG),
    )


def _items(
    session: boto3.Session, contract: Contract, sample: int | None, partition_keys: Sequence[Any] | None
) -> tuple[list[Item], set[Any] | None]:
    """The items to compare, and their partition keys if those are not all."""
    if sample is not None:
        drawn = scan_sample(session, contract.source_table, sample)
        found = (key_of(item, contract) for item in drawn if contract.claims(item))
        partition_keys = list({key[0] for key in found if key is not None})
    if partition_keys is None:
        return scan_items(session, contract.source_table), None
    return query_items(session, contract, partition_keys), set(partition_keys)


def _own(session: boto3.Session, settings: Settings, contract: Contract) -> Own:
    """A function that makes of items what the table holds: those it claims, masked inside of attributes."""
    keyed = any(mask.mask in KEYED for mask in contract.masks)
    key = mask_key(session, settings, contract) if keyed else None
    rules = mask_rules(((mask.path, mask.mask) for mask in contract.masks), key)

    def own(items: list[Item]) -> list[Item]:
        claimed = [item for item in items if contract.claims(item)] if contract.when else items
        return [mask_image(item, rules) for item in claimed] if rules else claimed

    return own


def _by_key(items: Sequence[Item], contract: Contract) -> tuple[list[Item], list[Item]]:
    """Items whose key a row can have, and those whose key no row can have."""
    fitting: list[Item] = []
    unfit: list[Item] = []
    for item in items:
        (unfit if key_of(item, contract) is None else fitting).append(item)
    return fitting, unfit


def _with_unfit(df: pd.DataFrame, unfit: Sequence[Item], contract: Contract) -> pd.DataFrame:
    """The differences, and the items that no row can represent: their keys as DynamoDB has them."""
    import pandas as pd

    if not unfit:
        return df
    others: dict[str, str | None] = {"problem": MISSING, "column": None, "dynamodb": None, "iceberg": None}
    others["cause"] = UNFIT
    rows = [
        {**{c.name: canonical_json(item[c.attribute]) for c in contract.key_columns}, **others}
        for item in unfit
    ]
    found = pd.DataFrame(rows, columns=df.columns)
    return pd.concat([df.astype(object), found], ignore_index=True) if len(df) else found


@dataclass(frozen=True)
class _Suspects:
    """What has to be compared exactly, from all sides."""

    items: Sequence[Item]
    rows: Rows
    rows_in_all: int


def _find_suspects(
    session: boto3.Session,
    settings: Settings,
    sides: Sides,
    items: Sequence[Item],
    chosen: Collection[Any] | None,
) -> _Suspects:
    """Leave out what the digests show to be equal on all sides."""
    contract, snapshots = sides.contract, sides.snapshots
    if chosen is not None or CURRENT not in snapshots or not digests.can_digest(contract):
        rows = sides.read(chosen)
        return _Suspects(items, rows, len(rows.current))
    digits, hashed = digests.range_digits(len(items)), digests.hash_items(items, contract)

    def ask(sql: str) -> dict[str, list[tuple[Any, ...]]]:
        """The rows of a result by their side."""
        answer = list(query(session, settings, sql).df.itertuples(index=False, name=None))
        return {side: [row[1:] for row in answer if row[0] == side] for side in snapshots}

    there = {
        side: {name: (int(rows), digest) for name, rows, digest in found}
        for side, found in ask(digests.ranges_statement(contract, snapshots, digits, past=sides.past)).items()
    }
    rows_in_all = sum(rows for rows, _ in there[CURRENT].values())
    here = digests.digest_ranges(hashed, digits)
    differing = {
        name
        for side in (CURRENT, LOG)
        for name in here.keys() | there.get(side, {}).keys()
        if here.get(name) != there.get(side, {}).get(name)
    }
    keys: set[Any] = set()
    if differing:
        found = ask(digests.rows_statement(contract, snapshots, digits, differing, past=sides.past))
        for side in (CURRENT, LOG):
            keys |= digests.differing_partition_keys(hashed, found.get(side, ()), digits, differing)
    suspects = [item for item, each in zip(items, hashed, strict=True) if each.partition_key in keys]
    return _Suspects(suspects, sides.read(keys), rows_in_all)


def _keyed(items: Sequence[Item], contract: Contract) -> dict[Key, Item]:
    keyed = ((key_of(item, contract), item) for item in items)
    return {key: item for key, item in keyed if key is not None}


def _texts(items: Mapping[Key, Item]) -> dict[Key, str]:
    return {key: canonical_json({"M": item}) for key, item in items.items()}


def _look_again(
    session: boto3.Session,
    newer: Sides,
    wanted: Collection[Key],
    seen: Mapping[Key, str],
    own: Own,
) -> tuple[pd.DataFrame, set[Key], dict[Key, str]]:
    """Compare again what differs, as of now.

    An item that has changed since the last comparison has a change on its way.

    Args:
        session: Open boto3 session.
        newer: Both tables as they are now.
        wanted: The keys that differed.
        seen: The items at the last comparison, as text.
        own: Makes of items what the tables hold.

    Returns:
        The remaining differences, the keys that are in flight, and the items as they are now.
    """
    contract = newer.contract
    now = _keyed(own(get_items(session, contract, wanted)), contract)
    texts = _texts(now)
    moving = {key for key in wanted if seen.get(key) != texts.get(key)}
    steady = [item for key, item in now.items() if key not in moving]
    again, coming = _compare(steady, newer.read({key[0] for key in wanted}), contract)
    left = only(again, [key in wanted and key not in moving for key in keys_of(again, contract.key)])
    return left.reset_index(drop=True), moving | coming.intersection(wanted), texts


def _rows_settled(first: pd.DataFrame, open_keys: Collection[Key], contract: Contract) -> int:
    """How many rows the current table gained since the first comparison, among the keys that agree now."""
    counted = first.drop_duplicates([*contract.key, "problem"])
    agreed = only(counted, [key not in open_keys for key in keys_of(counted, contract.key)])["problem"]
    return int((agreed == MISSING).sum() - (agreed == EXTRA).sum())


def _compare(items: Sequence[Item], rows: Rows, contract: Contract) -> tuple[pd.DataFrame, set[Key]]:
    return compare_sides(items, rows.current, rows.logged, rows.behind, contract)
