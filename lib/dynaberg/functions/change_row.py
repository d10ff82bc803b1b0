"""The conversion of a change record into a change row: one core for both patterns.

A change record comes from DynamoDB Streams or from Kinesis Data Streams, in DynamoDB JSON. A change row is
one line of JSON, typed by the table contract, as Firehose accepts it. Numbers are text throughout and never
become floats, unless their column is a double.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any

from .attributes import (
    ConversionError,
    Converter,
    MomentRules,
    canonical_moment,
    converter_for,
    has_unnamed_members,
    part_converter,
    shorten,
    to_json,
    unpack,
)
from .masks import MaskKey, Masks, mask_image
from .packing import shrink
from .plain_images import Shapes, need_no_escape

SNAPSHOT = "SNAPSHOT"
"""The operation of an item that a backfill read: not a change, but what the item was at that time."""
_ROW_IMAGES = {"INSERT": "NewImage", "MODIFY": "NewImage", "REMOVE": "Keys", SNAPSHOT: "NewImage"}
# DynamoDB Streams dates a change to the second. Kinesis records name their precision; older ones do not and
# count milliseconds ("Working with Kinesis Data Streams and DynamoDB").
_STREAMS_UNIT_US, _KINESIS_UNITS_US = (
    1_000_000,
    {None: 1_000, "MILLISECOND": 1_000, "MICROSECOND": 1},
)
# No change is older than DynamoDB, or from a year that no timestamp can hold.
_EARLIEST_US, _LATEST_US = 1_325_376_000_000_000, 253_402_300_799_999_999
_SEQUENCE_DIGITS = 40
_HEAD = (
    "eventID",
    "eventName",
    "ApproximateCreationDateTime",
    "ApproximateCreationDateTimePrecision",
    "SequenceNumber",
    "userIdentity",
)
# "Amazon Data Firehose Quota": the largest record, before it is encoded in base64.
MAX_ROW_BYTES = 1000 * 1024
TOO_LARGE = "TooLarge"
MASKED = "dynaberg:masked"
"""In a change record that failed and was kept: the masks that each image has, which are not applied again."""


@dataclass(frozen=True)
class _Column:
    """One column as the conversion needs it: which attribute it takes, and how."""

    name: str
    attribute: str
    type: Any
    convert: Converter
    is_part: bool = False


class ChangeConverter:
    """Turns the change records of one table into change rows.

    Args:
        contract: The table contract, as `Contract.to_lambda_json` writes it.
        mask_key: The key of the masks `hash` and `tokenise`.

    Raises:
        MaskKeyError: A mask needs a key, and there is none.

    Example:
        >>> converter = ChangeConverter(json.loads(contract.to_lambda_json()))
        >>> converter.to_row(record, received_at_us=1_764_000_000_000_000)
        b'{"change_id":"…","operation":"INSERT",…}'
    """

    def __init__(self, contract: Mapping[str, Any], mask_key: MaskKey | None = None) -> None:
        self._source_table = contract["source_table"]
        self._key = tuple(contract["key"])
        self._columns = [
            _column(described, is_key=described["name"] in self._key) for described in contract["columns"]
        ]
        self._packable = {
            column.name: (column.attribute, column.type == "json")
            for column in self._columns
            if column.name not in self._key
        }
        self._by_attribute: dict[str, list[_Column]] = {}
        for column in self._columns:
            self._by_attribute.setdefault(column.attribute, []).append(column)
        self._masks = Masks(contract, mask_key)
        self._rules = self._masks.rules
        alone = {
            name: (cs[0].name, cs[0].type)
            for name, cs in self._by_attribute.items()
            if len(cs) == 1 and not cs[0].is_part
        }
        required = [column.attribute for column in self._columns if column.name in self._key]
        # A shape masks an attribute as a whole when it takes the value; other rules change the image itself.
        whole = {name: rule for name, rule in self._rules.items() if callable(rule)}
        self._other_rules = {name: rule for name, rule in self._rules.items() if name not in whole}
        self._shapes = Shapes(alone, whole, required=required)
        self._checked_sources: set[str] = set()

    def to_row(self, record: Mapping[str, Any], received_at_us: int) -> bytes:
        """Convert one change record.

        Args:
            record: The change record, parsed from JSON.
            received_at_us: When the Lambda received it, in microseconds since 1970.

        Returns:
            The change row: one line of JSON in UTF-8, without a line feed.

        Raises:
            ConversionError: The record does not fit the contract.
        """
        try:
            row = self._plain_row(record, received_at_us)
        except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError):
            row = None
        if row is None:
            row = _encode(self._exact_row(record, received_at_us))
        if len(row) <= MAX_ROW_BYTES:
            return row
        row = _encode(self._exact_row(record, received_at_us, is_large=True))
        if len(row) > MAX_ROW_BYTES:
            message = f"Its row has {len(row):,} bytes, but Firehose accepts only {MAX_ROW_BYTES:,}"
            raise ConversionError(TOO_LARGE, message)
        return row

    def mask(self, image: Mapping[str, Any], applied: Sequence[Any]) -> tuple[Mapping[str, Any], list[Any]]:
        """An image with its sensitive attributes masked, or empty if that is impossible; and by which masks.

        Args:
            image: The image.
            applied: The masks that it has already.
        """
        rules, paths = self._masks.missing(applied)
        try:
            return mask_image(image, rules), [*applied, *paths]
        except (RecursionError, TypeError, ValueError):
            return {}, [*applied, *paths]

    def _plain_row(self, record: Mapping[str, Any], received_at_us: int) -> bytes | None:
        """The row of a record whose values are all plain; None, or any error, if one is not."""
        change = record["dynamodb"]
        image, old_image = change[_ROW_IMAGES[record["eventName"]]], change.get("OldImage")
        if MASKED in record:
            return None
        if rules := self._other_rules:
            image = mask_image(image, rules)
            old_image = mask_image(old_image, rules) if old_image else None
        shape = self._shapes.of(image, record["eventName"])
        old_shape = self._shapes.of(old_image, "OldImage") if old_image else shape
        if shape is None or old_shape is None:
            return None
        values = shape.values(*image.values())
        old_values = old_shape.values(*old_image.values()) if old_image else []
        change_id = record["eventID"]
        if not need_no_escape([change_id, *values, *old_values]):
            return None
        if (members := shape.members(values)) is None:
            return None
        old_text = f'"{{{old_shape.image_text(old_values)}}}"' if old_image else "null"
        head = self._head(record, change, received_at_us, f'"{change_id}"')
        deleted_by = _deleted_by(record) if "userIdentity" in record else "null"
        row = f'{{{head},{members},"old_image":{old_text},"unmapped":null,"deleted_by":{deleted_by}}}'
        return row.encode()

    def _exact_row(self, record: Any, received_at_us: int, *, is_large: bool = False) -> str:
        """The row of any record, with its largest values packed; or the error that says what is wrong."""
        change = record.get("dynamodb") if isinstance(record, dict) else None
        if not isinstance(change, dict):
            raise ConversionError("NotAChangeRecord", f"It has no `dynamodb`: {shorten(record)}")
        try:
            head = self._head(record, change, received_at_us, encode_basestring(record["eventID"]))
            deleted_by = _deleted_by(record)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            found = {name: {**record, **change}.get(name) for name in _HEAD}
            raise ConversionError("NotAChangeRecord", f"One of these is invalid: {found!r:.300}") from error
        try:
            image = self._masked(record, _ROW_IMAGES[record["eventName"]])
            old_image = self._masked(record, "OldImage") if change.get("OldImage") else None
            row = self._members(image, old_image)
            if is_large:
                room = MAX_ROW_BYTES - len(f'{head},"deleted_by":{deleted_by}'.encode())
                row = shrink(row, image, self._packable, room)
            return f'{{{head},{to_json(row)[1:-1]},"deleted_by":{deleted_by}}}'
        except RecursionError as error:
            raise ConversionError("NotDynamoDbJson", "It is nested too deeply") from error

    def _masked(self, record: Mapping[str, Any], name: str) -> dict[str, Any]:
        """An image of a record with the masks that it does not have yet."""
        image = _image(record["dynamodb"], name)
        if MASKED not in record:
            return mask_image(image, self._rules)
        return mask_image(image, self._masks.missing(masks_of(record).get(name, ()))[0])

    def _head(
        self, record: Mapping[str, Any], change: Mapping[str, Any], received_at_us: int, change_id: str
    ) -> str:
        """The members of a change row that do not belong to the item; any error if one is invalid."""
        source = record.get("eventSourceARN") or record.get("tableName")
        if source not in self._checked_sources:
            self._check_source(source)
        operation = record["eventName"]
        made_at_us = changed_at_us(record)
        # Kinesis records have none.
        sequence_number = change.get("SequenceNumber", "0")
        if (
            operation not in _ROW_IMAGES
            or len(sequence_number) > _SEQUENCE_DIGITS
            or not sequence_number.isdecimal()
            or not _EARLIEST_US <= made_at_us <= _LATEST_US
        ):
            raise ValueError
        # Padded, so that text order is number order.
        return (
            f'"change_id":{change_id},"operation":"{operation}",'
            f'"changed_at":{made_at_us},"sequence_number":"{sequence_number.zfill(_SEQUENCE_DIGITS)}",'
            f'"received_at":{received_at_us}'
        )

    def _check_source(self, source: Any) -> None:
        """Reject a record of another table; a stream's ARN ends in `table/NAME/stream/LABEL`."""
        name = source.split("/")[1] if isinstance(source, str) and "/" in source else source
        if name != self._source_table:
            message = f"It is a change of {shorten(source)}, not of {self._source_table!r}"
            raise ConversionError("OtherTable", message)
        self._checked_sources.add(source)

    def _members(self, image: Mapping[str, Any], old_image: Mapping[str, Any] | None) -> dict[str, Any]:
        """The members of a change row that belong to the item."""
        row: dict[str, Any] = {}
        for attribute, columns in self._by_attribute.items():
            if attribute in image:
                row |= _values(columns, image[attribute])
        for name in self._key:
            if row.get(name) is None:
                raise ConversionError("MissingKey", f"The key attribute `{name}` is missing")
        unmapped = {
            name: attribute for name, attribute in image.items() if self._is_unmapped(name, attribute, row)
        }
        row["old_image"] = to_json(old_image) if old_image else None
        row["unmapped"] = to_json(unmapped) if unmapped else None
        return row

    def _is_unmapped(self, name: str, attribute: Any, row: Mapping[str, Any]) -> bool:
        """Whether no column takes the attribute, or none takes all that is nested in it."""
        columns = self._by_attribute.get(name)
        if columns is None:
            unpack(attribute)
            return True
        taking = [column for column in columns if row[column.name] is not None]
        return bool(taking) and all(has_unnamed_members(column.type, attribute) for column in taking)


