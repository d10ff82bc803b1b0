"""What was seen, in lines for a reader: how often, of which types, in which shapes. Never a value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dynaberg.contracts.inference.choosing import FAMILIES, families, is_shown_by_name
from dynaberg.contracts.inference.document import shown
from dynaberg.contracts.inference.names import snake_case
from dynaberg.contracts.inference.seen import Numbers, Seen
from dynaberg.contracts.inference.sensitive import Suspicion, suspect
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
    if is_shown_by_name(seen):
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


def find_suspicions(name: str, seen: Seen, where: str = "") -> Iterator[Suspicion]:
    """What may be sensitive in an attribute, at any depth.

    Args:
        name: Its name.
        seen: What was seen of it.
        where: Where it is in a map or list.
    """
    texts, numbers = seen.texts, seen.numbers
    plain = snake_case(name)
    moments = texts.examined and (texts.dates or texts.moments)
    if seen.counts["S"] or seen.counts["N"]:
        found = suspect(plain, texts.suspects + numbers.suspects, texts.examined + numbers.examined)
        if found and (not moments or found.reason.endswith("dates of birth")):
            yield Suspicion(found.mask, f"{where}{': ' if where else ''}{found.reason}")
    if seen.elements is not None:
        yield from find_suspicions(name, seen.elements, f"{where or shown(name)} elements")
    if is_shown_by_name(seen):
        for member, inner in sorted(seen.members.items()):
            path = f"{where}.{shown(member)}" if where else shown(member)
            yield from find_suspicions(member, inner, path)
    elif seen.members or seen.values:
        found = suspect("", seen.names.suspects, seen.names.examined)
        if found:
            yield Suspicion("drop", f"{where or shown(name)}, names of members: {found.reason}")
        yield from find_suspicions("", seen.all_members(), f"{where or shown(name)} members")
