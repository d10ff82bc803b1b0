"""A contract, drafted from the items of a table: its columns, their names and types, and the evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dynaberg.contracts import Column, Contract
from dynaberg.contracts.inference.choosing import (
    MOST_COLUMNS_OF_ONE,
    Choice,
    choose,
    choose_family,
    choose_key,
    choose_one_of_several,
    families,
    family_of,
    holds,
    spell,
)
from dynaberg.contracts.inference.document import DescribedColumn, shown, write_contract
from dynaberg.contracts.inference.entities import EntityTypes
from dynaberg.contracts.inference.evidence import count_items, describe, find_suspicions
from dynaberg.contracts.inference.names import Names, snake_case
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


@dataclass(frozen=True)
class _Plan:
    """A column before its name is settled: the attribute, which of its types, and what was seen of it."""

    attribute: str
    family: str
    seen: Seen
    choice: Choice
    kept: Column | None = None


class Draft:
    """Takes in the items of a table, page by page, and drafts its contract.

    Args:
        source_table: Name of the DynamoDB table.
        keys: Names of the key attributes, the partition key first.

    Example:
        >>> draft = Draft("Orders", ["PK", "SK"])
        >>> draft.add([{"PK": {"S": "USER#1"}, "SK": {"S": "PROFILE"}}])
        >>> draft.write().contract.key
        ('pk', 'sk')
    """

    def __init__(self, source_table: str, keys: Sequence[str]) -> None:
        self._source_table, self._keys = source_table, tuple(keys)
        self._attributes: dict[str, Seen] = {}
        self._too_many = False
        self._entities = EntityTypes(self._keys)
        self.items = 0

    @property
    def table(self) -> str:
        """The name that the current table would have."""
        return snake_case(self._source_table, otherwise="table_1")

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
        columns = _name_columns(plans, existing)
        table = existing.table if existing else self.table
        key = [next(c.name for c in columns if c.attribute == attribute) for attribute in self._keys]
        contract = Contract(table, self._source_table, key[0], key[1] if key[1:] else None, tuple(columns))
        sharing = Counter(column.attribute for column in columns)
        described = [
            self._describe(column, plan, contract, alone=sharing[column.attribute] == 1)
            for column, plan in zip(columns, plans, strict=True)
        ]
        left_out = sorted(self._attributes.keys() - sharing.keys())
        text = write_contract(contract, described, self._head(contract), self._tail(left_out))
        return DraftedContract(contract, text)

    def _plans(self, existing: Contract | None) -> list[_Plan]:
        """The columns of every attribute: keys first, then those of the existing contract, then others."""
        kept = existing.columns_by_attribute if existing else {}
        frequent = sorted(self._attributes, key=lambda name: (-self._attributes[name].total, name))
        plans: dict[str, list[_Plan]] = {}
        planned = 0
        for name in dict.fromkeys([*self._keys, *kept, *frequent]):
            found = self._plan(name, kept.get(name, ()))
            if _is_usable(name) and (name in kept or planned + len(found) <= MOST_COLUMNS):
                plans[name], planned = found, planned + len(found)
        order = dict.fromkeys([*self._keys, *kept, *sorted(plans, key=lambda n: (snake_case(n), n))])
        return [plan for name in order for plan in plans.get(name, ())]

    def _plan(self, name: str, kept: Sequence[Column]) -> list[_Plan]:
        seen = self._attributes.get(name, Seen())
        if name in self._keys:
            return [self._plan_key(name, seen, kept)]
        found = families(seen)
        plans = [_keep(column, seen, found) for column in kept]
        if any(column.parsed_type == "json" for column in kept) or (kept and not found):
            return plans
        if not kept and (len(found) > MOST_COLUMNS_OF_ONE or len(found) < 2):
            return [_Plan(name, "", seen, choose(seen))]
        new = [family for family in found if family not in [plan.family for plan in plans]]
        return plans + [_Plan(name, family, seen, choose_one_of_several(seen, family)) for family in new]

    def _plan_key(self, name: str, seen: Seen, kept: Sequence[Column]) -> _Plan:
        choice = choose_key(seen)
        if choice is None:
            msg = (
                f"The key attribute {name!r} of {self._source_table!r} holds numbers that need more than 38 "
                "digits, and no type of a column keeps all of them apart."
            )
            raise ContractError(msg, hint="No contract can describe this table, unless its key is text.")
        plan = _Plan(name, "", seen, choice, kept[0] if kept else None)
        if not kept or kept[0].type == spell(choice.type):
            return plan
        parsed = kept[0].parsed_type
        is_loose = parsed in ("timestamptz", "json", "double") and not (
            parsed == "timestamptz" and seen.texts.canonical
        )
        return plan if is_loose or not holds(parsed, seen) else replace(plan, choice=Choice(parsed))

    def _describe(self, column: Column, plan: _Plan, contract: Contract, *, alone: bool) -> DescribedColumn:
        if not plan.seen.total:
            none = f"In none of the {count_items(self.items)} that were read."
            return DescribedColumn(column, [none], f"mask: {column.mask}" if column.mask else "")
        evidence = describe(plan.seen, self.items, () if alone else [plan.family])
        if column.name in contract.key:
            evidence[0] = f"{'Sort' if column.name == contract.sort_key else 'Partition'} key. {evidence[0]}"
        notes = [f"{note[0].upper()}{note[1:]}." for note in plan.choice.notes]
        if plan.kept is not None and plan.kept.type != column.type:
            notes.insert(0, f"It was {plan.kept.type}.")
        mask = _mask_line(column, plan, is_key=column.name in contract.key, alone=alone)
        return DescribedColumn(column, [*evidence, *notes], mask)

    def _head(self, contract: Contract) -> Iterator[str]:
        table = self._source_table
        yield f"The contract of `{contract.table}`, inferred from {count_items(self.items)} of `{table}`."
        yield from _ABOUT
        yield f"`dynaberg contract infer {table}` compares this file with the table again and shows a diff."
        entities = list(self._entities.describe())
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


def _keep(column: Column, seen: Seen, kinds: Sequence[str]) -> _Plan:
    """The plan of a column that exists; with a new type if its own does not hold what was seen."""
    parsed, family = column.parsed_type, family_of(column.parsed_type)
    own = Choice(parsed, column.round is not None, column.zone is not None)
    if family == "json":
        found = choose(seen)
    elif family in kinds:
        found = choose_family(seen, family) if len(kinds) == 1 else choose_one_of_several(seen, family)
    else:
        return _Plan(column.attribute, family, seen, own, column)
    fits = holds(parsed, seen, finer=own.finer, local=own.local, shared=True)
    is_same = (own.type, own.finer, own.local) == (found.type, found.finer, found.local)
    return _Plan(column.attribute, family, seen, own if fits and not is_same else found, column)


def _name_columns(plans: Sequence[_Plan], existing: Contract | None) -> list[Column]:
    """The columns, each with a name of its own; an attribute that has the name already comes first."""
    kept = {plan.kept.name for plan in plans if plan.kept}
    names = Names(kept)
    given = {index: plan.kept.name for index, plan in enumerate(plans) if plan.kept}
    first = {plans[index].attribute: index for index in reversed(range(len(plans)))}

    def rank(index: int) -> tuple[bool, bool, int]:
        attribute = plans[index].attribute
        return first[attribute] != index, snake_case(attribute) != attribute, index

    for index in sorted(range(len(plans)), key=rank):
        if index not in given:
            plan = plans[index]
            wanted = snake_case(plan.attribute)
            given[index] = names.give(wanted if first[plan.attribute] == index else f"{wanted}_{plan.family}")
    columns = [_column(given[index], plan) for index, plan in enumerate(plans)]
    return _mask_alike(columns)


def _column(name: str, plan: _Plan) -> Column:
    kept, choice = plan.kept, plan.choice
    return Column(
        name,
        spell(choice.type),
        description=kept.description if kept else "",
        mask=_possible(kept.mask, choice.type) if kept else None,
        attribute=plan.attribute,
        round="microsecond" if choice.finer else None,
        zone="UTC" if choice.local else None,
    )


def _possible(mask: str | None, parsed: Any) -> str | None:
    """The mask, or `drop` where the type is not text any more."""
    return "drop" if mask and parsed != "string" else mask


def _mask_alike(columns: Sequence[Column]) -> list[Column]:
    """The same columns, with the strictest mask of an attribute on all of its columns."""
    masks: dict[str, set[str]] = {}
    for column in columns:
        if column.mask:
            masks.setdefault(column.attribute, set()).add(column.mask)
    shared = {name for name in masks if sum(column.attribute == name for column in columns) > 1}
    return [replace(c, mask="drop") if c.attribute in shared and _differ(c, columns) else c for c in columns]


def _differ(column: Column, columns: Sequence[Column]) -> bool:
    return len({other.mask for other in columns if other.attribute == column.attribute}) > 1


def _mask_line(column: Column, plan: _Plan, *, is_key: bool, alone: bool) -> str:
    """The line that masks a column, or would, with the reason; empty if it has no mask and needs none."""
    found = list(find_suspicions(plan.attribute, plan.seen))
    if not found:
        return f"mask: {column.mask}" if column.mask else ""
    reason = "; ".join(dict.fromkeys(suspicion.reason for suspicion in found[:3]))
    if is_key:
        return f"{reason[0].upper()}{reason[1:]}; but a key cannot be masked."
    mask = column.mask or (found[0].mask if alone and column.type == "string" else "drop")
    return f"mask: {mask}  # {reason}"
