"""FilterCriteria of an event source mapping: which records a function wants to see.

Source: AWS Lambda developer guide, "Control which events Lambda sends to your function".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

Filter = Callable[[Mapping[str, Any]], bool]
_ABSENT = object()
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "=": lambda value, bound: value == bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
}


def parse_filters(criteria: Mapping[str, Any]) -> tuple[Filter, ...]:
    """The filters of FilterCriteria; a record that one of them accepts is wanted."""
    patterns = [each.get("Pattern") or "{}" for each in criteria.get("Filters") or ()]
    return tuple(Pattern(orjson.loads(pattern)) for pattern in patterns)


class Pattern:
    """One pattern: every name in it must match.

    Args:
        pattern: The pattern, parsed.
    """

    def __init__(self, pattern: Mapping[str, Any]) -> None:
        self._pattern = pattern

    def __call__(self, record: Mapping[str, Any]) -> bool:
        """Whether a record matches."""
        return matches_object(self._pattern, record)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and other._pattern == self._pattern

    def __hash__(self) -> int:
        return hash(orjson.dumps(self._pattern, option=orjson.OPT_SORT_KEYS))


def matches_object(pattern: Mapping[str, Any], value: Any) -> bool:
    """Whether every name of a pattern matches in an object."""
    held = value if isinstance(value, Mapping) else {}
    for name, expected in pattern.items():
        if name == "$or":
            if not any(matches_object(choice, held) for choice in expected):
                return False
        elif isinstance(expected, Mapping):
            if not matches_object(expected, held.get(name)):
                return False
        elif not matches_one(expected, held.get(name, _ABSENT)):
            return False
    return True


def matches_one(rules: list[Any], value: Any) -> bool:
    """Whether a value, or one member of a list, meets one of the rules."""
    values = value if isinstance(value, list) else [value]
    return any(meets(rule, each) for rule in rules for each in values)


def meets(rule: Any, value: Any) -> bool:
    """Whether a value meets a rule: a literal, or a comparison such as `{"prefix": "a"}`."""
    if isinstance(rule, Mapping):
        return all(_OPERATORS[name](wanted, value) for name, wanted in rule.items())
    # JSON's true is not 1, Python's is.
    return value is not _ABSENT and type(value) is type(rule) and bool(value == rule)


def is_number(value: Any) -> bool:
    """Whether a value is a JSON number; DynamoDB's are text, as in the developer guide's note."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def in_range(wanted: list[Any], value: Any) -> bool:
    """Whether a number meets every comparison of `[">", 10, "<=", 20]`."""
    pairs = zip(wanted[::2], wanted[1::2], strict=True)
    return is_number(value) and all(_COMPARISONS[sign](value, bound) for sign, bound in pairs)


def unlike(wanted: Any, value: Any) -> bool:
    """Whether a value is there and meets none of what is not wanted."""
    rules = wanted if isinstance(wanted, list) else [wanted]
    return value is not _ABSENT and not matches_one(rules, value)


def same_text(wanted: str, value: Any) -> bool:
    """Whether a text is another one, by whatever case."""
    return isinstance(value, str) and value.casefold() == wanted.casefold()


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "exists": lambda wanted, value: (value is not _ABSENT and not isinstance(value, Mapping)) is wanted,
    "prefix": lambda wanted, value: isinstance(value, str) and value.startswith(wanted),
    "suffix": lambda wanted, value: isinstance(value, str) and value.endswith(wanted),
    "equals-ignore-case": same_text,
    "anything-but": unlike,
    "numeric": in_range,
}
