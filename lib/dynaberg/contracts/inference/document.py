"""A contract as YAML, with what was seen as comments beside its columns."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from dynaberg.contracts import Column, Condition, Contract

_WIDTH = 110
_LONGEST_NAME = 60
_PLAIN = re.compile(r"[A-Za-z0-9_]+")
_SIGNS = re.compile(r"[A-Za-z0-9_#|:./ -]+")
_OPTIONS = ("after", "before", "type", "round", "zone", "description")


@dataclass(frozen=True)
class DescribedColumn:
    """A column, and the comments that go with it.

    Attributes:
        column: The column.
        evidence: What was seen, a line each.
        mask: The line of the mask, such as `mask: drop  # why`; a comment if the column has none.
    """

    column: Column
    evidence: Sequence[str]
    mask: str = ""


def write_contract(
    contract: Contract,
    columns: Sequence[DescribedColumn],
    masks: Sequence[str],
    before: Iterable[str],
    after: Iterable[str],
) -> str:
    """A contract in YAML.

    Args:
        contract: The contract.
        columns: Its columns with their comments.
        masks: The lines of `masks`, and comments for those that are suggested.
        before: Lines of the comment at the beginning.
        after: Lines of the comment at the end.
    """
    roles = zip(("partition", "sort"), contract.key, strict=False)
    key = [f"{role}: {scalar(name)}" for role, name in roles]
    lines = [
        *_comments(before),
        "",
        f"source_table: {scalar(contract.source_table)}",
        f"table: {scalar(contract.table)}",
        f"key: {{{', '.join(key)}}}",
        *_when_lines(contract.when),
        "",
        "columns:",
        *(line for described in columns for line in _column_lines(described)),
        *(["", *masks] if masks else []),
        *_comments(after),
    ]
    return "\n".join(lines) + "\n"


def _when_lines(when: Sequence[Condition]) -> Iterator[str]:
    if when:
        yield "when:"
    for condition in when:
        value = condition.value
        shown_value = _quoted(value) if isinstance(value, str) else str(value).lower()
        yield f"  - {{attribute: {scalar(condition.attribute)}, {condition.test}: {shown_value}}}"


def _column_lines(described: DescribedColumn) -> Iterator[str]:
    column = described.column
    yield from _comments(described.evidence, indent="  ")
    yield f"  - name: {scalar(column.name)}"
    if column.attribute != column.name:
        yield f"    attribute: {scalar(column.attribute)}"
    for option in _OPTIONS:
        value = getattr(column, option)
        if value:
            yield from _option_lines(option, value)
    if described.mask:
        yield f"    {'' if column.mask else '# '}{described.mask}"


def _quoted(text: str) -> str:
    """A text as YAML reads it back, in quotation marks if it holds a sign."""
    return scalar(text) if _PLAIN.fullmatch(text) else f'"{text}"' if _SIGNS.fullmatch(text) else scalar(text)


def _option_lines(option: str, value: str) -> Iterator[str]:
    line = f"    {option}: {_quoted(value) if option in ('after', 'before') else scalar(value)}"
    if len(line) <= _WIDTH or option != "type":
        yield line
        return
    # Folded: YAML reads these lines as one, with a space for each line feed.
    yield f"    {option}: >-"
    yield from textwrap.wrap(
        value, _WIDTH - 6, initial_indent=" " * 6, subsequent_indent=" " * 6, break_long_words=False
    )


def _comments(lines: Iterable[str], indent: str = "") -> Iterator[str]:
    for line in lines:
        margin = " " * (len(line) - len(line.lstrip()))
        wrapped = textwrap.wrap(line, _WIDTH, subsequent_indent=f"{margin}  ", break_on_hyphens=False) or [""]
        yield from (f"{indent}# {part}".rstrip() for part in wrapped)


def scalar(text: str) -> str:
    """A text as YAML reads it back: in quotation marks where YAML would read it as something else."""
    try:
        if text.isascii() and yaml.safe_load(f"x: {text}") == {"x": text}:
            return text
    except yaml.YAMLError:
        pass
    quoted: str = yaml.safe_dump(text, default_style='"', allow_unicode=True, width=2**31)
    return quoted.rstrip("\n")


def shown(name: str) -> str:
    """The name of an attribute in a comment: on one line, and not endless."""
    plain = name if name.isascii() and name.isprintable() else ascii(name)[1:-1]
    return f"`{plain}`" if len(plain) <= _LONGEST_NAME else f"`{plain[:_LONGEST_NAME]}…`"
