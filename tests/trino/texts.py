"""What Trino's protocol answers, written as Athena writes results."""

from __future__ import annotations

import base64
import math
import re
from decimal import Decimal
from typing import Any

from tests.trino.server import Answer

LEAST_DIGITS = 3
"""Athena writes moments with at least this many digits, whatever their type."""


def type_text(name: str) -> str:
    """A type as `typeof` writes it."""
    return (
        re.sub(r"decimal\((\d+), (\d+)\)", r"decimal(\1,\2)", name)
        .replace("INTERVAL DAY TO SECOND", "interval day to second")
        .replace("INTERVAL YEAR TO MONTH", "interval year to month")
    )


def double_text(value: Any) -> str:
    """A double as Java writes it."""
    if isinstance(value, str):
        return value
    number = float(value)
    if math.isnan(number) or math.isinf(number):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(number)]
    sign = "-" if math.copysign(1, number) < 0 else ""
    _, digits, exponent = Decimal(repr(abs(number))).as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits)).lstrip("0").rstrip("0") or "0"
    if number == 0:
        return f"{sign}0.0"
    power = len("".join(map(str, digits)).lstrip("0")) + exponent - 1
    if -3 <= power < 7:
        plain = format(Decimal(repr(abs(number))), "f")
        return sign + (plain if "." in plain else f"{plain}.0")
    return f"{sign}{text[0]}.{text[1:] or '0'}E{power}"


def moment_text(value: str) -> str:
    """A moment or a time with its digits: never fewer than Athena writes."""
    found = re.match(r"(.*\d{2}:\d{2}:\d{2})(?:\.(\d+))?(.*)$", value)
    if found is None:
        return value
    return f"{found[1]}.{(found[2] or '').ljust(LEAST_DIGITS, '0')}{found[3]}"


def text(value: Any, signature: Any) -> str | None:
    """A value as Athena writes it; None for NULL."""
    if value is None:
        return None
    kind, arguments = signature["rawType"], [a["value"] for a in signature["arguments"]]

    def inner(part: Any, of: Any) -> str:
        written = text(part, of)
        return "null" if written is None else written

    if kind == "array":
        return f"[{', '.join(inner(part, arguments[0]) for part in value)}]"
    if kind == "map":
        return (
            "{"
            + ", ".join(f"{inner(k, arguments[0])}={inner(w, arguments[1])}" for k, w in value.items())
            + "}"
        )
    if kind == "row":
        names = [
            (field.get("fieldName") or {}).get("name") or f"field{i}" for i, field in enumerate(arguments)
        ]
        parts = [inner(part, field["typeSignature"]) for part, field in zip(value, arguments, strict=True)]
        return "{" + ", ".join(f"{name}={part}" for name, part in zip(names, parts, strict=True)) + "}"
    if kind in ("double", "real"):
        return double_text(value)
    if kind == "varbinary":
        return base64.b64decode(value).hex(" ")
    if kind == "boolean":
        return str(value).lower()
    if kind.startswith(("timestamp", "time")):
        return moment_text(value)
    return str(value)


def outcome(answer: Answer) -> dict[str, Any]:
    """An answer as it is kept."""
    if answer.error:
        return {"error": answer.error}
    return {
        "types": [type_text(name) for name in answer.types],
        "names": answer.names,
        "rows": [[text(v, s) for v, s in zip(row, answer.signatures, strict=True)] for row in answer.rows],
    }
