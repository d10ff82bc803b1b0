"""Which tables a change concerns, where one DynamoDB table holds items of several kinds.

Each table of a source claims items by conditions on their attributes; what no table claims goes to the change
log of the rest. A change that makes an item one of another kind ends it in one table and begins it in the
other, so that each log is complete for itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from .attributes import ConversionError
from .change_row import MASKED, SNAPSHOT, ChangeConverter, masks_of
from .masks import MaskKey

Test = Callable[[Any], bool]
_IMAGES = ("NewImage", "OldImage")
_WITH_NEW_IMAGE = ("INSERT", "MODIFY", SNAPSHOT)


class Row(NamedTuple):
    """A change row, and the change log that it is for."""

    log: str
    data: bytes


@dataclass(frozen=True)
class _Table:
    """A table as routing needs it: whose items it claims, and how their changes are converted."""

    name: str
    log: str
    tests: tuple[tuple[str, Test], ...]
    is_rest: bool
    converter: ChangeConverter

    def claims(self, image: Mapping[str, Any]) -> bool:
        """Whether an item with these attributes is this table's."""
        return all(test(image.get(attribute)) for attribute, test in self.tests)

    def may_claim(self, keys: Mapping[str, Any]) -> bool:
        """Whether an item with these key attributes can be this table's."""
        return all(test(keys[attribute]) for attribute, test in self.tests if attribute in keys)


class Router:
    """Turns the change records of one DynamoDB table into the change rows of its tables.

    Args:
        document: What `Contract.to_lambda_json` writes: one table contract, or those of a source.
        mask_key: The key of the masks `hash` and `tokenise`.

    Raises:
        MaskKeyError: A mask needs a key, and there is none.

    Example:
        >>> router = Router(json.loads(contract.to_lambda_json()))
        >>> rows, errors = router.rows(record, received_at_us=1_764_000_000_000_000)
    """

    def __init__(self, document: Mapping[str, Any], mask_key: MaskKey | None = None) -> None:
        self._tables = [_table(contract, mask_key) for contract in document.get("tables", [document])]
        self._named = [table for table in self._tables if not table.is_rest]
        self._rest = [table for table in self._tables if table.is_rest]
        self._is_one = len(self._tables) == 1 and not self._tables[0].tests

    @property
    def logs(self) -> list[str]:
        """The names of the change logs."""
        return [table.log for table in self._tables]

    def rows(self, record: Any, received_at_us: int) -> tuple[list[Row], list[ConversionError]]:
        """Convert one change record.

        Args:
            record: The change record, parsed from JSON.
            received_at_us: When the Lambda received it, in microseconds since 1970.

        Returns:
            The change rows, at most one for each change log, and why there is none for another one.
        """
        rows: list[Row] = []
        errors: list[ConversionError] = []
        try:
            routed = self._route(record)
        except ConversionError as error:
            return [], [error]
        for table, change in routed:
            try:
                rows.append(Row(table.log, table.converter.to_row(change, received_at_us)))
            except ConversionError as error:
                errors.append(error if self._is_one else _named_error(error, table))
        return rows, errors

    def mask_record(self, record: Any) -> Any:
        """A change record as it may be kept after it failed: with its images masked, and a note of that.

        Each image is masked by the table that has the item. What is no change record stays as it is: nobody
        knows where in it something is secret. Masks that an image has already are not applied again.
        """
        change = record.get("dynamodb") if isinstance(record, dict) else None
        if not isinstance(change, dict):
            return record
        before = masks_of(record)
        images = {name: image for name in _IMAGES if isinstance(image := change.get(name), dict)}
        masked = {name: self._mask(image, before.get(name, [])) for name, image in images.items()}
        applied = {name: paths for name, (_, paths) in masked.items() if paths}
        if applied == before:
            return record
        kept = {name: image for name, (image, _) in masked.items()}
        return {**record, MASKED: applied, "dynamodb": {**change, **kept}}

    def _mask(self, image: Mapping[str, Any], applied: list[Any]) -> tuple[Mapping[str, Any], list[Any]]:
        for table in self._tables if self._is_one else self._claiming(image):
            image, applied = table.converter.mask(image, applied)
        return image, applied

    def concerns(self, record: Any, log: str) -> bool:
        """Whether a change record makes a row of a change log, if it fits its contract."""
        try:
            return any(table.log == log for table, _ in self._route(record))
        except ConversionError:
            return False

    def _route(self, record: Any) -> list[tuple[_Table, Any]]:
        """The tables that a change concerns, each with the change as that table sees it."""
        if self._is_one:
            return [(self._tables[0], record)]
        change = record.get("dynamodb") if isinstance(record, dict) else None
        operation = record.get("eventName") if isinstance(record, dict) else None
        new = change.get("NewImage") if isinstance(change, dict) else None
        knows_new = operation == "REMOVE" or (operation in _WITH_NEW_IMAGE and isinstance(new, dict))
        if not isinstance(change, dict) or not knows_new:
            # No change record: any converter says what is wrong with it.
            return [(self._tables[0], record)]
        now = self._claiming(new or {}) if operation in _WITH_NEW_IMAGE else []
        if len(now) > 1:
            names = " and ".join(repr(table.name) for table in now)
            raise ConversionError("SeveralTables", f"The item is claimed by the tables {names}")
        before = self._before(operation, change)
        routed = [(table, _as_seen(record, is_new=table not in before)) for table in now]
        return routed + [(table, _as_removed(record)) for table in before if table not in now]

    def _claiming(self, image: Mapping[str, Any]) -> list[_Table]:
        return [table for table in self._named if table.claims(image)] or self._rest

    def _before(self, operation: Any, change: Mapping[str, Any]) -> list[_Table]:
        """The tables that may have the item; without its old image all that its key does not rule out.

        A row that removes what a table does not have changes nothing.
        """
        if operation not in ("MODIFY", "REMOVE"):
            return []
        old, keys = change.get("OldImage"), change.get("Keys")
        if isinstance(old, dict) and old:
            return self._claiming(old)
        known = keys if isinstance(keys, dict) else {}
        return [table for table in self._tables if table.is_rest or table.may_claim(known)]


