"""The conversion of a change record into a change row: one core for both patterns.

A change record comes from DynamoDB Streams or from Kinesis Data Streams, in DynamoDB JSON. A change row is
one line of JSON, typed as the table contract says, as Firehose takes it. Numbers are text throughout and
never become floats, unless their column is a double.
"""

from __future__ import annotations

from collections.abc import Mapping
from json.encoder import encode_basestring
from typing import Any

from .attributes import ConversionError, converter_for, has_unnamed_members, shorten, to_json, unpack
from .masks import MASKS, mask_image
from .shapes import Shape

_ROW_IMAGES = {"INSERT": "NewImage", "MODIFY": "NewImage", "REMOVE": "Keys"}
# Kinesis records name their precision; those of DynamoDB Streams name none and count seconds.
_MICROSECONDS: dict[Any, int] = {None: 1_000_000, "MILLISECOND": 1_000, "MICROSECOND": 1}
_SEQUENCE_DIGITS = 40
# "Amazon Data Firehose Quota": the largest record, before it is encoded in base64.
MAX_ROW_BYTES = 1000 * 1024
# Compiling a shape takes milliseconds: a table of endlessly many shapes is better off on the exact path.
_MAX_SHAPES = 64


class ChangeConverter:
    """Turns the change records of one table into change rows.

    Args:
        contract: The table contract, as `Contract.to_lambda_json` writes it.

    Example:
        >>> converter = ChangeConverter(json.loads(contract.to_lambda_json()))
        >>> converter.to_row(record, received_at_us=1_764_000_000_000_000)
        b'{"change_id":"…","operation":"INSERT",…}'
    """

    def __init__(self, contract: Mapping[str, Any]) -> None:
        columns = contract["columns"]
        self._source_table = contract["source_table"]
        self._key = tuple(contract["key"])
        self._types = {column["name"]: column["type"] for column in columns}
        self._converters = {name: converter_for(parsed) for name, parsed in self._types.items()}
        self._nested = {n: t for n, t in self._types.items() if isinstance(t, dict) and "decimal" not in t}
        self._masks = {column["name"]: MASKS[column["mask"]] for column in columns if column["mask"]}
        self._shapes: dict[tuple[str, ...], Shape | None] = {}
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
        change = record.get("dynamodb") if isinstance(record, dict) else None
        if not isinstance(change, dict):
            raise ConversionError("NotAChangeRecord", f"It has no `dynamodb`: {shorten(record)}")
        try:
            head = self._head(record, change, received_at_us)
        except (OverflowError, TypeError, ValueError) as error:
            raise ConversionError("NotAChangeRecord", f"It cannot be read: {error}") from error
        image_name = _ROW_IMAGES[record["eventName"]]
        try:
            body = self._plain_body(change.get(image_name), change.get("OldImage"))
        except (AttributeError, KeyError, TypeError):
            body = None
        return _encode(f"{{{head},{body or self._exact_body(change, image_name)}}}")

    def _head(self, record: Mapping[str, Any], change: Mapping[str, Any], received_at_us: int) -> str:
        """The members of a change row that are not of the item."""
        change_id, operation = record.get("eventID"), record.get("eventName")
        if not isinstance(change_id, str) or operation not in _ROW_IMAGES:
            message = f"Its `eventID` is {shorten(change_id)} and its `eventName` {shorten(operation)}"
            raise ConversionError("NotAChangeRecord", message)
        source = record.get("eventSourceARN") or record.get("tableName")
        if source not in self._checked_sources:
            self._check_source(source)
        return (
            f'"change_id":{encode_basestring(change_id)},"operation":"{operation}",'
            f'"changed_at":{_changed_at_us(change)},"sequence_number":"{_sequence_number(change)}",'
            f'"received_at":{received_at_us}'
        )

    def _check_source(self, source: Any) -> None:
        """Refuse a record of another table; a stream's ARN ends in `table/NAME/stream/LABEL`."""
        name = source.split("/")[1] if isinstance(source, str) and "/" in source else source
        if name != self._source_table:
            message = f"It is a change of {shorten(source)}, not of {self._source_table!r}"
            raise ConversionError("OtherTable", message)
        self._checked_sources.add(source)

    def _plain_body(self, image: Any, old_image: Any) -> str | None:
        """The members that are of the item; None, or an error, where a value is not plain."""
        shape = self._shape(image)
        members = shape.members(image) if shape else None
        if members is None or not old_image:
            return members and f'{members},"old_image":null,"unmapped":null'
        old_shape = self._shape(old_image)
        old_text = old_shape.image_text(old_image) if old_shape else None
        return old_text and f'{members},"old_image":{old_text},"unmapped":null'

    def _shape(self, image: Mapping[str, Any]) -> Shape | None:
        names = tuple(image)
        if names in self._shapes or len(self._shapes) >= _MAX_SHAPES:
            return self._shapes.get(names)
        plain = self._masks.keys().isdisjoint(names) and set(self._key) <= set(names)
        try:
            shape = Shape({name: self._types[name] for name in names}) if plain else None
        except KeyError:
            shape = None
        return self._shapes.setdefault(names, shape)

    def _exact_body(self, change: Mapping[str, Any], image_name: str) -> str:
        """The members that are of the item, whatever their values are."""
        image = mask_image(_image(change, image_name), self._masks)
        old_image = mask_image(_image(change, "OldImage"), self._masks) if change.get("OldImage") else None
        try:
            return self._members(image, old_image)
        except RecursionError as error:
            raise ConversionError("NotDynamoDbJson", "It is nested too deep") from error

    def _members(self, image: Mapping[str, Any], old_image: Mapping[str, Any] | None) -> str:
        row = {name: self._value(name, image[name]) for name in self._types if name in image}
        for name in self._key:
            if row.get(name) is None:
                raise ConversionError("MissingKey", f"The key attribute `{name}` is missing")
        unmapped = {
            name: attribute for name, attribute in image.items() if self._is_unmapped(name, attribute)
        }
        row["old_image"] = to_json(old_image) if old_image else None
        row["unmapped"] = to_json(unmapped) if unmapped else None
        return to_json(row)[1:-1]

    def _value(self, name: str, attribute: Any) -> Any:
        try:
            return self._converters[name](attribute)
        except ConversionError as error:
            raise ConversionError(error.kind, f"Attribute `{name}` {error.message}") from error

    def _is_unmapped(self, name: str, attribute: Any) -> bool:
        """Whether the contract does not name the attribute, or not all that is nested in it."""
        if name in self._types:
            return name in self._nested and has_unnamed_members(self._types[name], attribute)
        unpack(attribute)
        return True


