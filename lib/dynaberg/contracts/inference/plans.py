"""Which columns an attribute gets, and their names; what an existing contract decided is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dynaberg.contracts import Column, Names, snake_case
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
from dynaberg.contracts.inference.seen import Seen


@dataclass(frozen=True)
class Plan:
    """A column before its name is settled.

    Attributes:
        attribute: The attribute that it takes.
        family: Which kind of types of the attribute it takes; empty for all.
        seen: What was seen of the attribute.
        choice: Its type.
        kept: The column of the existing contract that it continues.
    """

    attribute: str
    family: str
    seen: Seen
    choice: Choice
    kept: Column | None = None


def plan_attribute(name: str, seen: Seen, kept: Sequence[Column]) -> list[Plan]:
    """The columns of an attribute that is no key.

    Args:
        name: Name of the attribute.
        seen: What was seen of it.
        kept: Its columns in the existing contract.
    """
    found = families(seen)
    if not kept and not 2 <= len(found) <= MOST_COLUMNS_OF_ONE:
        return [Plan(name, "", seen, choose(seen))]
    plans = _keep(kept, seen, found)
    if any(plan.family == "json" for plan in plans):
        return plans
    new = [family for family in found if family not in [plan.family for plan in plans]]
    return plans + [Plan(name, family, seen, choose_one_of_several(seen, family)) for family in new]


def plan_key(name: str, seen: Seen, kept: Sequence[Column]) -> Plan | None:
    """The column of a key attribute; None if no type keeps all of its values apart."""
    choice = choose_key(seen)
    if choice is None:
        return None
    plan = Plan(name, "", seen, choice, kept[0] if kept else None)
    if not kept or kept[0].type == spell(choice.type):
        return plan
    parsed = kept[0].parsed_type
    is_unique = parsed not in ("json", "double") and (parsed != "timestamptz" or seen.texts.canonical)
    return replace(plan, choice=Choice(parsed)) if is_unique and holds(parsed, seen) else plan


def _keep(columns: Sequence[Column], seen: Seen, kinds: Sequence[str]) -> list[Plan]:
    """The plans of columns that exist; the last of a kind gets a new type if none takes everything."""
    plans: list[Plan] = []
    for column in columns:
        family = family_of(column.parsed_type)
        choice = Choice(column.parsed_type, column.round is not None, column.zone is not None)
        plans.append(Plan(column.attribute, family, seen, choice, column))
    for family in dict.fromkeys(plan.family for plan in plans):
        places = [place for place, plan in enumerate(plans) if plan.family == family]
        found = _choose_again(seen, family, kinds)
        fits = any(_holds(plans[place].choice, seen) for place in places)
        last = plans[places[-1]]
        is_same = replace(found, notes=()) == last.choice if found else True
        if found and (is_same or not fits):
            plans[places[-1]] = replace(last, choice=found)
    return plans


def _choose_again(seen: Seen, family: str, kinds: Sequence[str]) -> Choice | None:
    """What would be chosen without the existing contract; None if nothing of this kind was seen."""
    if family == "json":
        return choose(seen)
    if family not in kinds:
        return None
    return choose_family(seen, family) if len(kinds) == 1 else choose_one_of_several(seen, family)


def _holds(choice: Choice, seen: Seen) -> bool:
    return holds(choice.type, seen, finer=choice.finer, local=choice.local, shared=True)


def name_columns(plans: Sequence[Plan]) -> list[Column]:
    """The columns, each with a name of its own; an attribute that has the name already comes first."""
    names = Names({plan.kept.name for plan in plans if plan.kept})
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
    return _mask_alike([_column(given[index], plan) for index, plan in enumerate(plans)])


def _column(name: str, plan: Plan) -> Column:
    mask = plan.kept.mask if plan.kept else None
    return Column(
        name,
        spell(plan.choice.type),
        description=plan.kept.description if plan.kept else "",
        # What is not text any more cannot be hashed.
        mask="drop" if mask and plan.choice.type != "string" else mask,
        attribute=plan.attribute,
        round="microsecond" if plan.choice.finer else None,
        zone="UTC" if plan.choice.local else None,
    )


def _mask_alike(columns: Sequence[Column]) -> list[Column]:
    """The same columns; if those of one attribute have different masks, all of them get the strictest."""
    masks: dict[str, set[str | None]] = {}
    for column in columns:
        masks.setdefault(column.attribute, set()).add(column.mask)
    return [replace(c, mask="drop") if len(masks[c.attribute]) > 1 else c for c in columns]
