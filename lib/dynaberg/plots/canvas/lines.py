"""Words in lines that fit: measured in their own font, and broken where a reader pauses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

# Drawn on pixels, words may be so much wider than their outline.
_SLACK = 1.03
_CLAUSE = re.compile(r".+?(?:; |$)")
# A number stays with what it counts.
_WORD = re.compile(r"(?:\S*\d\S*\s+)?\S+\s*")
_PART_OF_NAME = re.compile(r".+?(?:[-_./: ]+|$)")
# By such steps lines get narrower while they are balanced.
_STEP, _STEPS = 0.02, 50


@lru_cache(maxsize=8192)
def width(words: str, font: FontProperties) -> float:
    """How wide words of one line are, in points."""
    plain = words.replace(r"\$", "$")
    return float(_SLACK * text_to_path.get_text_width_height_descent(plain, font, ismath=False)[0])


def title_lines(words: str, room: float, font: FontProperties) -> str:
    """A title in as few lines as hold it: a clause stays whole if it can, else no line is a leftover."""
    plain = " ".join(words.split())
    lines, clauses = _balanced(plain, room, font), _by_clause(plain, room, font)
    return "\n".join(clauses if len(clauses) <= len(lines) else lines)


def caption_lines(words: str, room: float, font: FontProperties) -> str:
    """A caption in lines that end where a clause does, except for a clause that is wider than the room."""
    return "\n".join(_by_clause(" ".join(words.split()), room, font))


def name_lines(name: object, room: float, font: FontProperties, most: int) -> str:
    """A name in at most so many lines, broken behind `-`, `_` and the like; only what is left over is cut.

    Args:
        name: The name; it is never read as a formula.
        room: The width of a line, in points.
        font: The font that draws it.
        most: How many lines there is room for.
    """
    plain = " ".join(str(name).split()) or "''"
    lines = _fill(_PART_OF_NAME.findall(plain), room, font)
    if len(lines) > most:
        last = "".join(lines[most - 1 :])
        while last and width(f"{last}…", font) > room:
            last = last[:-1]
        lines = [*lines[: most - 1], f"{last}…"]
    return "\n".join(line.rstrip() for line in lines).replace("$", r"\$")


def _by_clause(words: str, room: float, font: FontProperties) -> list[str]:
    clauses = [f"{line} " for clause in _CLAUSE.findall(words) for line in _balanced(clause, room, font)]
    return [line.rstrip() for line in _fill(clauses, room, font)]


def _balanced(words: str, room: float, font: FontProperties) -> list[str]:
    """As few lines as possible, and these as narrow as they can be without another one."""
    pieces = _WORD.findall(words)
    lines = _fill(pieces, room, font)
    widest = max((width(piece.rstrip(), font) for piece in pieces), default=0.0)
    for step in range(1, _STEPS):
        narrower = room * (1 - _STEP * step)
        found = _fill(pieces, narrower, font)
        if len(lines) == 1 or narrower < widest or len(found) > len(lines):
            break
        lines = found
    return [line.rstrip() for line in lines]


def _fill(pieces: Sequence[str], room: float, font: FontProperties) -> list[str]:
    """Pieces in lines of at most this width; a piece that is wider is broken anywhere."""
    lines, used = [""], 0.0
    for piece in (part for whole in pieces for part in _broken(whole, room, font)):
        if lines[-1] and used + width(piece.rstrip(), font) > room:
            lines, used = [*lines, ""], 0.0
        lines[-1], used = lines[-1] + piece, used + width(piece, font)
    return lines


def _broken(piece: str, room: float, font: FontProperties) -> Iterator[str]:
    while (wide := width(piece.rstrip(), font)) > room and len(piece) > 1:
        count = max(int(len(piece) * room / wide), 1)
        while count > 1 and (width(piece[:count], font) > room or piece[count - 1] == "\\"):
            count -= 1
        yield piece[:count]
        piece = piece[count:]
    yield piece