def _encode(text: str) -> bytes:
    try:
        row = text.encode()
    except UnicodeEncodeError as error:
        raise ConversionError("NotDynamoDbJson", f"It holds half a character: {error.reason}") from error
    if len(row) > MAX_ROW_BYTES:
        raise ConversionError(
            "TooLarge", f"Its row has {len(row):,} bytes, and Firehose takes {MAX_ROW_BYTES:,}"
        )
    return row


def _image(change: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    image = change.get(name)
    if not isinstance(image, dict):
        message = f"Its `{name}` is {shorten(image)}; the stream's view must be NEW_AND_OLD_IMAGES"
        raise ConversionError("NotAChangeRecord", message)
    return image


def _changed_at_us(change: Mapping[str, Any]) -> int:
    created = change.get("ApproximateCreationDateTime")
    precision = change.get("ApproximateCreationDateTimePrecision")
    if not isinstance(created, int | float) or precision not in _MICROSECONDS:
        message = f"Its `ApproximateCreationDateTime` is {shorten(created)} in {shorten(precision)}"
        raise ConversionError("NotAChangeRecord", message)
    return round(created * _MICROSECONDS[precision])


def _sequence_number(change: Mapping[str, Any]) -> str:
    """The sequence number, padded so that text order is number order; Kinesis records have none."""
    number = change.get("SequenceNumber", "0")
    if not isinstance(number, str) or not number.isdecimal() or len(number) > _SEQUENCE_DIGITS:
        raise ConversionError("NotAChangeRecord", f"Its `SequenceNumber` is {shorten(number)}")
    return number.zfill(_SEQUENCE_DIGITS)
