"""Names of columns for the names of attributes: snake_case, each once, none that the change log has."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from dynaberg.contracts.columns import RESERVED as LOG_COLUMNS

MEMBER = re.compile(r"[a-z_][a-z0-9_]{0,99}")
"""A name that a member of a struct can have, beside those of the change log that a column cannot have."""
_LONGEST = 100


def snake_case(name: str, *, otherwise: str = "attribute") -> str:
    """A name that Iceberg and Firehose accept.

    Args:
        name: Name of an attribute or of a table.
        otherwise: What to call something without a letter or a digit in its name.

    Example:
        >>> snake_case("HTTPStatus-code")
        'http_status_code'
    """
    if MEMBER.fullmatch(name) and name not in LOG_COLUMNS:
        return name
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    # Letters without their accents: é is e and a sign.
    plain = unicodedata.normalize("NFKD", words.casefold()).encode("ascii", "ignore").decode()
    joined = re.sub(r"[^a-z0-9]+", "_", plain)[:_LONGEST].strip("_") or otherwise
    return f"item_{joined}" if joined in LOG_COLUMNS or joined[0].isdecimal() else joined


def member_names(attributes: Iterable[str]) -> dict[str, str]:
    """Names for the members of a struct, by the attributes that they take."""
    given, others = {}, []
    for attribute in sorted(attributes):
        if MEMBER.fullmatch(attribute):
            given[attribute] = attribute
        else:
            others.append(attribute)
    names = Names(set(given))
    return given | {attribute: names.give(snake_case(attribute)) for attribute in others}


class Names:
    """The names of the columns of one table, each given out once.

    Args:
        taken: Names that are not free.
    """

    def __init__(self, taken: set[str]) -> None:
        self._taken = set(taken)

    def give(self, wanted: str) -> str:
        """The name, or the next free one with a number: `zip_2`."""
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name