def _column(described: Mapping[str, Any], *, is_key: bool) -> _Column:
    moments = MomentRules(described.get("round"), described.get("zone"))
    convert = converter_for(described["type"], moments)
    if is_key and described["type"] == "timestamptz":
        convert = _one_spelling(convert)
    after, before = described.get("after", ""), described.get("before", "")
    is_part = bool(after or before)
    if is_part:
        convert = part_converter(convert, described["type"], after, before)
    attribute = described.get("attribute", described["name"])
    return _Column(described["name"], attribute, described["type"], convert, is_part)


def _one_spelling(convert: Converter) -> Converter:
    """Two items are two rows, so a key that is a moment must have its one canonical spelling."""

    def convert_key(attribute: Any) -> Any:
        moment_us = convert(attribute)
        text = attribute.get("S")
        if moment_us is not None and text != canonical_moment(moment_us):
            message = f"is a key, so it must be spelled {canonical_moment(moment_us)!r}: {shorten(text)}"
            raise ConversionError("WrongFormat", message)
        return moment_us

    return convert_key


def _values(columns: Sequence[_Column], attribute: Any) -> dict[str, Any]:
    """What each column of an attribute takes from it; at least one must take something."""
    values: dict[str, Any] = {}
    refusals: list[ConversionError] = []
    for column in columns:
        try:
            values[column.name] = column.convert(attribute)
        except ConversionError as error:
            values[column.name] = None
            refusals.append(error)
    if len(refusals) == len(columns):
        reasons = dict.fromkeys(refusal.message for refusal in refusals)
        message = f"Attribute `{columns[0].attribute}` {'; and '.join(reasons)}"
        raise ConversionError(refusals[0].kind, message) from refusals[0]
    return values