def _as_seen(record: Mapping[str, Any], *, is_new: bool) -> Mapping[str, Any]:
    """A change for the table that has the item now; where it is new, its past belongs to another table."""
    if not is_new or record["eventName"] == SNAPSHOT:
        return record
    return {**record, "eventName": "INSERT", "dynamodb": _without(record["dynamodb"], "OldImage")}


def _as_removed(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A change for a table that does not have the item any more."""
    return {**record, "eventName": "REMOVE", "dynamodb": _without(record["dynamodb"], "NewImage")}


def _without(change: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in change.items() if key != name}


def _named_error(error: ConversionError, table: _Table) -> ConversionError:
    return ConversionError(error.kind, f"{error.message} (table {table.name!r})")


def _table(contract: Mapping[str, Any], mask_key: MaskKey | None) -> _Table:
    tests = [(each["attribute"], _test(each)) for each in contract.get("when", ())]
    name = contract["table"]
    is_rest = bool(contract.get("is_rest"))
    converter = ChangeConverter(contract, mask_key)
    return _Table(name, f"{name}_changes", tuple(tests), is_rest, converter)


def _test(condition: Mapping[str, Any]) -> Test:
    value = condition["value"]
    match condition["test"]:
        case "exists":
            return lambda attribute: (attribute is not None) == value
        case "begins_with":
            return lambda attribute: _is_text(attribute) and _text(attribute).startswith(value)
        case "matches":
            fits = re.compile(value, re.DOTALL).fullmatch
            return lambda attribute: _is_text(attribute) and bool(fits(_text(attribute)))
        case _:
            return _equals(condition["tag"], value)


def _equals(tag: str, value: Any) -> Test:
    wanted = Decimal(value) if tag == "N" else value

    def equals(attribute: Any) -> bool:
        if not isinstance(attribute, dict) or tag not in attribute:
            return False
        try:
            found = Decimal(attribute[tag]) if tag == "N" else attribute[tag]
        except (InvalidOperation, TypeError, ValueError):
            return False
        return bool(found == wanted)

    return equals


def _is_text(attribute: Any) -> bool:
    return isinstance(attribute, dict) and isinstance(attribute.get("S"), str)


def _text(attribute: Mapping[str, Any]) -> str:
    return str(attribute["S"])
