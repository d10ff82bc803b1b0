"""The columns of a table contract: name, type, attribute, mask, and how they read moments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from dynaberg.contracts.column_types import ParsedType, parse_type
from dynaberg.errors import ContractError

MASKS = ("drop", "null", "hash", "tokenise", "last4", "year")
KEYED_MASKS = {"hash", "tokenise"}
"""Those that need a key."""
_ANY_TYPE, _YEARS = ("drop", "null"), ("string", "date", "timestamptz")
RESERVED = (
    *("change_id", "operation", "changed_at", "sequence_number", "received_at"),
    *("old_image", "unmapped", "deleted_by"),
)
"""The columns that every change log has."""
PART_TYPES = ("string", "int", "long", "decimal", "date", "timestamptz")
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,254}")


@dataclass(frozen=True)
class Column:
    """One column of a table contract.

    Attributes:
        name: Name of the Iceberg column.
        type: Type in Iceberg's spelling, such as `decimal(12,2)`, or `json`.
        description: What the column means, in a sentence.
        mask: None, or what the Lambda does to the value: `drop`, `null`, `hash`, `tokenise`, `last4`, `year`.
        attribute: Name of the DynamoDB attribute that it takes; by default the column's. Several columns may
            take one attribute: each takes the values that fit its type.
        round: None, or `microsecond`: moments with finer digits are rounded; otherwise they are refused.
        zone: None, or `UTC`: moments without an offset count as UTC; otherwise they are refused.
        after: Takes the part of a text after this one: of `ORDER#7`, with `ORDER#`, it takes `7`.
        before: Ends that part at this text, if it occurs.
    """

    name: str
    type: str
    description: str = ""
    mask: str | None = None
    attribute: str = ""
    round: str | None = None
    zone: str | None = None
    after: str = ""
    before: str = ""

    def __post_init__(self) -> None:
        """Reject what Firehose or Iceberg would refuse later with a less clear message."""
        check_name(self.name)
        object.__setattr__(self, "attribute", self.name if self.attribute == "" else self.attribute)
        _check_attribute(self)
        _check_mask(self)
        _check_moments(self)
        _check_part(self)

    @property
    def is_part(self) -> bool:
        """Whether it takes only a part of its attribute."""
        return bool(self.after or self.before)

    @property
    def parsed_type(self) -> ParsedType:
        """The parsed type."""
        return parse_type(self.type, where=f"Column {self.name!r}")


def check_name(name: Any) -> None:
    """Reject what cannot be the name of an Iceberg table or column.

    Raises:
        ContractError: It is not text, is not lower case, or is a column of every change log.
    """
    if not isinstance(name, str):
        msg = f"A name is {name!r}, because YAML reads some words as other values: no, yes, on, off, numbers."
        raise ContractError(msg, hint='Put it in quotation marks, such as "no".')
    if not _NAME.fullmatch(name):
        msg = f"{name!r} cannot be the name of an Iceberg table or column that Firehose writes."
        raise ContractError(
            msg,
            hint="Use lower-case letters, digits and underscores. A column may have another name than its "
            f"attribute: `name: {_suggest_name(name)}, attribute: {name!r}`.",
        )
    if name in RESERVED:
        msg = f"{name!r} is the name of a column of the change log. Those are: {', '.join(RESERVED)}."
        raise ContractError(
            msg, hint=f"Give the column another name: `name: item_{name}, attribute: {name}`."
        )


def masked_words(mask: str | None, version: int) -> str:
    """What a column's description says about its mask, with the version of the key if it needs one."""
    return f"Masked: {mask}{f', version {version} of the key' if mask in KEYED_MASKS else ''}."


def _suggest_name(name: str) -> str:
    """A name that Iceberg accepts, for one that it does not: `card_number` for `cardNumber`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^a-z0-9_]+", "_", words.lower()).strip("_") or "column_1"


def _check_attribute(column: Column) -> None:
    attribute: Any = column.attribute
    if not isinstance(attribute, str):
        msg = f"Column {column.name!r} takes the attribute {column.attribute!r}, which is not text in YAML."
        raise ContractError(msg, hint='Put it in quotation marks, such as "no".')


def _check_moments(column: Column) -> None:
    for option, only in (("round", "microsecond"), ("zone", "UTC")):
        value = getattr(column, option)
        if value not in (None, only):
            msg = f"Column {column.name!r} has `{option}: {value}`, but only `{option}: {only}` is supported."
            raise ContractError(msg, hint=f"Write `{option}: {only}`, or remove it.")
        if value and "timestamptz" not in column.type:
            msg = (
                f"Column {column.name!r} has `{option}: {value}` but holds no moments: it is a {column.type}."
            )
            raise ContractError(msg, hint=f"Remove `{option}`, or make it a timestamptz.")


def _check_part(column: Column) -> None:
    if not all(isinstance(text, str) for text in (column.after, column.before)):
        msg = f"Column {column.name!r} has `after` or `before` with what is not text in YAML."
        raise ContractError(msg, hint='Put it in quotation marks, such as "ORDER#".')
    kind = column.type.partition("(")[0]
    if column.is_part and kind not in PART_TYPES:
        msg = f"Column {column.name!r} takes a part of a text, which cannot be a {column.type}."
        raise ContractError(msg, hint=f"Types of parts: {', '.join(PART_TYPES)}.")


def _check_mask(column: Column) -> None:
    if column.mask not in (None, *MASKS):
        msg = f"Column {column.name!r} has the mask {column.mask!r}. Masks: {', '.join(MASKS)}."
        raise ContractError(msg, hint="Use one of them, or remove `mask`.")
    fitting = _YEARS if column.mask == "year" else ("string",)
    if column.parsed_type not in fitting and column.mask not in (None, *_ANY_TYPE):
        msg = f"Column {column.name!r} is a {column.type}, but the mask {column.mask!r} turns it into text."
        raise ContractError(msg, hint="Use `mask: drop`, or make it a string column.")
