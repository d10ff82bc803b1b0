"""Rows that were written before a mask, or with an older key: their values as today's contract masks them.

A value that is masked already stays, so masking rows twice changes nothing.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from dynaberg.contracts import member_of
from dynaberg.functions.attributes import to_json
from dynaberg.functions.masks import (
    KEYED,
    MaskKey,
    MaskKeyError,
    Masks,
    Rules,
    mask_image,
    mask_of,
    rules_of,
)
from dynaberg.functions.packing import is_packed, pack, unpack

if TYPE_CHECKING:
    from dynaberg.contracts import Contract, ParsedType

_HASH = re.compile(r"h([0-9]+):[0-9a-f]{64}")
_UNKEYED = re.compile(r"[0-9a-f]{64}")
_LAST4 = re.compile(r"\*{4}.{0,4}", re.DOTALL)
IMAGES = ("old_image", "unmapped")
"""The columns that hold attributes as DynamoDB JSON."""


class Masking:
    """Masks the values of rows that are not masked yet, or with an older key.

    Args:
        contract: The table contract.
        keys: The versions of the key, the newest first; empty if no mask needs one.
        unkeyed: Whether 64 hexadecimal digits under the mask `hash` are a SHA-256 without a key, as older
            versions made it, and not a value.
        renewed: The newest hash by an older one, of the values that DynamoDB still has.

    Attributes:
        masked: How many values were masked, by column.
        older: How many hashes of an older key stay, because nobody has their value any more, by column.
    """

    def __init__(
        self,
        contract: Contract,
        keys: Sequence[MaskKey],
        *,
        unkeyed: bool = False,
        renewed: Mapping[str, str] | None = None,
    ) -> None:
        self._keys, self._unkeyed, self._renewed = keys, unkeyed, renewed or {}
        self._newest = keys[0] if keys else None
        self.masked: Counter[str] = Counter()
        self.older: Counter[str] = Counter()
        self._column = ""
        paths = Masks(_document(contract), self._newest).paths
        self.rules = rules_of((path, self._rule(path[-1], mask)) for path, mask in paths)
        self._types = {
            column.name: (column.parsed_type, self.rules[column.attribute])
            for column in contract.columns
            if column.attribute in self.rules
        }

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that may hold something to mask."""
        return (*self._types, *IMAGES) if self.rules else ()

    def values(self, column: str, values: Iterable[Any]) -> list[Any]:
        """The values of a column, masked.

        Args:
            column: One of `columns`.
            values: As pyarrow reads them: maps as lists of pairs.
        """
        self._column = column
        if column in IMAGES:
            return [self._counted(value, self._image) for value in values]
        parsed, rules = self._types[column]
        return [self._counted(value, partial(self._typed, parsed, rules)) for value in values]

    def _counted(self, value: Any, mask: Callable[[Any], Any]) -> Any:
        if value is None:
            return None
        masked = mask(value)
        self.masked[self._column] += masked != value
        return masked

    def _image(self, text: str) -> str | None:
        """Attributes as DynamoDB JSON, packed or not."""
        masked = mask_image(json.loads(unpack(text)), self.rules)
        return _as_before(text, to_json(masked)) if masked else None

    def _typed(self, parsed: ParsedType, rules: Any, value: Any) -> Any:
        """A value of a column's type, or a part of it, with the rules that stand at that place."""
        match parsed:
            case _ if value is None:
                return None
            case "json":
                masked = mask_image({"it": json.loads(unpack(value))}, {"it": rules})
                return _as_before(value, to_json(masked["it"])) if masked else None
            case _ if rules is None:
                return None
            case {"list": inner}:
                return [self._typed(inner, rules, each) for each in value]
            case {"map": inner} if isinstance(rules, dict):
                pairs = [(name, each) for name, each in value if rules.get(name, "") is not None]
                return [(n, self._typed(inner, rules[n], each) if n in rules else each) for n, each in pairs]
            case {"struct": dict(members)} if isinstance(rules, dict):
                named = {name: member_of(name, member) for name, member in members.items()}
                return {
                    name: self._typed(named[name][1], rules[named[name][0]], each)
                    if named[name][0] in rules
                    else each
                    for name, each in value.items()
                }
            case "date" | "timestamptz" if not isinstance(value, str):
                clock = {"hour": 0, "minute": 0, "second": 0, "microsecond": 0}
                year = value.replace(month=1, day=1, **(clock if parsed == "timestamptz" else {}))
                return year if rules({"S": "1815-12-10"}) != {"NULL": True} else None
            case _ if callable(rules):
                return rules({"S": value}).get("S") if isinstance(value, str) else None
            case _:
                return value

    def _rule(self, name: str, mask: str) -> Callable[[Any], Any] | None:
        """The mask of an attribute that may be masked already."""
        if mask == "hash":
            return self._hash
        if mask == "tokenise":
            return self._tokenise
        plain = mask_of(mask, name, None)
        if plain is None or mask != "last4":
            return plain
        return lambda attribute: attribute if _LAST4.fullmatch(_text(attribute)) else plain(attribute)

    def _hash(self, attribute: Any) -> Any:
        text, key = _text(attribute), self._key()
        if (found := _HASH.fullmatch(text)) and int(found[1]) <= key.version:
            if int(found[1]) == key.version:
                return attribute
            if text in self._renewed:
                return {"S": self._renewed[text]}
            self.older[self._column] += 1
            return attribute
        if self._unkeyed and _UNKEYED.fullmatch(text):
            return {"S": key.rehash(text)}
        return key.hash(attribute)

    def _tokenise(self, attribute: Any) -> Any:
        text, newest = _text(attribute), self._key()
        for key in self._keys:
            try:
                plain = key.detokenise(text)
            except MaskKeyError:
                continue
            return attribute if key is newest else newest.tokenise(plain)
        return newest.tokenise(attribute)

    def _key(self) -> MaskKey:
        if self._newest is None:
            msg = "A mask needs a key, and there is none"
            raise MaskKeyError(msg)
        return self._newest


