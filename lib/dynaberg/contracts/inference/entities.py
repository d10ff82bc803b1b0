"""Entity types of a single-table design: by a type attribute, or by what stands before a sign in the keys."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dynaberg.contracts import Condition, overlap

MOST_TYPES = 50
_MOST_PAIRS = 5_000
# Names without signs and capitals; ElectroDB, Amplify and dynamodb-toolbox write some of them by themselves.
_TYPE_NAMES = frozenset(
    ("entity", "entitytype", "typename", "type", "kind", "itemtype", "recordtype", "doctype", "et", "edbe")
)
_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9 ._/-]{0,59}")
_KEY = re.compile(r"([A-Za-z][A-Za-z_.-]{0,39}[#|:])(?!//)|([A-Z][A-Z_]{1,39})\Z")
_OTHER = "…"
_SIGNS = "#|:"
# A type attribute that fewer of the items have tells too few of them apart.
_MOST_WITHOUT = 0.1


@dataclass(frozen=True)
class Kind:
    """One kind of items of a table.

    Attributes:
        name: What it is called.
        when: The conditions that its items meet.
        prefixes: By key attribute, what the keys of all its items begin with.
    """

    name: str
    when: tuple[Condition, ...]
    prefixes: Mapping[str, str] = field(default_factory=dict)


class EntityTypes:
    """Counts items by what their type attribute or their keys say.

    Args:
        keys: Names of the key attributes.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = keys
        self._pairs: Counter[tuple[str, ...]] = Counter()
        self._by_attribute: dict[str, Counter[str]] = {}
        self._typed: set[tuple[str, ...]] = set()

    def add(self, columns: Mapping[str, Sequence[Any]], items: Sequence[Mapping[str, Any]]) -> None:
        """Take in a page of items, and its attributes by name."""
        for name in columns.keys() - set(self._keys):
            if is_type_attribute(name):
                counts = self._by_attribute.setdefault(name, Counter())
                if len(counts) <= MOST_TYPES:
                    counts.update(attribute.get("S", _OTHER) for attribute in columns[name])
                if len(self._typed) <= _MOST_PAIRS:
                    self._typed.update(self._type_of(name, item) for item in items if name in item)
        if len(self._pairs) <= _MOST_PAIRS:
            labels = [[_label(attribute.get("S", "")) for attribute in columns[key]] for key in self._keys]
            self._pairs.update(zip(*labels, strict=True))

    def _type_of(self, name: str, item: Mapping[str, Any]) -> tuple[str, ...]:
        """What a type attribute says of an item, and how its keys begin."""
        labels = [_label(item[key].get("S", "")) for key in self._keys]
        return name, item[name].get("S", _OTHER), *labels

    def kinds(self) -> list[Kind]:
        """The kinds of items by which the table can be divided; none if there are not two.

        By a type attribute, if most of the items have one; otherwise by the beginnings of their keys.
        """
        total = sum(self._pairs.values())
        for name, counts in sorted(self._by_attribute.items(), key=lambda pair: -sum(pair[1].values())):
            fits = 2 <= len(counts) <= MOST_TYPES and all(map(_LABEL.fullmatch, counts))
            if fits and sum(counts.values()) >= (1 - _MOST_WITHOUT) * total:
                return [
                    Kind(label, (Condition(name, "equals", label),), self._common_prefixes(name, label))
                    for label in sorted(counts)
                ]
        return self._kinds_by_keys()

    def _kinds_by_keys(self) -> list[Kind]:
        kinds: list[Kind] = []
        pairs = self._merged_pairs()
        for labels in sorted(pairs, key=lambda labels: (labels.count(_OTHER), labels)):
            keyed = {k: label for k, label in zip(self._keys, labels, strict=True) if label != _OTHER}
            prefixes = {key: label for key, label in keyed.items() if label[-1] in _SIGNS}
            when = tuple(
                Condition(key, "begins_with" if key in prefixes else "equals", label)
                for key, label in keyed.items()
            )
            if prefixes and not any(overlap(when, other.when) for other in kinds):
                kinds.append(Kind(_name_of(list(keyed.values())), when, prefixes))
        return kinds if len(kinds) > 1 else []

    def _common_prefixes(self, name: str, label: str) -> dict[str, str]:
        """What the keys of all items of a type begin with, as far as they begin alike."""
        seen = [labels for (attribute, value, *labels) in self._typed if (attribute, value) == (name, label)]
        found = {key: {labels[place] for labels in seen} for place, key in enumerate(self._keys)}
        return {
            key: next(iter(labels))
            for key, labels in found.items()
            if len(labels) == 1 and next(iter(labels))[-1] in _SIGNS
        }

    def describe(self) -> Iterator[str]:
        """One line for each entity type, with the number of its items; nothing if there are none."""
        for name, counts in sorted(self._by_attribute.items()):
            if 1 <= len(counts) <= MOST_TYPES and all(map(_LABEL.fullmatch, counts)):
                yield f"By the attribute `{name}`:"
                yield from _lines(counts)
        pairs = self._merged_pairs()
        if any(part[-1] in _SIGNS for pair in pairs for part in pair):
            yield f"By the beginning of the key, {', '.join(f'`{key}`' for key in self._keys)}:"
            yield from _lines(Counter({", ".join(pair): count for pair, count in pairs.items()}))

    def _merged_pairs(self) -> Counter[tuple[str, ...]]:
        """The pairs of beginnings; a key with very many of them tells no types apart."""
        kept = []
        for place in range(len(self._keys)):
            counts: Counter[str] = Counter()
            for pair, count in self._pairs.items():
                counts[pair[place]] += count
            few = len(counts) <= MOST_TYPES
            kept.append({label for label, count in counts.items() if few and count > 1})
        merged: Counter[tuple[str, ...]] = Counter()
        for pair, count in self._pairs.items():
            merged[tuple(part if part in kept[place] else _OTHER for place, part in enumerate(pair))] += count
        return merged


def is_type_attribute(name: str) -> bool:
    """Whether an attribute is called as those that say what kind an item is: `entityType`, `__typename`."""
    return re.sub("[^a-z]", "", name.casefold()) in _TYPE_NAMES


def _name_of(labels: Sequence[str]) -> str:
    """What a kind is called by its keys: `ORDER#` by the last one, and `CUSTOMER# PROFILE` by both."""
    return labels[-1] if labels[-1][-1] in _SIGNS else " ".join(labels)


def _label(text: str) -> str:
    """What stands before the first sign of a key, with the sign, or a key that is one word in capitals."""
    found = _KEY.match(text)
    return (found[1] or found[2]) if found else _OTHER


def _lines(counts: Counter[str]) -> Iterator[str]:
    for label, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
        yield f"  {label}: {count:,} item{'' if count == 1 else 's'}"
