"""What was seen at each place of the items: how many attributes, of which types, and how they looked.

Whole pages are taken in at once, attribute by attribute, because most of the time of a single attribute would
be the call. What decides on a type is taken from every value; shapes and suspicions from the first of a page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from operator import itemgetter
from typing import Any

from dynaberg.contracts.inference.moments import is_date, moment_form
from dynaberg.contracts.inference.sensitive import suspicions
from dynaberg.contracts.inference.shapes import MOST_SHAPES, shape

EXAMINED_OF_A_PAGE = 64
MOST_MEMBERS = 200
"""A map with more names than these has open keys."""
_SET_MEMBERS = {"SS": "S", "NS": "N", "BS": "B"}


@dataclass
class Numbers:
    """The numbers of one place: their range, and how many digits they have after the point."""

    low: Decimal | int = 0
    high: Decimal | int = 0
    scale: int = 0
    suspects: Counter[str] = field(default_factory=Counter)
    examined: int = 0
    _any: bool = False

    def add(self, texts: Sequence[str]) -> None:
        """Take in numbers as DynamoDB writes them."""
        try:
            numbers: list[Any] = list(map(int, texts))
        except ValueError:
            numbers = list(map(Decimal, texts))
            self.scale = max(self.scale, max(map(_scale, numbers)))
        self.widen(min(numbers), max(numbers))
        some = [text for text in texts[:EXAMINED_OF_A_PAGE] if len(text) > 12]
        self.suspects.update(kind for text in some for kind in suspicions(text) if kind == "card")
        self.examined += min(len(texts), EXAMINED_OF_A_PAGE)

    def widen(self, low: Decimal | int, high: Decimal | int) -> None:
        """Take in a range."""
        self.low, self.high = (min(low, self.low), max(high, self.high)) if self._any else (low, high)
        self._any = True

    def merge(self, other: Numbers) -> None:
        """Take in what another place had."""
        self.widen(other.low, other.high)
        self.scale = max(self.scale, other.scale)
        self.suspects += other.suspects
        self.examined += other.examined

    @property
    def whole_digits(self) -> int:
        """The most digits before the point."""
        return max(len(str(abs(int(end)))) if int(end) else 0 for end in (self.low, self.high))


@dataclass
class Texts:
    """The texts of one place.

    Attributes:
        dates: Whether all of them are days.
        moments: Whether all of them are moments.
        finer: Whether one of the moments needs `round: microsecond`.
        local: Whether one of the moments needs `zone: UTC`.
        canonical: Whether all of the moments have the spelling that a key must have.
        shapes: How often each shape occurs among those that were examined.
        suspects: How many of those look like something sensitive, by kind.
    """

    dates: bool = True
    moments: bool = True
    finer: bool = False
    local: bool = False
    canonical: bool = True
    shortest: int = 2**31
    longest: int = 0
    examined: int = 0
    shapes: Counter[str] = field(default_factory=Counter)
    suspects: Counter[str] = field(default_factory=Counter)

    def add(self, texts: Sequence[str]) -> None:
        """Take in texts."""
        lengths = list(map(len, texts))
        self.shortest, self.longest = min(self.shortest, *lengths), max(self.longest, *lengths)
        self.dates = self.dates and all(map(is_date, texts))
        self.moments = self.moments and not self.dates and self._all_moments(texts)
        some = texts[:EXAMINED_OF_A_PAGE]
        self.examined += len(some)
        if len(self.shapes) <= MOST_SHAPES:
            self.shapes.update(map(shape, some))
        self.suspects.update(kind for text in some for kind in suspicions(text))

    def add_counted(self, counts: Mapping[str, int]) -> None:
        """Take in names of members, with how often each occurs."""
        lengths = list(map(len, counts))
        self.shortest, self.longest = min(self.shortest, *lengths), max(self.longest, *lengths)
        self.examined += sum(counts.values())
        for name, count in counts.items():
            if len(self.shapes) <= MOST_SHAPES:
                self.shapes[shape(name)] += count
            for kind in suspicions(name):
                self.suspects[kind] += count

    def _all_moments(self, texts: Sequence[str]) -> bool:
        for text in texts:
            form = moment_form(text)
            if form is None:
                return False
            if not form.canonical:
                self.canonical = False
                self.finer, self.local = self.finer or form.finer, self.local or form.local
        return True

    def merge(self, other: Texts) -> None:
        """Take in what another place had."""
        for name in ("dates", "moments", "canonical"):
            setattr(self, name, getattr(self, name) and getattr(other, name))
        self.finer, self.local = self.finer or other.finer, self.local or other.local
        self.shortest, self.longest = min(self.shortest, other.shortest), max(self.longest, other.longest)
        self.examined += other.examined
        self.shapes += other.shapes
        self.suspects += other.suspects


@dataclass
class Seen:
    """What was seen at one place: an attribute, a member of a map, or the elements of a list.

    Attributes:
        counts: How many attributes of each DynamoDB type.
        elements: The elements of the lists and sets.
        members: The members of the maps by name, if these are few.
        values: The members of the maps together, if the names are many.
        names: Shapes of the names of members, if these are many.
    """

    counts: Counter[str] = field(default_factory=Counter)
    numbers: Numbers = field(default_factory=Numbers)
    texts: Texts = field(default_factory=Texts)
    elements: Seen | None = None
    members: dict[str, Seen] = field(default_factory=dict)
    values: Seen | None = None
    names: Texts = field(default_factory=Texts)

    def add(self, attributes: Sequence[Mapping[str, Any]]) -> None:
        """Take in attributes, in DynamoDB JSON."""
        for tag, values in _by_tag(attributes).items():
            self.counts[tag] += len(values)
            self._add_values(tag, values)

    def _add_values(self, tag: str, values: list[Any]) -> None:
        match tag:
            case "S":
                self.texts.add(values)
            case "N":
                self.numbers.add(values)
            case "M":
                self._add_maps(values)
            case "L" | "SS" | "NS" | "BS":
                self.elements = self.elements or Seen()
                inner = [element for elements in values for element in elements]
                if tag == "L":
                    self.elements.add(inner)
                elif inner:
                    self.elements.counts[_SET_MEMBERS[tag]] += len(inner)
                    self.elements._add_values(_SET_MEMBERS[tag], inner)

    def _add_maps(self, maps: Sequence[Mapping[str, Any]]) -> None:
        columns = attributes_by_name(maps)
        if self.values is None:
            for name, attributes in columns.items():
                self.members.setdefault(name, Seen()).add(attributes)
            if len(self.members) > MOST_MEMBERS:
                self.values, self.members = self.all_members(), {}
        else:
            for attributes in columns.values():
                self.values.add(attributes)
        if columns:
            self.names.add_counted({name: len(attributes) for name, attributes in columns.items()})

    def all_members(self) -> Seen:
        """The members of the maps together, whatever their names."""
        if self.values is not None:
            return self.values
        together = Seen()
        for member in self.members.values():
            together.merge(member)
        return together

    def merge(self, other: Seen) -> None:
        """Take in what was seen at another place; the other place is left as it is."""
        self.counts += other.counts
        if other.counts["N"]:
            self.numbers.merge(other.numbers)
        if other.counts["S"]:
            self.texts.merge(other.texts)
        if other.elements is not None:
            self.elements = self.elements or Seen()
            self.elements.merge(other.elements)
        if other.names.examined:
            self.names.merge(other.names)
        if self.values is None and other.values is None:
            for name, member in other.members.items():
                self.members.setdefault(name, Seen()).merge(member)
        else:
            values = self.all_members()
            values.merge(other.all_members())
            self.values, self.members = values, {}

    @property
    def total(self) -> int:
        """How many attributes there were."""
        return self.counts.total()


def attributes_by_name(maps: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The attributes of many maps, by name."""
    columns: dict[str, list[Any]] = {}
    for members in maps:
        for name, attribute in members.items():
            if name in columns:
                columns[name].append(attribute)
            else:
                columns[name] = [attribute]
    return columns


def _by_tag(attributes: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The values of attributes by their type; mostly there is one."""
    if not attributes:
        return {}
    tag = next(iter(attributes[0]))
    try:
        return {tag: list(map(itemgetter(tag), attributes))}
    except KeyError:
        values: dict[str, list[Any]] = {}
        for attribute in attributes:
            ((tag, value),) = attribute.items()
            values.setdefault(tag, []).append(value)
        return values


def _scale(number: Decimal) -> int:
    """Digits after the point."""
    exponent = number.as_tuple().exponent
    return -exponent if isinstance(exponent, int) and exponent < 0 and number else 0
