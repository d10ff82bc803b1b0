"""What was seen, in lines for a reader: how often, of which types, in which shapes. Never a value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dynaberg.contracts import snake_case
from dynaberg.contracts.inference.choosing import FAMILIES, families, has_fixed_members
from dynaberg.contracts.inference.document import shown
from dynaberg.contracts.inference.seen import Numbers, Seen
from dynaberg.contracts.inference.sensitive import suspect
from dynaberg.contracts.inference.shapes import describe_shapes

_MOST_LINES = 40
_SETS = ("SS", "NS", "BS")


def describe(seen: Seen, items: int, only: Sequence[str] = ()) -> list[str]:
    """Lines about an attribute.

    Args:
        seen: What was seen of it.
        items: How many items were read.
        only: The kinds of types to describe; by default all.
    """
    nulls = seen.counts["NULL"]
    count = _count(seen, only) + nulls if only else seen.total
    where = f"In all {items:,} items" if count == items > 1 else f"In {count:,} of {count_items(items)}"
    if nulls:
        where += f", {'all' if nulls == count else f'{nulls:,}'} of them NULL"
    kinds = [_kind(seen, family) for family in only or families(seen)]
    inside = list(_inside(seen, "  "))
    if len(inside) > _MOST_LINES:
        inside = [*inside[:_MOST_LINES], f"  … and {len(inside) - _MOST_LINES:,} more"]
    return [f"{where}{': ' if kinds else ''}{'; '.join(kinds)}.", *inside]


def count_items(items: int) -> str:
    """`1 item`, `2 items`."""
    return f"{items:,} item{'' if items == 1 else 's'}"


def _count(seen: Seen, only: Sequence[str]) -> int:
    return sum(count for tag, count in seen.counts.items() if FAMILIES.get(tag) in only)


def _kind(seen: Seen, family: str) -> str:
    texts = seen.texts
    match family:
        case "text":
            return f"text, {describe_shapes(texts.shapes, texts.shortest, texts.longest)}"
        case "number":
            return _describe_numbers(seen.numbers)
        case "flag":
            return "true or false"
        case "bytes":
            return "binary"
        case "list":
            sets = sum(seen.counts[tag] for tag in _SETS)
            return "lists" if not sets else "lists and sets" if seen.counts["L"] else "sets"
        case _:
            return "maps"


def _describe_numbers(numbers: Numbers) -> str:
    digits, scale = max(numbers.whole_digits, 1), numbers.scale
    sign = ", also negative" if numbers.low < 0 else ""
    if not scale:
        return f"whole numbers, up to {digits} {'digit' if digits == 1 else 'digits'}{sign}"
    return f"numbers, up to {digits} digits before the point, {scale} after it{sign}"


def _inside(seen: Seen, indent: str) -> Iterator[str]:
    """A line for each place inside lists and maps."""
    if seen.elements is not None and seen.elements.total:
        yield f"{indent}elements: {seen.elements.total:,}, {_kinds(seen.elements)}"
        yield from _inside(seen.elements, f"{indent}  ")
    if has_fixed_members(seen):
        for name, member in sorted(seen.members.items()):
            yield f"{indent}{shown(name)}: in {member.total:,} of {seen.counts['M']:,}, {_kinds(member)}"
            yield from _inside(member, f"{indent}  ")
    elif seen.members or seen.values:
        members, names = seen.all_members(), seen.names
        shapes = describe_shapes(names.shapes, names.shortest, names.longest)
        yield f"{indent}members: {members.total:,}, {_kinds(members)}; names: {shapes}"
        yield from _inside(members, f"{indent}  ")


def _kinds(seen: Seen) -> str:
    kinds = [_kind(seen, family) for family in families(seen)]
    if seen.counts["NULL"]:
        kinds.append(f"NULL ({seen.counts['NULL']:,})")
    return "; ".join(kinds)


@dataclass(frozen=True)
class SuspectPlace:
    """A place that may be sensitive.

    Attributes:
        path: Names of the attribute and of the members below it.
        mask: The mask that is suggested.
        reason: Why.
    """

    path: tuple[str, ...]
    mask: str
    reason: str


def find_suspicions(path: tuple[str, ...], seen: Seen, inside: str = "") -> Iterator[SuspectPlace]:
    """What may be sensitive in an attribute, at any depth; a place below another that is, is left out.

    Args:
        path: Names of the attribute and of the members below it.
        seen: What was seen there.
        inside: What it is of the place that the path names, such as `elements`.
    """
    found = list(_own_suspicions(path, seen, inside))
    yield from found
    if found:
        return
    if seen.elements is not None:
        yield from find_suspicions(path, seen.elements, "elements")
    if has_fixed_members(seen):
        for member, inner in sorted(seen.members.items()):
            yield from find_suspicions((*path, member), inner)
    elif seen.members or seen.values:
        names = suspect("", seen.names.suspects, seen.names.examined)
        if names:
            yield SuspectPlace(path, "drop", f"names of members: {names.reason}")
        else:
            yield from find_suspicions(path, seen.all_members(), "members")


def _own_suspicions(path: tuple[str, ...], seen: Seen, inside: str) -> Iterator[SuspectPlace]:
    texts, numbers = seen.texts, seen.numbers
    if not (seen.counts["S"] or seen.counts["N"]):
        return
    examined = texts.examined + numbers.examined
    found = suspect(snake_case(path[-1]), texts.suspects + numbers.suspects, examined)
    moments = texts.examined and (texts.dates or texts.moments)
    if found and (not moments or found.reason.endswith("dates of birth")):
        is_text = families(seen) == ["text"] and not moments and not inside
        reason = f"{inside}: {found.reason}" if inside else found.reason
        yield SuspectPlace(path, found.mask if is_text else "drop", reason)