def renewed_hashes(
    contract: Contract, keys: Sequence[MaskKey], items: Iterable[Mapping[str, Any]]
) -> dict[str, str]:
    """The newest hash by each older one, of all values that items have where a `hash` stands.

    Args:
        contract: The table contract.
        keys: The versions of the key, the newest first.
        items: Items of the DynamoDB table, as DynamoDB JSON.
    """
    newest, *older = keys
    found: dict[str, str] = {}

    def note(attribute: Any) -> Any:
        text = newest.hash(attribute)["S"]
        found.update({key.hash(attribute)["S"]: text for key in older})
        return attribute

    paths = Masks(_document(contract), newest).paths
    rules: Rules = rules_of((path, note) for path, mask in paths if mask == "hash")
    for item in items:
        mask_image(item, rules)
    return found


def needs_key(contract: Contract) -> bool:
    """Whether a mask of this table, and not only of another one of its source, needs the key."""
    masks = {column.mask for column in contract.columns} | {mask.mask for mask in contract.masks}
    return not masks.isdisjoint(KEYED)


def _document(contract: Contract) -> dict[str, Any]:
    """The contract as the Lambda has it, without its siblings."""
    document: dict[str, Any] = json.loads(replace(contract, siblings=()).to_lambda_json())
    return document


def _text(attribute: Any) -> str:
    text = attribute.get("S") if isinstance(attribute, Mapping) else None
    return text if isinstance(text, str) else ""


def _as_before(text: str, masked: str) -> str:
    """Masked JSON text, packed if the text before was, and spelled like it if nothing was masked."""
    if json.loads(masked) == json.loads(unpack(text)):
        return text
    return pack(masked) if is_packed(text) else masked
