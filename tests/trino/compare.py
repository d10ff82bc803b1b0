"""How two outcomes of a statement differ."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tests.trino.local import as_column_type

KINDS = {
    "value": "another value than Trino's, in silence",
    "accepts": "an answer where Trino refuses",
    "type": "the value, under another type",
    "name": "the value, under another name",
    "refuses": "refused, and Trino answers",
    "gap": "NOT_SUPPORTED, and Trino answers",
    "code": "refused like Trino, under another code",
}
"""Kinds of differences, the worst first."""

NUMBER = re.compile(r"-?\d+\.\d+(?:E-?\d+)?")
CLOSE = 1e-14
"""Doubles that differ by less are equal: the last bits of sin or a sum are nobody's promise."""


def difference(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str | None:
    """The kind of a difference between Trino's outcome and the local one, or None."""
    if "error" in theirs and "error" in ours:
        return None if theirs["error"] == ours["error"] or ours["error"] == "NOT_SUPPORTED" else "code"
    if "error" in theirs:
        return "accepts"
    if "error" in ours:
        return "gap" if ours["error"] == "NOT_SUPPORTED" else "refuses"
    if not same_rows(theirs["rows"], ours["rows"], theirs["types"]):
        return "value"
    if [as_column_type(name) for name in theirs["types"]] != ours["types"]:
        return "type"
    return None if theirs.get("names", ours["names"]) == ours["names"] else "name"


def same_rows(
    theirs: Sequence[Sequence[str | None]], ours: Sequence[Sequence[str | None]], types: Sequence[str]
) -> bool:
    if len(theirs) != len(ours):
        return False
    return all(
        len(a) == len(b) and all(same(x, y, kind) for x, y, kind in zip(a, b, types, strict=True))
        for a, b in zip(theirs, ours, strict=True)
    )


def same(x: str | None, y: str | None, kind: str) -> bool:
    """Whether two texts are one value: doubles to their last bits, maps in any order."""
    if x == y or x is None or y is None:
        return x == y
    if "map(" in kind:
        return sorted(re.split(r"[{}\[\]]|, ", x)) == sorted(re.split(r"[{}\[\]]|, ", y))
    if "double" not in kind and "real" not in kind:
        return False
    if NUMBER.sub("#", x) != NUMBER.sub("#", y):
        return False
    close = CLOSE if "double" in kind else 1e-6
    pairs = zip(map(float, NUMBER.findall(x)), map(float, NUMBER.findall(y)), strict=True)
    return all(
        math.isclose(a, b, rel_tol=close, abs_tol=1e-300) and math.copysign(1, a) == math.copysign(1, b)
        for a, b in pairs
    )
