"""A contract's YAML with new columns and wider types, every other line and comment as it was."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from dynaberg.contracts.changes import Changes
from dynaberg.contracts.columns import Column
from dynaberg.contracts.mask_paths import PathMask
from dynaberg.errors import ContractError

_PLAIN = r"[A-Za-z_][\w-]*"


def rewrite(text: str, add: Sequence[Column], types: Mapping[str, str], drafted: str) -> str:
    """The YAML of a contract with more columns and other types.

    Args:
        text: The YAML as it is.
        add: New columns, which go to the end.
        types: New types by the names of columns.
        drafted: YAML in which the new columns stand with what was seen of them.

    Raises:
        ContractError: The columns are not written one by one.
    """
    lines = text.splitlines(keepends=True)
    columns = _columns_of(text)
    for name, wanted in types.items():
        _retype(lines, columns, name, wanted)
    end = columns[-1].end_mark.line + (0 if columns[-1].end_mark.column == 0 else 1)
    # A column's end lies behind blank lines and comments that follow it: what stands further in is its own.
    own = columns[-1].start_mark.column
    while end > 0 and not _belongs(lines[end - 1], own):
        end -= 1
    while end < len(lines) and _belongs(lines[end], own):
        end += 1
    blocks = [_block(drafted, column, columns[-1].start_mark.column - 2) for column in add]
    if end and not lines[end - 1].endswith("\n"):
        lines[end - 1] += "\n"
    return "".join([*lines[:end], *blocks, *lines[end:]])


def rewrite_changes(text: str, changes: Changes, masks: Sequence[PathMask]) -> str:
    """The YAML of a contract with renamed and widened columns; those that go become comments.

    Args:
        text: The YAML as it is.
        changes: What to change.
        masks: Masks to add under `masks`.

    Raises:
        ContractError: The columns or the masks are not written one by one.
    """
    lines = text.splitlines(keepends=True)
    columns = _columns_of(text)
    for column in reversed(columns):
        values = {key.value: value for key, value in column.value}
        name = values["name"].value
        if name in changes.drop:
            _comment_out(lines, column)
        if name in changes.widen:
            _retype(lines, columns, name, changes.widen[name])
        if name in changes.rename:
            _rename(lines, column, values, changes.rename[name])
    written = "".join(lines)
    for mask in masks:
        written = _with_mask(written, mask)
    return written


def _rename(lines: list[str], column: Any, values: Mapping[str, Any], new: str) -> None:
    """Write another name, and the attribute that the column took by its name."""
    node = values["name"]
    first, last = node.start_mark, node.end_mark
    line = lines[first.line]
    attribute = "" if "attribute" in values else f"attribute: {_scalar(node.value)}"
    inside = f", {attribute}" if attribute and column.flow_style else ""
    lines[first.line] = f"{line[: first.column]}{new}{inside}{line[last.column :]}"
    if attribute and not column.flow_style:
        if not lines[first.line].endswith("\n"):
            lines[first.line] += "\n"
        lines.insert(first.line + 1, f"{' ' * column.start_mark.column}{attribute}\n")


def _comment_out(lines: list[str], column: Any) -> None:
    """Turn the lines of a column into comments: they say what was there, and what their comments mean."""
    indent = column.start_mark.column - 2
    last = max(value.end_mark.line for _, value in column.value)
    for number in range(column.start_mark.line, last + 1):
        if (line := lines[number]).strip() and len(line) - len(line.lstrip()) >= indent:
            lines[number] = f"{line[:indent]}# {line[indent:]}"


def _with_mask(text: str, mask: PathMask) -> str:
    """The YAML with one more mask."""
    path = str(mask)
    entry = f"{path if re.fullmatch(_PLAIN, path) and _scalar(path) == path else repr(path)}: {mask.mask}"
    for key, value in getattr(yaml.compose(text), "value", ()):
        if key.value == "masks" and not value.flow_style:
            lines = text.splitlines(keepends=True)
            lines.insert(value.start_mark.line, f"{' ' * value.start_mark.column}{entry}\n")
            return "".join(lines)
        if key.value == "masks":
            begin = value.start_mark.index + 1
            return f"{text[:begin]}{entry}{', ' if value.value else ''}{text[begin:]}"
    end = "" if text.endswith("\n") else "\n"
    return f"{text}{end}masks:\n  {entry}\n"


def _scalar(text: str) -> str:
    """A text as YAML has it: in quotation marks where it would be read as something else."""
    return text if re.fullmatch(_PLAIN, text) and yaml.safe_load(text) == text else f'"{text}"'


def _columns_of(text: str) -> list[Any]:
    """The nodes of the columns, which know where they stand."""
    document = yaml.compose(text)
    for key, value in getattr(document, "value", ()):
        if key.value == "columns" and isinstance(value, yaml.SequenceNode) and not value.flow_style:
            return list(value.value)
    raise ContractError(
        "The contract's columns are not a list with a line for each.",
        hint="Write each as `- name: …` on a line of its own.",
    )


def _retype(lines: list[str], columns: Sequence[Any], name: str, wanted: str) -> None:
    for column in columns:
        values = {key.value: value for key, value in column.value}
        if values["name"].value == name:
            old = values["type"]
            first, last = old.start_mark, old.end_mark
            if first.line != last.line:
                msg = f"The type of the column {name!r} is written on several lines."
                raise ContractError(msg, hint=f"Write it on one line, or set it yourself: `type: {wanted}`.")
            line = lines[first.line]
            lines[first.line] = f'{line[: first.column]}"{wanted}"{line[last.column :]}'


def _belongs(line: str, indent: int) -> bool:
    """Whether a line is of the last column: further in than the dash, whether a comment or not."""
    return bool(line.strip()) and len(line) - len(line.lstrip()) >= indent - (line.lstrip()[:1] == "-") * 2


def _block(drafted: str, column: Column, indent: int) -> str:
    """The lines of a column in a draft, with its comments, indented as the other columns are."""
    pattern = rf"((?:  #.*\n)*  - name: \"?{re.escape(column.name)}\"?\n(?:    .*\n)*)"
    found = re.search(pattern, drafted)
    block = found[1] if found else f'  - name: {column.name}\n    type: "{column.type}"\n'
    return "".join(f"{' ' * indent}{line[2:]}" for line in block.splitlines(keepends=True))