def masks_of(record: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The masks that each image of a failed record has; a note of another form counts as none."""
    noted = record.get(MASKED)
    images = noted.items() if isinstance(noted, dict) else ()
    return {name: applied for name, applied in images if isinstance(applied, list)}


def changed_at_us(record: Mapping[str, Any]) -> int:
    """When a change was made, in microseconds since 1970; a record without a valid time raises any error."""
    change = record["dynamodb"]
    precision = change.get("ApproximateCreationDateTimePrecision")
    if precision is None and ("SequenceNumber" in change or "eventSourceARN" in record):
        unit_us = _STREAMS_UNIT_US
    else:
        unit_us = _KINESIS_UNITS_US[precision]
    moment = change["ApproximateCreationDateTime"] * unit_us
    return moment if type(moment) is int else round(moment)


def _deleted_by(record: Mapping[str, Any]) -> str:
    """Who deleted the item, as JSON: null for the application, `dynamodb.amazonaws.com` for Time to Live.

    Source: "DynamoDB Streams and Time to Live", Amazon DynamoDB Developer Guide.
    """
    identity = record.get("userIdentity")
    if not identity or record["eventName"] != "REMOVE":
        return "null"
    return to_json(str(identity.get("principalId") or identity.get("PrincipalId")))


def _encode(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ConversionError("NotDynamoDbJson", f"It holds half a character: {error.reason}") from error


def _image(change: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    image = change.get(name)
    if not isinstance(image, dict):
        message = f"Its `{name}` is {shorten(image)}; the stream's view must be NEW_AND_OLD_IMAGES"
        raise ConversionError("NotAChangeRecord", message)
    return image
