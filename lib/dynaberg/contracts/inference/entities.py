"""Entity types of a single-table design: by a type attribute, or by what stands before a sign in the keys."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MOST_TYPES = 50
_MOST_PAIRS = 5_000
# Names without signs and capitals; ElectroDB, Amplify and dynamodb-toolbox write some of them by themselves.
_TYPE_NAMES = frozenset(
    ("entity", "entitytype", "typename", "type", "kind", "itemtype", "recordtype", "doctype", "et", "edbe")
)
_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9 ._/-]{0,59}")
_KEY = re.compile(r"([A-Za-z][A-Za-z_.-]{0,39}[#|:])(?!//)|([A-Z][A-Z_]{1,39})\Z")
_OTHER = "…"


class EntityTypes:
    """Counts items by what their type attribute or their keys say.

    Args:
        keys: Names of the key attributes.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = keys
        self._pairs: Counter[tuple[str, ...]] = Counter()
        self._by_attribute: dict[str, Counter[str]] = {}

    def add(self, columns: Mapping[str, Sequence[Any]], items: Sequence[Mapping[str, Any]]) -> None:
        """Take in a page of items, and its attributes by name."""
        for name in columns.keys() - set(self._keys):
            if re.sub("[^a-z]", "", name.casefold()) in _TYPE_NAMES:
                counts = self._by_attribute.setdefault(name, Counter())
                if len(counts) <= MOST_TYPES:
                    counts.update(attribute.get("S", _OTHER) for attribute in columns[name])
        if len(self._pairs) <= _MOST_PAIRS:
            labels = [[_label(attribute.get("S", "")) for attribute in columns[key]] for key in self._keys]
            self._pairs.update(zip(*labels, strict=True))

    def describe(self) -> Iterator[str]:
        """One line for each entity type, with the number of its items; nothing if there are none."""
        for name, counts in sorted(self._by_attribute.items()):
            if 1 <= len(counts) <= MOST_TYPES and all(map(_LABEL.fullmatch, counts)):
                yield f"By the attribute `{name}`:"
                yield from _lines(counts)
        pairs = self._merged_pairs()
        if any(part[-1] in "#|:" for pair in pairs for part in pair):
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


def _label(text: str) -> str:
    """What stands before the first sign of a key, with the sign, or a key that is one word in capitals."""
    found = _KEY.match(text)
    return (found[1] or found[2]) if found else _OTHER


def _lines(counts: Counter[str]) -> Iterator[str]:
    for label, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
        yield f"  {label}: {count:,} item{'' if count == 1 else 's'}"
