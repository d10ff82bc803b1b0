"""Comments that people wrote into a contract, kept when it is inferred again.

What an inference writes itself is told by how its lines begin, and gives way to what was seen now. A comment
stays with the line below it, with the line that it is behind, or, further in than a column's dash, with the
line above it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_OWN = re.compile(
    r"The contract of `|Comments say what was seen: |hexadecimal digit\), never |`dynaberg contract infer |"
    r"compares this file with the table|Several types of items share |By the (attribute|beginning) |"
    r"(Partition|Sort) key\. |In all [\d,]+ items|In [\d,]+ of [\d,]+ item|In none of the |"
    r"It was |Room for |A part of `|[\d,]+ more attributes have no |The table has more than |"
    r"Moments (finer|without) |May count |Nested deeper than |Only (NULL|empty) |Members(:| of) |Elements: |"
    r"Different types, |  \S.*: [\d,]+ items?\b|mask: (drop|hash|last4)  # |masks:$|\S.*; but a key cannot"
)
# Further lines of what an inference writes are indented.
_MORE = re.compile(r"#   ?\s*\S")
_KEY = re.compile(r"\s*(?P<dash>- )?\{?\s*(?P<key>[\w-]+):\s*(?P<value>\"[^\"]*\"|'[^']*'|[^\s,#}]*)")
_BEHIND = re.compile(r"""^(?:[^"'#]|"(?:[^"\\]|\\.)*"|'[^']*'|(?<!\s)\#)*?(?P<behind>\s+\#.*)$""")
_END = ("", "")


@dataclass(frozen=True)
class _Line:
    """A line of a contract.

    Attributes:
        text: The line.
        place: The name of its column, and its key; None for comments, blank and further lines.
        comment: What stands behind its value, or the whole line if it is a comment.
    """

    text: str
    place: tuple[str, str] | None
    comment: str


def keep_comments(before: str, after: str) -> str:
    r"""A contract that was inferred again, with the comments that people wrote into it before.

    Args:
        before: The YAML as it was.
        after: The YAML that was inferred now.

    Example:
        >>> print(keep_comments("columns:\n- name: id  # ours\n", "columns:\n  - name: id\n"))
        columns:
          - name: id  # ours
    """
    kept = _written([*_lines(before)])
    known = {line.comment.strip() for line in _lines(after)}
    lines: list[str] = []
    for line in _lines(after):
        found = kept.pop(line.place, None) if line.place else None
        if found is None:
            lines.append(line.text)
            continue
        indent = line.text[: len(line.text) - len(line.text.lstrip())]
        inner = f"{indent}  " if line.text.lstrip().startswith("- ") else indent
        behind = "" if found.behind.strip() in known else found.behind
        above = [*found.above, behind.strip()] if line.comment and behind else found.above
        behind = "" if line.comment else behind
        lines += [f"{indent}{text}" for text in above if text not in known]
        lines.append(line.text + behind)
        lines += [f"{inner}{text}" for text in found.below if text not in known]
    left = [text for each in kept.values() for text in (*each.above, each.behind.strip(), *each.below)]
    return "\n".join([*lines, *(text for text in left if text and text not in known)]) + "\n"


@dataclass
class _Kept:
    """The comments that people wrote at a line: above it, behind its value, and below it."""

    above: list[str] = field(default_factory=list)
    behind: str = ""
    below: list[str] = field(default_factory=list)


def _written(lines: Sequence[_Line]) -> dict[tuple[str, str], _Kept]:
    """The comments that people wrote, by the places of the lines that they stay with."""
    kept: dict[tuple[str, str], _Kept] = {}
    waiting: list[str] = []
    last, depth, is_own = _END, 0, False
    for line in lines:
        text = line.comment.strip()
        if line.place:
            here = kept.setdefault(line.place, _Kept())
            here.above += [*waiting, *([here.behind.strip()] if here.behind and text else [])]
            here.behind = line.comment if text and not _OWN.match(text[2:]) else here.behind
            waiting, last, is_own = [], line.place, False
            if line.text.lstrip().startswith("- "):
                depth = len(line.text) - len(line.text.lstrip())
        elif text:
            is_own = bool(_OWN.match(text[2:])) or (is_own and bool(_MORE.match(text)))
            if not is_own and last[0] and len(line.comment) - len(line.comment.lstrip()) > depth:
                kept[last].below.append(text)
            elif not is_own:
                waiting.append(text)
        else:
            is_own = False
    if waiting:
        kept[_END] = _Kept(above=waiting)
    return kept


def _lines(text: str) -> Iterator[_Line]:
    """The lines of a contract, with what they belong to."""
    column = ""
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            yield _Line(line, None, line)
            continue
        found, behind = _KEY.match(line), _BEHIND.match(line)
        comment = behind["behind"] if behind else ""
        if found is None:
            yield _Line(line, None, comment)
            continue
        if found["key"] == "name" and found["dash"]:
            column = found["value"].strip("\"'")
        elif not line.startswith(" "):
            column = ""
        yield _Line(line, (column, found["key"]), comment)
