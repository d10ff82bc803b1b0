"""Masks of attributes that have no column, and of members inside maps: `address.phone`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dynaberg.contracts.column_types import ParsedType, member_of
from dynaberg.contracts.columns import MASKS, Column
from dynaberg.errors import ContractError

# A name with a dot in it stands between quotation marks.
_SEGMENT = re.compile(r'(?:"([^"]+)"|([^."]+))(?:\.(?=.)|$)')


@dataclass(frozen=True)
class PathMask:
    """A mask of an attribute, or of a member inside its maps; it also reaches the maps of a list.

    Attributes:
        path: Names of the attribute and of the members below it.
        mask: `drop`, `null`, `hash`, `tokenise`, `last4` or `year`.
    """

    path: tuple[str, ...]
    mask: str

    def __str__(self) -> str:
        return ".".join(f'"{name}"' if "." in name else name for name in self.path)


def read_path_masks(masks: Any) -> Iterator[PathMask]:
    """The masks of a parsed YAML mapping, `{address.phone: hash}`.

    Raises:
        ContractError: It is not a mapping, or a path cannot be read.
    """
    if not isinstance(masks, dict):
        msg = f"`masks` is {masks!r}, but it must be a mapping of attributes to masks."
        raise ContractError(msg, hint="Write `masks: {address.phone: hash}`.")
    for text, mask in masks.items():
        yield PathMask(_read_path(text), mask)


def check_path_masks(
    masks: Sequence[PathMask], columns: Sequence[Column], key_columns: Sequence[Column]
) -> None:
    """Reject masks that are unknown, meet each other, hide a key, or do not fit the type of a column.

    Raises:
        ContractError: What is wrong with which mask.
    """
    keys = {column.attribute for column in key_columns}
    for mask in masks:
        if mask.mask not in MASKS:
            msg = f"`{mask}` has the mask {mask.mask!r}. Masks: {', '.join(MASKS)}."
            raise ContractError(msg, hint="Use one of them, or remove the line.")
        if mask.path[0] in keys:
            msg = f"`{mask}` is masked, but {mask.path[0]!r} is a key; masked keys would not be unique."
            raise ContractError(msg, hint="Remove the mask, or use a key that is not sensitive.")
        above = [o for o in masks if o is not mask and mask.path[: len(o.path)] == o.path]
        if above:
            raise ContractError(f"`{mask}` is masked by `{above[0]}` already.", hint="Keep one of the two.")
        for column in columns:
            if column.attribute == mask.path[0]:
                _check_column(mask, column)


def _check_column(mask: PathMask, column: Column) -> None:
    if column.mask or len(mask.path) == 1:
        msg = f"`{mask}` is masked under `masks`, but its attribute has the column {column.name!r}."
        raise ContractError(msg, hint=f"Write `mask: {mask.mask}` at the column, and nothing under `masks`.")
    reached = _type_at(column.parsed_type, mask.path[1:])
    if reached not in (None, "string", "json") and mask.mask not in ("drop", "null"):
        msg = f"`{mask}` is a {reached} in the column {column.name!r}, but {mask.mask!r} turns it into text."
        raise ContractError(msg, hint="Use `drop`, or make it a string.")


def _type_at(parsed: ParsedType, path: Sequence[str]) -> ParsedType | None:
    """The type at the end of a path; None if the types on the way do not name it."""
    match parsed:
        case {"list": inner}:
            return _type_at(inner, path)
        case _ if not path:
            return parsed
        case {"map": inner}:
            return _type_at(inner, path[1:])
        case {"struct": dict(members)}:
            named = dict(member_of(name, inner) for name, inner in members.items())
            return _type_at(named[path[0]], path[1:]) if path[0] in named else None
        case "json":
            return "json"
        case _:
            return None


def _read_path(text: Any) -> tuple[str, ...]:
    found: list[str] = []
    end = 0
    while isinstance(text, str) and (match := _SEGMENT.match(text, end)) and end < len(text):
        found.append(match[1] or match[2])
        end = match.end()
    if not found or end < len(text):
        msg = f"{text!r} under `masks` is not an attribute, or a path such as address.phone."
        raise ContractError(msg, hint="Put a name with a dot in it in quotation marks: '\"a.b\".phone'.")
    return tuple(found)
