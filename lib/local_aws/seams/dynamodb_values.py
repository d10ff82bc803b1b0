"""DynamoDB's values: numbers and binaries are what they mean, however a request spells them.

ministack checks them in most calls and keeps their spelling in some, so that `1.5` and `1.50` are two keys.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Mapping
from decimal import Context, Decimal
from typing import Any

import orjson

# Enough for the sum of the largest number and the smallest, exactly.
_EXACT = Context(prec=300)
_NOT_CANONICAL = re.compile(
    rb'"N"\s*:\s*"(?!(?:0|-?[1-9]\d*|-?(?:0|[1-9]\d*)\.\d*[1-9])")'
    rb'|"(?:NS|BS?)"\s*:'
    rb"|\\u00(?:4[2eE]|53)"
)
# Common numbers, which are canonical and in range.
_PLAIN = re.compile(r"0|-?[1-9]\d{0,36}|-?(?:0|[1-9]\d{0,17})\.\d{0,17}[1-9]").fullmatch


def take_values_by_meaning() -> None:
    """Let every call of DynamoDB see numbers and binaries in one spelling, and calculate exactly.

    A number that DynamoDB refuses stays as it is, so that ministack refuses it with the message of the call.
    """
    from ministack.services import dynamodb

    theirs = dynamodb.handle_request

    async def handle_request(
        method: str, path: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]
    ) -> Any:
        return await theirs(method, path, headers, normalised(body), query)

    dynamodb.handle_request = handle_request
    _check_plain_numbers_quickly()
    _calculate_exactly()
    _check_statements()
    _check_scans()


def normalised(body: bytes) -> bytes:
    """A request with every value in its one spelling; what is no JSON stays as it is."""
    if not _NOT_CANONICAL.search(body):
        return body
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
    return orjson.dumps(in_one_spelling(request))


def in_one_spelling(value: Any) -> Any:
    """A part of a request, its attribute values rewritten."""
    if isinstance(value, list):
        return [in_one_spelling(member) for member in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((kind, content),) = value.items()
        spell = _SPELLINGS.get(kind)
        if spell and isinstance(content, str):
            return {kind: spell(content)}
        spell = _SPELLINGS.get(kind.removesuffix("S"))
        if spell and isinstance(content, list) and all(isinstance(member, str) for member in content):
            return {kind: [spell(member) for member in content]}
    return {name: in_one_spelling(member) for name, member in value.items()}


def number(text: str) -> str:
    """A number in DynamoDB's spelling: no exponent, no zeros at the ends."""
    from ministack.services import dynamodb

    return dynamodb._ddb_canonicalize_number(text) or text


def binary(text: str) -> str:
    """Base64 in its one spelling."""
    try:
        return binascii.b2a_base64(binascii.a2b_base64(text, strict_mode=True), newline=False).decode()
    except binascii.Error:
        return text


_SPELLINGS: Mapping[str, Callable[[str], str]] = {"N": number, "B": binary}


def _check_plain_numbers_quickly() -> None:
    """Skip the slow checks for plain numbers; ministack makes them several times for each."""
    from ministack.services import dynamodb

    canonical, error = dynamodb._ddb_canonicalize_number, dynamodb._number_error

    def canonicalize(text: Any) -> Any:
        return text if isinstance(text, str) and _PLAIN(text) else canonical(text)

    def number_error(text: Any) -> Any:
        return None if isinstance(text, str) and _PLAIN(text) else error(text)

    dynamodb._ddb_canonicalize_number, dynamodb._number_error = canonicalize, number_error


def _calculate_exactly() -> None:
    """Let update expressions add and subtract without rounding; Python rounds to 28 digits."""
    from ministack.services import dynamodb

    class OutOfRangeError(ValueError, dynamodb._AttributeUpdatesValidationError):  # type: ignore[misc]
        """What each of ministack's ways to calculate takes for a refusal."""

    def in_range(result: Decimal) -> Number:
        reason = dynamodb._number_error(str(result)) if result else None
        if reason:
            raise OutOfRangeError(reason)
        return Number(result or 0)

    class Number(Decimal):
        """A number of DynamoDB; its text is DynamoDB's spelling."""

        __slots__ = ()

        def __add__(self, other: Any) -> Number:
            return in_range(_EXACT.add(self, other))

        def __sub__(self, other: Any) -> Number:
            return in_range(_EXACT.subtract(self, other))

        def __str__(self) -> str:
            return number(super().__str__())

    dynamodb.Decimal = Number


def _check_statements() -> None:
    """Read the numbers of PartiQL exactly; refuse bad values, bad keys and changed keys."""
    from ministack.services import _dynamodb_keywords, dynamodb

    _dynamodb_keywords.canonical_number = number

    parse, insert, update, select = (
        dynamodb._parse_partiql,
        dynamodb._partiql_insert,
        dynamodb._partiql_update,
        dynamodb._partiql_select,
    )

    def parse_checked(statement: str, parameters: Any) -> Any:
        if reason := next(filter(None, map(dynamodb._attribute_value_error, parameters or ())), None):
            raise ValueError(reason)
        return parse(statement, parameters)

    def insert_checked(table: Mapping[str, Any], parsed: Mapping[str, Any]) -> Any:
        item = parsed.get("item") or {}
        item = item["M"] if set(item) == {"M"} else item
        refusal = item and (
            dynamodb._validate_item(item, table["pk_name"], table["sk_name"])
            or dynamodb._resolve_table_key_values(table, item, allow_extra=True)[2]
            or dynamodb._validate_index_key_values(table, item)
        )
        return refusal or insert(table, parsed)

    def update_checked(table: Mapping[str, Any], parsed: Mapping[str, Any], data: Any = None) -> Any:
        assigned = parsed.get("assignments") or []
        values = {path[0]: value[1] for path, value in assigned if len(path) == 1 and value[0] == "lit"}
        paths = {tuple(path) for path in (*(path for path, _ in assigned), *(parsed.get("removes") or ()))}
        refusal = (
            dynamodb._key_attribute_update_error(table, paths)
            or dynamodb._validate_item(values)
            or dynamodb._validate_index_key_values(table, values)
        )
        return refusal or update(table, parsed, data)

    def select_in_order(table: Mapping[str, Any], parsed: dict[str, Any]) -> Any:
        """Items of one partition come in the order of the sort key; ministack has it by text."""
        conditions = [(name, sign) for name, sign, _ in parsed.get("conditions") or ()]
        if table["sk_name"] and not parsed.get("order") and (table["pk_name"], "=") in conditions:
            parsed = parsed | {"order": ([table["sk_name"]], False)}
        return select(table, parsed)

    dynamodb._parse_partiql, dynamodb._partiql_insert = parse_checked, insert_checked
    dynamodb._partiql_update, dynamodb._partiql_select = update_checked, select_in_order


def _check_scans() -> None:
    """Refuse bad values in the filter of a scan, as in that of a query."""
    from ministack.services import dynamodb

    scan = dynamodb._scan

    def scan_checked(data: dict[str, Any]) -> Any:
        values = dynamodb._request_values(data | {"QueryFilter": data.get("ScanFilter")})
        return dynamodb._values_error_response(values, envelope=False) or scan(data)

    dynamodb._scan = scan_checked
