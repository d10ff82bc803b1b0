"""A contract, drafted from the items of a table: its columns, their names and types, and the evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dynaberg.contracts import Column, Contract, Names, PathMask, snake_case
from dynaberg.contracts.inference.document import DescribedColumn, scalar, shown, write_contract
from dynaberg.contracts.inference.entities import EntityTypes, Kind
from dynaberg.contracts.inference.evidence import SuspectPlace, count_items, describe, find_suspicions
from dynaberg.contracts.inference.plans import Plan, name_columns, plan_attribute, plan_key
from dynaberg.contracts.inference.seen import Seen, attributes_by_name
from dynaberg.errors import ContractError

MOST_COLUMNS = 1_000
_MOST_NAMES = 20_000
_MOST_NAMED = 200
_ABOUT = (
    "Comments say what was seen: how often, and in which shapes (A and a are letters, 9 is a digit, x is a",
    "hexadecimal digit), never values. Masks are only suggested: remove the # of those that you want.",
)


@dataclass(frozen=True)
class DraftedContract:
    """A contract and its text.

    Attributes:
        contract: The contract.
        text: The same in YAML, with the evidence as comments.
    """

    contract: Contract
    text: str


class Draft:
    """Takes in the items of a table, page by page, and drafts its contract.

    Args:
        source_table: Name of the DynamoDB table.
        keys: Names of the key attributes, the partition key first.
        kind: Which kind of items it is for, if the table holds several; others must not be added.

    Example:
        >>> draft = Draft("Orders", ["PK", "SK"])
        >>> draft.add([{"PK": {"S": "USER#1"}, "SK": {"S": "PROFILE"}}])
        >>> draft.write().contract.key
        ('pk', 'sk')
    """

    def __init__(self, source_table: str, keys: Sequence[str], kind: Kind | None = None) -> None:
        self._source_table, self._keys, self._kind = source_table, tuple(keys), kind
        self._attributes: dict[str, Seen] = {}
        self._too_many = False
        self._entities = EntityTypes(self._keys)
        self.items = 0

    @property
    def table(self) -> str:
        """The name that the current table would have."""
        name = f"{self._source_table} {self._kind.name}" if self._kind else self._source_table
        return snake_case(name, otherwise="table_1")

    def claims(self, item: Mapping[str, Any]) -> bool:
        """Whether an item is of the kind that the draft is for."""
        return self._kind is None or all(condition.holds(item) for condition in self._kind.when)

    def add(self, items: Sequence[Mapping[str, Any]]) -> None:
        """Take in some items, in DynamoDB JSON with binary as base64."""
        if not items:
            return
        columns = attributes_by_name(items)
        self.items += len(items)
        for name, attributes in columns.items():
            seen = self._attributes.get(name)
            if seen is None:
                if len(self._attributes) >= _MOST_NAMES:
                    self._too_many = True
                    continue
                seen = self._attributes[name] = Seen()
            seen.add(attributes)
        self._entities.add(columns, items)

    def write(self, existing: Contract | None = None) -> DraftedContract:
        """The contract for the items so far.

        Args:
            existing: A contract of the same table: its names, masks and descriptions, its columns without a
                value among these items, and its types that hold all of them are kept.

        Raises:
            ContractError: There is no type that keeps all keys apart.
        """
        plans = self._plans(existing)
        columns = name_columns(plans)
        parts = self._parts(existing, columns)
        table = existing.table if existing else self.table
        key = existing.key if existing else self._key_of(columns)
        masks = existing.masks if existing else ()
        when = existing.when if existing else self._kind.when if self._kind else ()
        sort = key[1] if key[1:] else None
        whole = (*columns, *parts)
        contract = Contract(table, self._source_table, key[0], sort, whole, masks, when)
        sharing = Counter(column.attribute for column in columns)
        described, places = [], []
        for column, plan in zip(columns, plans, strict=True):
            found = list(find_suspicions((plan.attribute,), plan.seen))
            described.append(self._describe(column, plan, contract, found, sharing[column.attribute] == 1))
            places += [] if column.mask or plan.attribute in self._keys else found
        sharing.update(part.attribute for part in parts)
        described += [DescribedColumn(part, [f"A part of {shown(part.attribute)}."]) for part in parts]
        left_out = sorted(self._attributes.keys() - sharing.keys())
        below = _mask_lines(masks, [place for place in places if len(place.path) > 1])
        text = write_contract(contract, described, below, self._head(contract), self._tail(left_out))
        return DraftedContract(contract, text)

    def _key_of(self, columns: Sequence[Column]) -> tuple[str, ...]:
        return tuple(next(c.name for c in columns if c.attribute == attribute) for attribute in self._keys)

    def _parts(self, existing: Contract | None, columns: Sequence[Column]) -> list[Column]:
        """The columns for parts of keys: the existing contract's, or what follows the kind's prefixes."""
        if existing is not None:
            return [column for column in existing.columns if column.is_part]
        names = Names({column.name for column in columns})
        return [
            Column(names.give(snake_case(f"{prefix} id")), "string", attribute=attribute, after=prefix)
            for attribute, prefix in (self._kind.prefixes if self._kind else {}).items()
        ]

    def _plans(self, existing: Contract | None) -> list[Plan]:
        """The columns of every attribute: keys first, then those of the existing contract, then others."""
        by_attribute = existing.columns_by_attribute if existing else {}
        kept = {
            name: whole
            for name, columns in by_attribute.items()
            if (whole := tuple(column for column in columns if not column.is_part))
        }
        # Keys of which the contract takes only a part, and what would add a column of all of it.
        only_parts = by_attribute.keys() - kept.keys()
        # What is masked under `masks` as a whole has no column by decision.
        hidden = {mask.path[0] for mask in existing.masks if len(mask.path) == 1} if existing else set()
        frequent = sorted(self._attributes, key=lambda name: (-self._attributes[name].total, name))
        plans: dict[str, list[Plan]] = {}
        planned = 0
        for name in dict.fromkeys([*self._keys, *kept, *frequent]):
            if name in hidden or name in only_parts:
                continue
            found = self._plan(name, kept.get(name, ()))
            if _is_usable(name) and (name in kept or planned + len(found) <= MOST_COLUMNS):
                plans[name], planned = found, planned + len(found)
        order = dict.fromkeys([*self._keys, *kept, *sorted(plans, key=lambda n: (snake_case(n), n))])
        return [plan for name in order for plan in plans.get(name, ())]

    def _plan(self, name: str, kept: Sequence[Column]) -> list[Plan]:
        seen = self._attributes.get(name, Seen())
        if name not in self._keys:
            return plan_attribute(name, seen, kept)
        plan = plan_key(name, seen, kept)
        if plan is None:
            msg = (
                f"The key attribute {name!r} of {self._source_table!r} holds numbers that need more than 38 "
                "digits, and no type of a column keeps all of them apart."
            )
            raise ContractError(msg, hint="No contract can describe this table, unless its key is text.")
        return [plan]

    def _describe(
        self, column: Column, plan: Plan, contract: Contract, places: Sequence[SuspectPlace], alone: bool
    ) -> DescribedColumn:
        if not plan.seen.total:
            none = f"In none of the {count_items(self.items)} that were read."
            return DescribedColumn(column, [none], f"mask: {column.mask}" if column.mask else "")
        evidence = describe(plan.seen, self.items, () if alone else [plan.family])
        if column.name in contract.key:
            evidence[0] = f"{'Sort' if column.name == contract.sort_key else 'Partition'} key. {evidence[0]}"
        notes = [f"{note[0].upper()}{note[1:]}." for note in plan.choice.notes]
        if plan.kept is not None and plan.kept.type != column.type:
            notes.insert(0, f"It was {plan.kept.type}.")
        mask = _mask_line(column, places, is_key=column.name in contract.key, alone=alone)
        return DescribedColumn(column, [*evidence, *notes], mask)

    def _head(self, contract: Contract) -> Iterator[str]:
        table = self._source_table
        yield f"The contract of `{contract.table}`, inferred from {count_items(self.items)} of `{table}`."
        yield from _ABOUT
        option = " --kinds" if contract.when else ""
        command = f"dynaberg contract infer {table}{option}"
        yield f"`{command}` compares this file with the table again and shows a diff."
        entities = [] if contract.when else list(self._entities.describe())
        if entities:
            yield from ("", "Several types of items share this table:", *entities)

    def _tail(self, left_out: Sequence[str]) -> Iterator[str]:
        if left_out:
            yield f"{len(left_out):,} more attributes have no column here, and arrive in `unmapped`:"
            more = len(left_out) - _MOST_NAMED
            names = ", ".join(map(shown, left_out[:_MOST_NAMED]))
            yield f"{names} and {more:,} more" if more > 0 else names
        if self._too_many:
            yield f"The table has more than {_MOST_NAMES:,} attributes; the others were not examined."


def _is_usable(name: str) -> bool:
    """Whether an attribute can be named in a contract: not if it has no name, or half a character in it."""
    return bool(name) and not any("\ud800" <= character <= "\udfff" for character in name)


def _mask_line(column: Column, places: Sequence[SuspectPlace], *, is_key: bool, alone: bool) -> str:
    """The line that masks a column, or would, with the reason; empty if it has no mask and needs none."""
    own = [place for place in places if len(place.path) == 1]
    if not own:
        return f"mask: {column.mask}" if column.mask else ""
    reason = "; ".join(place.reason for place in own)
    if is_key:
        return f"{reason[0].upper()}{reason[1:]}; but a key cannot be masked."
    mask = column.mask or (own[0].mask if alone and column.type == "string" else "drop")
    return f"mask: {mask}  # {reason}"


def _mask_lines(masks: Sequence[PathMask], places: Iterable[SuspectPlace]) -> list[str]:
    """The lines of `masks`: those that are set, and as comments those that are suggested."""
    reasons = {place.path: place for place in places}
    lines = []
    for mask in masks:
        place = reasons.pop(mask.path, None)
        lines.append(f"  {scalar(str(mask))}: {mask.mask}{f'  # {place.reason}' if place else ''}")
    covered = [mask.path for mask in masks]
    for path, place in reasons.items():
        if not any(path[: len(other)] == other or other[: len(path)] == path for other in covered):
            name = scalar(str(PathMask(path, place.mask)))
            lines.append(f"{'  # ' if masks else '#   '}{name}: {place.mask}  # {place.reason}")
    return [f"{'' if masks else '# '}masks:", *lines] if lines else []
