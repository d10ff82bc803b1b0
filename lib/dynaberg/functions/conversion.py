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
from .shapes import Shapes

_ROW_IMAGES = {"INSERT": "NewImage", "MODIFY": "NewImage", "REMOVE": "Keys"}
# Kinesis records name their precision; those of DynamoDB Streams name none and count seconds.
_MICROSECONDS: dict[Any, int] = {None: 1_000_000, "MILLISECOND": 1_000, "MICROSECOND": 1}
_SEQUENCE_DIGITS = 40
_HEAD = (
    "eventID",
    "eventName",
    "ApproximateCreationDateTime",
    "ApproximateCreationDateTimePrecision",
    "SequenceNumber",
)
# "Amazon Data Firehose Quota": the largest record, before it is encoded in base64.
MAX_ROW_BYTES = 1000 * 1024


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
        self._shapes = Shapes(self._types, required=self._key, barred=self._masks)
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
            text = self._plain_row(record, received_at_us)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            text = None
        return _encode(text or self._exact_row(record, received_at_us))

    def _plain_row(self, record: Mapping[str, Any], received_at_us: int) -> str | None:
        """The row of a record whose values are all plain; None, or any error, where one is not."""
        change = record["dynamodb"]
        image, old_image = change[_ROW_IMAGES[record["eventName"]]], change.get("OldImage")
        shape = self._shapes[tuple(image)]
        old_shape = self._shapes[tuple(old_image)] if old_image else shape
        if shape is None or old_shape is None:
            return None
        members = shape.members(image)
        old_text = old_shape.image_text(old_image) if old_image else "null"
        if members is None or old_text is None:
            return None
        head = self._head(record, change, received_at_us)
        return f'{{{head},{members},"old_image":{old_text},"unmapped":null}}'

    def _exact_row(self, record: Any, received_at_us: int) -> str:
        """The row of any record, or the error that says what is wrong with it."""
        change = record.get("dynamodb") if isinstance(record, dict) else None
        if not isinstance(change, dict):
            raise ConversionError("NotAChangeRecord", f"It has no `dynamodb`: {shorten(record)}")
        try:
            head = self._head(record, change, received_at_us)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            found = {name: {**record, **change}.get(name) for name in _HEAD}
            raise ConversionError("NotAChangeRecord", f"One of these cannot be: {found!r:.300}") from error
        image = mask_image(_image(change, _ROW_IMAGES[record["eventName"]]), self._masks)
        old_image = mask_image(_image(change, "OldImage"), self._masks) if change.get("OldImage") else None
        try:
            return f"{{{head},{self._members(image, old_image)}}}"
        except RecursionError as error:
            raise ConversionError("NotDynamoDbJson", "It is nested too deep") from error

    def _head(self, record: Mapping[str, Any], change: Mapping[str, Any], received_at_us: int) -> str:
        """The members of a change row that are not of the item; any error where one cannot be."""
        source = record.get("eventSourceARN") or record.get("tableName")
        if source not in self._checked_sources:
            self._check_source(source)
        operation = record["eventName"]
        units = _MICROSECONDS[change.get("ApproximateCreationDateTimePrecision")]
        changed_at_us = round(change["ApproximateCreationDateTime"] * units)
        # Padded, so that text order is number order; Kinesis records have none.
        sequence_number = change.get("SequenceNumber", "0").zfill(_SEQUENCE_DIGITS)
        if (
            operation not in _ROW_IMAGES
            or len(sequence_number) > _SEQUENCE_DIGITS
            or not sequence_number.isdecimal()
        ):
            raise ValueError
        return (
            f'"change_id":{encode_basestring(record["eventID"])},"operation":"{operation}",'
            f'"changed_at":{changed_at_us},"sequence_number":"{sequence_number}",'
            f'"received_at":{received_at_us}'
        )

    def _check_source(self, source: Any) -> None:
        """Refuse a record of another table; a stream's ARN ends in `table/NAME/stream/LABEL`."""
        name = source.split("/")[1] if isinstance(source, str) and "/" in source else source
        if name != self._source_table:
            message = f"It is a change of {shorten(source)}, not of {self._source_table!r}"
            raise ConversionError("OtherTable", message)
        self._checked_sources.add(source)

    def _members(self, image: Mapping[str, Any], old_image: Mapping[str, Any] | None) -> str:
        """The members of a change row that are of the item."""
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
