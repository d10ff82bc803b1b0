"""Which items of a DynamoDB table are a table's, where several kinds of items share it: `when` in a contract.

This is independent of the Lambda's routing, so that what reconcile compares was not chosen by the code that
it checks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from dynaberg.errors import ContractError

TESTS = ("equals", "begins_with", "matches", "exists")


@dataclass(frozen=True)
class Condition:
    """A condition on a top-level attribute of an item.

    Attributes:
        attribute: Name of the attribute.
        test: `equals` (a text, a number or a boolean), `begins_with` (a text), `matches` (a regular
            expression that must fit the whole text), or `exists` (true or false).
        value: What it is compared with.
    """

    attribute: str
    test: str
    value: Any

    def __post_init__(self) -> None:
        """Reject what can never hold, or not be decided."""
        shown = f"`{{attribute: {self.attribute}, {self.test}: {self.value!r}}}`"
        if not isinstance(self.attribute, str) or not self.attribute:
            msg = f"`when` names the attribute {self.attribute!r}, which is not text in YAML."
            raise ContractError(msg, hint='Put it in quotation marks, such as "no".')
        allowed: Mapping[str, tuple[type, ...]] = {
            "equals": (str, bool, int, float),
            "begins_with": (str,),
            "matches": (str,),
            "exists": (bool,),
        }
        if not isinstance(self.value, allowed[self.test]) or self.value == "":
            wanted = {"exists": "true or false", "equals": "a text, a number, true or false"}
            msg = f"{shown} under `when` cannot be decided."
            raise ContractError(msg, hint=f"Give {wanted.get(self.test, 'a text')} after `{self.test}`.")
        if self.test == "matches":
            try:
                re.compile(str(self.value))
            except re.error as error:
                msg = f"{shown} under `when` is not a regular expression: {error}."
                raise ContractError(msg, hint="Write it as Python's `re` reads it.") from error

    @property
    def tag(self) -> str:
        """DynamoDB's type letter of the value of `equals`."""
        return "BOOL" if isinstance(self.value, bool) else "S" if isinstance(self.value, str) else "N"

    def holds(self, item: Mapping[str, Any]) -> bool:
        """Whether an item, as DynamoDB JSON, meets the condition."""
        attribute = item.get(self.attribute)
        if self.test == "exists":
            return (attribute is not None) is self.value
        if attribute is None:
            return False
        ((tag, found),) = attribute.items()
        if self.test == "equals":
            return bool(tag == self.tag and _same(tag, found, self.value))
        return bool(tag == "S" and self._fits(found))

    def _fits(self, text: str) -> bool:
        if self.test == "begins_with":
            return text.startswith(self.value)
        return re.fullmatch(self.value, text, re.DOTALL) is not None

    def excludes(self, other: Condition) -> bool:
        """Whether no item can meet both this condition and another one, as far as can be seen."""
        if self.attribute != other.attribute:
            return False
        if "exists" in (self.test, other.test):
            # Every other test needs the attribute.
            states = [c.value if c.test == "exists" else True for c in (self, other)]
            return states[0] != states[1]
        first, second = sorted((self, other), key=lambda condition: TESTS.index(condition.test))
        if first.test == "equals" and second.test == "equals":
            return first.tag != second.tag or not _same(first.tag, str(first.value), second.value)
        if first.test == "equals":
            return first.tag != "S" or not second._fits(first.value)
        if second.test == "begins_with":
            return not (first.value.startswith(second.value) or second.value.startswith(first.value))
        return False


def _same(tag: str, found: Any, wanted: Any) -> bool:
    if tag != "N":
        return bool(found == wanted) or (tag == "BOOL" and found == str(wanted))
    try:
        return Decimal(str(found)) == Decimal(str(wanted))
    except InvalidOperation:
        return False


def read_conditions(given: Any) -> Iterator[Condition]:
    """The conditions of a contract's `when`, a mapping or a list of them, which must all hold.

    Raises:
        ContractError: It is something else, or one of them cannot be used.
    """
    listed = given if isinstance(given, list) else [given]
    if not listed:
        raise ContractError("`when` is empty.", hint='Write `when: {attribute: SK, begins_with: "ORDER#"}`.')
    for each in listed:
        tests = sorted(each.keys() - {"attribute"}) if isinstance(each, dict) else []
        if len(tests) != 1 or tests[0] not in TESTS or "attribute" not in each:
            msg = f"`when` holds {each!r}, which is not an attribute with one of {', '.join(TESTS)}."
            raise ContractError(
                msg, hint='Write `when: {attribute: SK, begins_with: "ORDER#"}`, or a list of such lines.'
            )
        yield Condition(each["attribute"], tests[0], each[tests[0]])


def overlap(first: Sequence[Condition], second: Sequence[Condition]) -> bool:
    """Whether it can be seen that an item meets both lists of conditions.

    Conditions on different attributes may well exclude each other in the items that there are; two lists of
    which one looks at no attribute that the other leaves out cannot.
    """
    if any(here.excludes(there) for here in first for there in second):
        return False
    here, there = ({condition.attribute for condition in each} for each in (first, second))
    return here <= there or there <= here
