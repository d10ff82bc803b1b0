"""The narrowest exact type that holds what was seen, with room where later values may be larger."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from dynaberg.contracts import ParsedType, member_names, member_of
from dynaberg.contracts.inference.seen import Numbers, Seen

# Types of DynamoDB that one column can take, by the word that tells its columns apart.
FAMILIES = {
    "N": "number",
    "S": "text",
    "BOOL": "flag",
    "B": "bytes",
    "L": "list",
    "SS": "list",
    "NS": "list",
    "BS": "list",
    "M": "map",
}
MOST_COLUMNS_OF_ONE = 3
"""An attribute of more kinds of types than these becomes one `json` column."""
_MOST_MEMBERS, _DEEPEST = 100, 6
_ROOM, _FRACTION_ROOM, _MOST_DIGITS = 4, 2, 38
_INT_BELOW = 1_000_000
_UNITS = (("seconds", 1), ("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9))
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DATA_NAME = re.compile(r"[0-9]{3}")


@dataclass(frozen=True)
class Choice:
    """A type, and what a column needs and should say beside it.

    Attributes:
        type: The type, parsed.
        finer: Whether the column needs `round: microsecond`.
        local: Whether the column needs `zone: UTC`.
        notes: What a reader should know about the choice.
    """

    type: ParsedType
    finer: bool = False
    local: bool = False
    notes: tuple[str, ...] = ()


_TOO_DEEP = Choice("json", notes=(f"nested deeper than {_DEEPEST} levels",))


def families(seen: Seen) -> list[str]:
    """The kinds of types that were seen at a place, the most frequent first; NULL is none."""
    counts: Counter[str] = Counter()
    for tag, count in seen.counts.items():
        if tag in FAMILIES:
            counts[FAMILIES[tag]] += count
    order = list(FAMILIES.values())
    return sorted(counts, key=lambda family: (-counts[family], order.index(family)))


def choose(seen: Seen, depth: int = 0) -> Choice:
    """The one type for everything that was seen at a place."""
    found = families(seen)
    if not found:
        return Choice("json", notes=("only NULL was seen: give it a type when you know one",))
    if len(found) > 1:
        return Choice("json", notes=(f"different types, {' and '.join(found)}: kept as DynamoDB JSON",))
    return choose_family(seen, found[0], depth)


def choose_family(seen: Seen, family: str, depth: int = 0) -> Choice:
    """The type for what was seen of one kind of types."""
    return _CHOOSERS[family](seen, depth)


def choose_one_of_several(seen: Seen, family: str) -> Choice:
    """The type for one kind of types of several: never `json`, which would take the others, too."""
    found = choose_family(seen, family)
    return replace(found, type={family: "json"}) if found.type == "json" else found


def choose_key(seen: Seen) -> Choice | None:
    """The type of a key attribute; None if there is none that keeps every key apart."""
    found = choose(seen)
    if found.type == "timestamptz" and not seen.texts.canonical:
        note = "moments, but not all in the one spelling of a key (2026-01-31T12:00:00Z): kept as text"
        return Choice("string", notes=(note,))
    if found.type == "int":
        return Choice("long", notes=found.notes)
    return None if found.type in ("double", "json") else found


def _text(seen: Seen, _: int) -> Choice:
    texts = seen.texts
    if texts.dates:
        return Choice("date")
    if not texts.moments:
        return Choice("string")
    notes = ["moments finer than a microsecond: rounded"] if texts.finer else []
    if texts.local:
        notes.append("moments without an offset: read as UTC; if they are not, use `string`")
    return Choice("timestamptz", texts.finer, texts.local, tuple(notes))


def _number(seen: Seen, _: int) -> Choice:
    numbers = seen.numbers
    if numbers.scale:
        return _decimal(numbers)
    if numbers.low > -_INT_BELOW and numbers.high < _INT_BELOW:
        return Choice("int")
    if numbers.low >= -(2**63) and numbers.high < 2**63:
        return Choice("long", notes=_epoch_notes(numbers))
    return _decimal(numbers)


def _decimal(numbers: Numbers) -> Choice:
    digits, scale = numbers.whole_digits, numbers.scale
    if digits + scale > _MOST_DIGITS:
        note = "not exact: no decimal holds these numbers; `json` would keep every digit"
        return Choice("double", notes=(note,))
    roomy = 0 if not scale else max(2, scale + _FRACTION_ROOM * (scale > 2))
    scale = roomy if digits + roomy <= _MOST_DIGITS else scale
    precision = max(min(digits + _ROOM + scale, _MOST_DIGITS), 1)
    return Choice({"decimal": [precision, scale]}, notes=(_room_note(numbers, precision, scale),))


def _room_note(numbers: Numbers, precision: int, scale: int) -> str:
    before, after = precision - scale - numbers.whole_digits, scale - numbers.scale
    return f"room for {before} more digits before the point and {after} after"


def _epoch_notes(numbers: Numbers) -> tuple[str, ...]:
    """What whole numbers may count, if they are all between the years 2000 and 2100."""
    for unit, factor in _UNITS:
        if 946_684_800 * factor <= numbers.low and numbers.high < 4_102_444_800 * factor:
            divisor = f" / {factor:,}e0".replace(",", "") if factor > 1 else ""
            return (f"may count {unit} since 1970: in SQL, from_unixtime(…{divisor})",)
    return ()


def _list(seen: Seen, depth: int) -> Choice:
    if depth >= _DEEPEST:
        return _TOO_DEEP
    if seen.elements is None or not seen.elements.total:
        return Choice({"list": "json"}, notes=("only empty lists were seen",))
    element = choose(seen.elements, depth + 1)
    return Choice({"list": element.type}, element.finer, element.local, _inside("elements", element))


def _map(seen: Seen, depth: int) -> Choice:
    if depth >= _DEEPEST:
        return _TOO_DEEP
    if not (seen.members or seen.values):
        return Choice({"map": "json"}, notes=("only empty maps were seen",))
    if has_fixed_members(seen):
        return _struct(seen, depth)
    member = choose(seen.all_members(), depth + 1)
    if member.type == "json":
        return Choice("json", notes=("members of different types, with names that a struct cannot have",))
    return Choice({"map": member.type}, member.finer, member.local, _inside("members", member))


def _struct(seen: Seen, depth: int) -> Choice:
    names = member_names(seen.members)
    choices = {name: choose(seen.members[attribute], depth + 1) for attribute, name in names.items()}
    members = {
        name: choices[name].type if name == attribute else {"attribute": [attribute, choices[name].type]}
        for attribute, name in names.items()
    }
    return Choice(
        {"struct": {name: members[name] for name in sorted(members)}},
        any(choice.finer for choice in choices.values()),
        any(choice.local for choice in choices.values()),
        tuple(note for name in sorted(choices) for note in _inside(f"`{name}`", choices[name])),
    )


def has_fixed_members(seen: Seen) -> bool:
    """Whether the names of a map's members are a program's: then a struct takes them, and comments show them.

    Other names are data, such as ids, and must not be shown.
    """
    names, maps = seen.members, seen.counts["M"]
    if not names or len(names) > _MOST_MEMBERS or not all(map(_IDENTIFIER.fullmatch, names)):
        return False
    data_names = sum(bool(_DATA_NAME.search(name)) for name in names)
    filled = sum(member.total for member in names.values()) / (len(names) * maps)
    kinds = len({tuple(families(member)) for member in names.values()})
    sparse = filled < (0.5 if kinds == 1 and len(names) > 5 else 0.1)
    # Names of persons and places have capitals, too; those of .NET's members are in every map.
    is_record = maps > 2 and filled == 1
    is_plain = is_record or not any(name[0].isupper() for name in names)
    return data_names * 2 < len(names) and not sparse and is_plain


def _inside(where: str, choice: Choice) -> tuple[str, ...]:
    return tuple(f"{where}: {note}" for note in choice.notes)


_CHOOSERS: dict[str, Callable[[Seen, int], Choice]] = {
    "text": _text,
    "number": _number,
    "flag": lambda *_: Choice("boolean"),
    "bytes": lambda *_: Choice("binary"),
    "list": _list,
    "map": _map,
}


def spell(parsed: ParsedType) -> str:
    """A parsed type as a contract writes it."""
    match parsed:
        case {"decimal": [precision, scale]}:
            return f"decimal({precision},{scale})"
        case {"list": element}:
            return f"list<{spell(element)}>"
        case {"map": value}:
            return f"map<string,{spell(value)}>"
        case {"struct": dict(members)}:
            return f"struct<{', '.join(_spell_member(*member) for member in members.items())}>"
        case _:
            return str(parsed)


def _spell_member(name: str, member: ParsedType) -> str:
    attribute, inner = member_of(name, member)
    return f"{name}: {spell(inner)}" if attribute == name else f"{name} from {attribute}: {spell(inner)}"


def holds(
    parsed: ParsedType, seen: Seen, *, finer: bool = False, local: bool = False, shared: bool = False
) -> bool:
    """Whether a type takes everything that was seen at a place.

    Args:
        parsed: The type.
        seen: What was seen.
        finer: Whether its column has `round: microsecond`.
        local: Whether its column has `zone: UTC`.
        shared: Whether other columns take what is of other kinds of types.
    """
    found = families(seen)
    if parsed == "json" or not found:
        return True
    if not shared and found != [family_of(parsed)]:
        return False
    numbers, texts = seen.numbers, seen.texts
    match parsed:
        case "date":
            return texts.dates
        case "timestamptz":
            return texts.moments and (finer or not texts.finer) and (local or not texts.local)
        case "int" | "long":
            limit = 2 ** (31 if parsed == "int" else 63)
            return numbers.scale == 0 and -limit <= numbers.low and numbers.high < limit
        case {"decimal": [precision, scale]}:
            return bool(numbers.scale <= scale and numbers.whole_digits <= precision - scale)
        case {"list": element}:
            return seen.elements is None or holds(element, seen.elements, finer=finer, local=local)
        case {"map": value}:
            return holds(value, seen.all_members(), finer=finer, local=local)
        case {"struct": dict(members)}:
            # A member that the struct does not name would be lost to SQL.
            named = dict(member_of(name, member) for name, member in members.items())
            return seen.values is None and all(
                name in named and holds(named[name], member, finer=finer, local=local)
                for name, member in seen.members.items()
            )
        case _:
            return True


_FAMILY_OF_TYPES = {
    "string": "text",
    "date": "text",
    "timestamptz": "text",
    "boolean": "flag",
    "binary": "bytes",
    "list": "list",
    "map": "map",
    "struct": "map",
    "json": "json",
}


def family_of(parsed: ParsedType) -> str:
    """The kind of DynamoDB types that a type takes; `number` and `json` included."""
    kind = parsed if isinstance(parsed, str) else next(iter(parsed))
    return _FAMILY_OF_TYPES.get(kind, "number")
