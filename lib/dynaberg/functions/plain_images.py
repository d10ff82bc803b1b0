"""The fast path: images of one shape, written by a template that is compiled once.

Items of one table mostly have the same attributes in the same order. What is the same for all of them (names,
type letters, quotes) is compiled once per shape. Of each image only the values are taken, and one regular
expression decides whether they are plain: text that needs no escape, numbers and dates that fit their columns
unchanged. What is not plain is left to the exact path in change_row.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from json.encoder import encode_basestring
from typing import Any

from .masks import Mask

# Compiling a shape takes milliseconds: a table with very many shapes is better off on the exact path.
MAX_SHAPES = 64
# In each group, what is most frequent comes first.
_WHOLE = "(?:[1-9][0-9]{{0,{0}}}|0|-[1-9][0-9]{{0,{0}}})"
_DATE = (
    "(?:[1-9][0-9]{3}|0(?!000)[0-9]{3})-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
    "|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
)
# What JSON escapes in UTF-8: a quotation mark, a backslash, control characters.
_WITHOUT_ESCAPED = bytes(ord(" ") if byte < 0x20 or byte in b'"\\' else byte for byte in range(256))
# By column type: DynamoDB's type letter, the pattern of plain values where it matters, the quote around them.
_PLAIN_TYPES = {
    "string": ("S", "", '"'),
    "date": ("S", _DATE, '"'),
    "int": ("N", _WHOLE.format(8), ""),
    "long": ("N", _WHOLE.format(17), ""),
    "double": ("N", _WHOLE.format(14) + r"(?:\.[0-9]{1,15})?", ""),
}


def need_no_escape(values: Sequence[str]) -> bool:
    """Whether JSON text holds the values as they are.

    Raises:
        TypeError: One of them is no text.
        UnicodeEncodeError: One of them holds half a character.
    """
    text = "".join(values).encode()
    return text.translate(_WITHOUT_ESCAPED) == text


class Shape:
    """Images that have the same attributes in the same order.

    Args:
        columns: Name and parsed type of the column of each attribute, in the order of the image.
        masks: The masks of attributes.

    Attributes:
        values: The values alone, of the attributes of an image, masked. A KeyError means that one has another
            type than its column. DynamoDB accepts no attribute with two types, so there is no check for that.

    Raises:
        KeyError: A column's type has no plain form.
    """

    def __init__(self, columns: Mapping[str, tuple[str, Any]], masks: Mapping[str, Mask]) -> None:
        names, types = zip(*columns.values(), strict=True)
        plain = [plain_type(parsed, is_padded=True) for parsed in types]
        tags = [tag for tag, _, _ in plain]
        self.values = _reader(tags, [masks.get(attribute) for attribute in columns])
        self._checked = [slot for slot, (_, pattern, _) in enumerate(plain) if pattern]
        self._fits = re.compile("\n".join(plain[slot][1] for slot in self._checked)).fullmatch
        scales = [t["decimal"][1] if isinstance(t, dict) else 0 for t in types]
        self._scales = [(slot, scale) for slot, scale in enumerate(scales) if scale]
        self._members = _template(
            [f'"{name}":{quote}' for name, (_, _, quote) in zip(names, plain, strict=True)],
            [f"{quote}," for _, _, quote in plain],
        )
        self._attributes = _template(
            [rf"\"{name}\":{{\"{tag}\":\"" for name, tag in zip(map(escaped, columns), tags, strict=True)],
            [r"\"},"] * len(columns),
        )

    def members(self, values: list[str]) -> str | None:
        """The values as members of a change row, or None if one does not fit its column unchanged."""
        if not self._fits("\n".join(map(values.__getitem__, self._checked))):
            for slot, scale in self._scales:
                values[slot] = pad(values[slot], scale)
            if not self._fits("\n".join(map(values.__getitem__, self._checked))):
                return None
        pieces = self._members.copy()
        pieces[1::2] = values
        return "".join(pieces)

    def image_text(self, values: list[str]) -> str:
        """The values as the members of DynamoDB JSON, as they are inside a JSON string."""
        pieces = self._attributes.copy()
        pieces[1::2] = values
        return "".join(pieces)


class Shapes(dict[tuple[str, ...], Shape | None]):
    """The shapes of a table's images by the names of their attributes, each compiled at its first occurrence.

    Args:
        columns: Name and parsed type of its column, for each attribute that has its own.
        masks: The masks of attributes.
        required: Attributes that an image must have.
    """

    def __init__(
        self, columns: Mapping[str, tuple[str, Any]], masks: Mapping[str, Mask], *, required: Iterable[str]
    ) -> None:
        super().__init__()
        self._columns, self._masks, self._required = columns, masks, set(required)
        self._latest: dict[str, tuple[tuple[str, ...], Shape | None]] = {}

    def of(self, image: Mapping[str, Any], place: str) -> Shape | None:
        """The shape of an image, or None if it has none.

        In one batch, equal names are mostly the same objects: comparing them takes less time than a look-up.

        Args:
            image: The image.
            place: Where such images are.
        """
        names = tuple(image)
        latest = self._latest.get(place)
        if latest is not None and latest[0] == names:
            return latest[1]
        shape = self[names]
        self._latest[place] = names, shape
        return shape

    def __missing__(self, names: tuple[str, ...]) -> Shape | None:
        if len(self) >= MAX_SHAPES:
            return None
        self[names] = shape = self._compile(names)
        return shape

    def _compile(self, names: tuple[str, ...]) -> Shape | None:
        if not self._required <= set(names):
            return None
        try:
            return Shape({name: self._columns[name] for name in names}, self._masks)
        except KeyError:
            return None


def _reader(tags: Sequence[str], masks: Sequence[Mask | None]) -> Callable[..., list[str]]:
    """The function that takes a value out of each attribute, compiled: a loop takes half as long again.

    What is not of its column's type is not masked, but a KeyError: the exact path knows what to do with it.
    """
    names = [f"attribute_{number}" for number in range(len(tags))]
    values = [
        f"mask_{name}({name})[{tag!r}] if {tag!r} in {name} else {name}[{tag!r}]"
        if mask
        else f"{name}[{tag!r}]"
        for name, tag, mask in zip(names, tags, masks, strict=True)
    ]
    known = {f"mask_{name}": mask for name, mask in zip(names, masks, strict=True)}
    read: Callable[..., list[str]] = eval(  # noqa: S307
        f"lambda {', '.join(names)}: [{', '.join(values)}]", known
    )
    return read


def escaped(attribute: str) -> str:
    """An attribute's name as it is written in JSON text that is itself inside a JSON string."""
    return encode_basestring(encode_basestring(attribute)[1:-1])[1:-1]


def plain_type(parsed_type: Any, *, is_padded: bool = False) -> tuple[str, str, str]:
    """Type letter, pattern and quote of a type; decimals have all digits after the point, or maybe fewer."""
    if isinstance(parsed_type, str):
        return _PLAIN_TYPES[parsed_type]
    precision, scale = parsed_type["decimal"]
    whole = _WHOLE.format(precision - scale - 1) if precision > scale else "0"
    fraction = rf"\.[0-9]{{{scale}}}" if is_padded else rf"(?:\.[0-9]{{1,{scale}}})?"
    fraction = fraction if scale else ""
    return "N", whole + fraction, '"'


def pad(text: str, scale: int) -> str:
    """A decimal with as many digits after the point as its column has; DynamoDB trims zeros."""
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction:0<{scale}}"


def _template(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """The text around the values, with a place for each of them: text, value, text, … value, text."""
    texts = [left + right for left, right in zip(["", *after], [*before, ""], strict=True)]
    texts[-1] = texts[-1].removesuffix(",")
    return [piece for text in texts for piece in (text, "")][:-1]
