"""Shapes of texts: `AAAA-9999` for `ABCD-1234`. They show how values look, and never what they are."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

LONGEST = 40
MOST_SHAPES = 200
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# Eight or more hexadecimal digits of one case, with a letter and a digit among them.
_HEXADECIMAL = re.compile(r"\b(?=\w*[0-9])(?=\w*[a-fA-F])(?:[0-9a-f]{8,}|[0-9A-F]{8,})\b")
_UNKNOWN = "?"


class _Signs(dict[int, str]):
    """What stands for each character in a shape, found at its first occurrence."""

    def __missing__(self, code: int) -> str:
        self[code] = sign = _sign(chr(code))
        return sign


def _sign(character: str) -> str:
    category = unicodedata.category(character)
    if category in ("Lu", "Lt"):
        return "A"
    if category[0] in "LM":
        return "a"
    if category[0] == "N":
        return "9"
    return character if " " <= character <= "~" else _UNKNOWN


# What stands for a hexadecimal digit until the other characters are replaced, too.
_DIGIT = "\0"
_SIGNS = _Signs({ord(_DIGIT): "x"})


def shape(text: str) -> str:
    """The shape of a text.

    Example:
        >>> shape("TXN-0042 é")
        'AAA-9999 a'
    """
    if not text:
        return "empty"
    if len(text) > LONGEST:
        return f"more than {LONGEST} characters"
    if _UUID.fullmatch(text):
        return "UUID"
    return _HEXADECIMAL.sub(lambda found: _DIGIT * len(found[0]), text).translate(_SIGNS)


def describe_shapes(shapes: Counter[str], shortest: int, longest: int) -> str:
    """The most frequent shapes with their shares, or the lengths alone if there are too many shapes.

    Args:
        shapes: How often each shape was seen.
        shortest: Characters of the shortest text.
        longest: Characters of the longest text.
    """
    total = shapes.total()
    ranked = sorted(shapes.items(), key=lambda pair: (-pair[1], pair[0]))
    if len(ranked) > MOST_SHAPES or (ranked and ranked[0][1] * 20 < total):
        return f"{shortest:,} to {longest:,} characters of many shapes"
    if len(ranked) == 1:
        return ranked[0][0]
    shown = [f"{name} ({_share(count, total)})" for name, count in ranked[:3]]
    rest = len(ranked) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def _share(part: int, whole: int) -> str:
    percent = 100 * part / whole
    return "under 1 %" if percent < 1 else f"{min(round(percent), 99)} %"
