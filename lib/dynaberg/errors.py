"""The errors of Dynaberg, one tree.

* DynabergError
  x SettingsError            cdk.context.json, a target, a Region, a moment that cannot be used
  x ContractError            a table contract that cannot be used
  x LocalAwsError            the local AWS is missing, busy, or gone
  x CredentialsError         AWS cannot identify the caller
  x NotFoundError            a table, snapshot, stack or moment that does not exist
  x NotReadyError            a wait that passed its deadline
  x DeploymentError          a stack that CloudFormation could not create, update or delete
  x TrafficError             writes that DynamoDB did not accept
  x BuildError               a curated table that could not be built; its old content stays
  x QueryError               SQL that Athena refused
    + QueryCancelledError    a query that was stopped

Every message says what happened, with the value; `hint` says what to do. A notebook shows only these two,
without the library's stack trace; the cause is kept in `__cause__`. What begins with `require_` checks
what every room is given: moments, whole numbers, seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from difflib import get_close_matches
from numbers import Real
from operator import index
from typing import Any

_MOST = 10**16 - 1


class DynabergError(Exception):
    """Base of every error that Dynaberg raises on purpose.

    Args:
        message: What happened, with the value, as a sentence.
        hint: What to do about it.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nHint: {self.hint}" if self.hint else self.message

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class SettingsError(DynabergError):
    """A setting that cannot be used."""


class ContractError(DynabergError):
    """A table contract that cannot be used."""


class LocalAwsError(DynabergError):
    """The local AWS is missing, busy, or gone."""


class CredentialsError(DynabergError):
    """AWS cannot identify the caller."""


class NotFoundError(DynabergError):
    """Something was requested that does not exist."""

    @classmethod
    def among(cls, kind: str, name: str, existing: Iterable[str], *, hint: str = "") -> NotFoundError:
        """The error for a name that is not among those that exist.

        Args:
            kind: What was requested, such as `table`.
            name: The name that was given.
            existing: The names that exist.
            hint: What to do if nothing exists or no name is similar.
        """
        names = sorted(existing)
        near = get_close_matches(str(name), names, n=1)
        advice = f"Did you mean {near[0]!r}?" if near else hint
        listed = ", ".join(names) if names else "none"
        return cls(f"There is no {kind} {name!r}. What exists: {listed}.", hint=advice)


class NotReadyError(DynabergError):
    """A wait that passed its deadline."""


class DeploymentError(DynabergError):
    """A stack that CloudFormation could not create, update or delete."""


class TrafficError(DynabergError):
    """Writes that DynamoDB did not accept."""


class BuildError(DynabergError):
    """A curated table that could not be built; its old content stays."""


class QueryError(DynabergError):
    """SQL that Athena refused."""


class QueryCancelledError(QueryError):
    """A query that was stopped."""


def require_moment(when: Any, *, wanted: str = "a moment") -> datetime:
    """Reject everything but a timezone-aware datetime.

    Args:
        when: What was given as a moment.
        wanted: What may be given, for the message.

    Returns:
        The moment as it was given.

    Raises:
        SettingsError: `when` has no time zone, or is not a datetime.

    Example:
        >>> require_moment(datetime.now(timezone.utc) - timedelta(minutes=5))
    """
    # pandas' NaT is a datetime by its type, and differs from itself.
    if not isinstance(when, datetime) or when != when:
        msg = f"{when!r} is a {type(when).__name__}; it must be {wanted}."
        raise SettingsError(msg, hint="Write datetime.now(timezone.utc) - timedelta(minutes=5), for example.")
    if when.utcoffset() is None:
        msg = f"{when.isoformat()} has no time zone, so the moment is ambiguous."
        hint = "Use datetime.now(timezone.utc), or .astimezone() for the zone of this machine."
        raise SettingsError(msg, hint=hint)
    return when


def require_moments(*given: Any) -> None:
    """Reject what is no moment among those that may be left out.

    Args:
        given: Moments, or None.

    Raises:
        SettingsError: One has no time zone, or is not a datetime.
    """
    for each in given:
        if each is not None:
            require_moment(each)


def require_whole(name: str, value: Any, *, least: int, most: int | None = None, hint: str) -> int:
    """Reject everything but a whole number within bounds; 1e6 is one.

    Args:
        name: What the number is called where it was given.
        value: What was given.
        least: The smallest that there can be.
        most: The largest; without it, a number of 16 digits.
        hint: What to write instead.

    Returns:
        The number.

    Raises:
        SettingsError: It is no whole number, or out of bounds.

    Example:
        >>> require_whole("days", 1e2, least=1, hint="Use for example 90.")
        100
    """
    number: int | None = None
    if not isinstance(value, bool):
        with suppress(TypeError):
            number = index(int(value) if isinstance(value, float) and value.is_integer() else value)
    if number is None or not least <= number <= (_MOST if most is None else most):
        bounds = f"{least:,} or more" if most is None else f"{least:,} to {most:,}"
        raise SettingsError(f"`{name}` is {value!r}; it can be {bounds}, a whole number.", hint=hint)
    return number


def require_seconds(name: str, value: Any) -> float:
    """Reject everything but a number of seconds, 0 or more; it may be infinite.

    Args:
        name: What the time is called where it was given.
        value: What was given.

    Returns:
        The seconds.

    Raises:
        SettingsError: It is no number, or less than 0.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not float(value) >= 0:
        msg = f"`{name}` is {value!r}; it can be a number of seconds, 0 or more."
        raise SettingsError(msg, hint=f"Write {name}=60, for example.")
    return float(value)
