"""Dates and moments in text, in the forms that a column of type `date` or `timestamptz` accepts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime

from dynaberg.contracts import MISFITS, reader_for

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# A form that the conversion in the Lambda accepts, too: a test compares them.
_MOMENT = re.compile(
    r"[0-9]{4}(?P<hyphen>-?)[0-9]{2}(?P=hyphen)[0-9]{2}[Tt ]"
    r"[0-9]{2}(?P<colon>:?)[0-9]{2}(?:(?P=colon)(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]+))?)?"
    r"(?P<offset>[Zz]|[+-][0-9]{2}:?[0-5][0-9])?"
)
_CANONICAL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.(?!0{6})[0-9]{6})?Z")
_EDGE_YEARS = ("0001", "9999")
_read_moment = reader_for("timestamptz", rounds=True, in_utc=True)


@dataclass(frozen=True)
class MomentForm:
    """How a moment is written.

    Attributes:
        finer: Whether it needs `round: microsecond`.
        local: Whether it has no offset and needs `zone: UTC`.
        canonical: Whether it has the one spelling that a key must have.
    """

    finer: bool
    local: bool
    canonical: bool


_PLAIN = MomentForm(finer=False, local=False, canonical=False)
_CANONICAL_FORM = MomentForm(finer=False, local=False, canonical=True)


def is_date(text: str) -> bool:
    """Whether a text is a day such as 2026-01-31."""
    if not _DATE.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def moment_form(text: str) -> MomentForm | None:
    """How a moment in ISO 8601 is written; None if a `timestamptz` column would refuse the text."""
    found = _MOMENT.fullmatch(text)
    if found is None or not _exists(text):
        return None
    _, _, second, fraction, offset = found.groups()
    if offset == "Z" and second != "60" and _CANONICAL.fullmatch(text) and text[11:13] != "24":
        return _CANONICAL_FORM
    finer = second == "60" or bool(fraction and fraction[6:].strip("0"))
    local = offset is None
    return MomentForm(finer, local, canonical=False) if finer or local else _PLAIN


def _exists(text: str) -> bool:
    """Whether there is such a moment; what datetime does not know is left to the reader of columns."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        pass
    else:
        if not text.startswith(_EDGE_YEARS):
            return True
    try:
        _read_moment({"S": text})
    except MISFITS:
        return False
    return True
