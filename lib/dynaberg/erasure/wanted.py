"""What is to be forgotten, and how it is found: in rows of tables, in change records, and in change rows."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from dynaberg.contracts import MISFITS, canonical_json, column_reader, key_attribute
from dynaberg.delivery import change_time, row_converter, source_of
from dynaberg.errors import NotFoundError, SettingsError
from dynaberg.functions.attributes import ConversionError, by_value
from dynaberg.functions.masks import ANY_KEY
from dynaberg.functions.packing import is_packed, unpack
from dynaberg.past import check_key

if TYPE_CHECKING:
    import pyarrow as pa

    from dynaberg.contracts import Column, Contract

Key = tuple[Any, ...]
IMAGES = ("old_image", "unmapped")


@dataclass(frozen=True)
class Wanted:
    """Items of one DynamoDB table.

    Attributes:
        contract: The contract of one of its tables; its siblings have the same key.
        keys: Keys of the items, with the types of the key columns.
        column: The column by whose value they were found; None if a key was given.
        value: That value.
        until: What was changed later is not meant: the application has written it anew; None for all.
    """

    contract: Contract
    keys: frozenset[Key] = field(default=frozenset(), repr=False)
    column: Column | None = None
    value: Any = field(default=None, repr=False)
    until: datetime | None = None

    def with_keys(self, keys: Collection[Key]) -> Wanted:
        """The same with more keys."""
        return replace(self, keys=self.keys | frozenset(keys))

    def seen_by(self, contract: Contract) -> Wanted:
        """The same items with their keys as another table of the source has them."""
        if contract.table == self.contract.table:
            return self
        return replace(self, contract=contract, keys=self.keys_as(contract))

    def keys_as(self, contract: Contract) -> frozenset[Key]:
        """The keys as a table of the source has them; those that it cannot have are left out."""
        found = (key_of(self._attributes(key), contract) for key in self.keys)
        return frozenset(key for key in found if key is not None)

    def key_rows(self) -> Iterator[tuple[Key, list[Any], list[Any]]]:
        """Each key, its values as change rows of each table of the source have them, and their types."""
        for contract in self.contract.of_source:
            convert = row_converter(contract, ANY_KEY)
            types = [column.parsed_type for column in contract.key_columns]
            for key in self.keys:
                try:
                    row = json.loads(convert(_removal(contract, self._attributes(key))))
                except ConversionError:
                    continue
                yield key, [row[name] for name in contract.key], types

    def _attributes(self, key: Key) -> dict[str, Any]:
        return {
            column.attribute: _wire(key_attribute(column, value))
            for column, value in zip(self.contract.key_columns, key, strict=True)
        }

    def matcher(self) -> Matcher:
        """Finds these items in documents."""
        records = {_spelled(self._attributes(key)) for key in self.keys}
        rows = {json.dumps(values) for _, values, _ in self.key_rows()}
        wanted = {} if self.column is None else {self.column.attribute: _attribute(self.column, self.value)}
        return Matcher(self.contract, records, rows, wanted, self.until)

    def rows_of(self, rows: pa.Table) -> list[int]:
        """The positions of rows of these items.

        Args:
            rows: Rows with at least the key columns.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        key = self.contract.key
        if not self.keys or not len(rows):
            return []
        first = rows.column(key[0])
        values = pa.array([each[0] for each in self.keys], first.type)
        near = pc.indices_nonzero(pc.is_in(first, value_set=values))
        found = zip(*(rows.column(name).take(near).to_pylist() for name in key), strict=True)
        at = [place for place, each in zip(near.to_pylist(), found, strict=True) if each in self.keys]
        if self.until is None or "changed_at" not in rows.column_names or not at:
            return at
        made = rows.column("changed_at").take(pa.array(at, pa.int64())).to_pylist()
        return [place for place, moment in zip(at, made, strict=True) if moment <= self.until]

    def keys_in(self, rows: pa.Table) -> set[Key]:
        """The keys of rows that have the value: in its column, or in an image, packed or not.

        Args:
            rows: Rows of a change log or of a current table.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.column is None:
            return set()
        at: set[int] = set()
        if self.column.name in rows.column_names:
            there = rows.column(self.column.name)
            at |= set(pc.indices_nonzero(pc.equal(there, pa.scalar(self.value, there.type))).to_pylist())
        attribute = _attribute(self.column, self.value)
        for name in IMAGES:
            if name in rows.column_names:
                texts = rows.column(name).to_pylist()
                at |= {
                    n for n, text in enumerate(texts) if _image_has(text, self.column.attribute, attribute)
                }
        columns = [
            rows.column(name).take(pa.array(sorted(at), pa.int64())).to_pylist() for name in self.contract.key
        ]
        return set(zip(*columns, strict=True))


@dataclass(frozen=True)
class Matcher:
    """Finds items in change records and change rows.

    Attributes:
        contract: One of the tables of their source.
        records: Spellings of their keys in change records.
        rows: Spellings of their keys in change rows.
        attributes: DynamoDB attributes by name: a document with one of them is of such an item, too.
        until: What was changed later is not meant; None for all.
    """

    contract: Contract
    records: Collection[str]
    rows: Collection[str]
    attributes: Mapping[str, Any]
    until: datetime | None = None

    def __call__(self, document: Any) -> bool:
        """Whether a change record or a change row is of one of the items."""
        if not isinstance(document, dict):
            return False
        made = change_time(document) if self.until else None
        if self.until and made and made > self.until:
            return False
        change = document.get("dynamodb")
        if not isinstance(change, dict):
            return self._is_in_row(document)
        return source_of(document) in ("", self.contract.source_table) and self._is_in_record(change)

    def _is_in_record(self, change: Mapping[str, Any]) -> bool:
        images = [change.get(name) for name in ("NewImage", "OldImage")]
        known = [image for image in images if isinstance(image, dict)]
        keys = change.get("Keys")
        names = [column.attribute for column in self.contract.key_columns]
        for image in (*([keys] if isinstance(keys, dict) else []), *known):
            if _spelled({name: image.get(name) for name in names}) in self.records:
                return True
        return any(self._has(image) for image in known)

    def _is_in_row(self, row: Mapping[str, Any]) -> bool:
        for each in self.contract.of_source:
            if json.dumps([row.get(name) for name in each.key]) in self.rows:
                return True
        if any(
            _image_has(row.get(name), attribute, value)
            for name in IMAGES
            for attribute, value in self.attributes.items()
        ):
            return True
        return any(
            row.get(column.name) is not None and _in_row(column, row[column.name], self.attributes)
            for column in self.contract.columns
            if column.attribute in self.attributes
        )

    def _has(self, image: Mapping[str, Any]) -> bool:
        return any(
            _spelled({name: image.get(name)}) == _spelled({name: value})
            for name, value in self.attributes.items()
        )


def wanted_by_key(contract: Contract, key: Mapping[str, Any]) -> Wanted:
    """One item, by its key.

    Raises:
        SettingsError: The key's columns are not those of the table.
    """
    check_key(contract, key)
    return Wanted(contract, frozenset([tuple(_typed(key[name]) for name in contract.key)]))


def wanted_where(contract: Contract, where: Mapping[str, Any]) -> Wanted:
    """The items in which a column has, or ever had, a value; their keys are not known yet.

    Raises:
        NotFoundError: The table has no such column.
        SettingsError: Not one column, or one by which nobody can be found.
    """
    given = [*where] if isinstance(where, Mapping) else []
    if len(given) != 1:  # no value of anybody's in the message
        msg = f"`where` names {len(given)} columns: {', '.join(map(str, given)) or 'none'}."
        raise SettingsError(msg, hint='Name one: where={"customer_id": "C-17"}.')
    ((name, value),) = where.items()
    names = [column.name for column in contract.columns]
    if name not in names:
        raise NotFoundError.among("column", name, names)
    column = contract.column(name)
    kind = column.type.partition("(")[0]
    if column.mask or column.is_part or kind not in ("string", "int", "long", "decimal"):
        why = (
            f"masked ({column.mask})" if column.mask else "a part of a key" if column.is_part else column.type
        )
        msg = f"Nobody can be found by the column {name!r} of {contract.table!r}: it is {why}."
        raise SettingsError(msg, hint="Use another column, or the items' keys: forget(key, …).")
    return Wanted(contract, column=column, value=_typed(value))


def key_in(record: Mapping[str, Any], contract: Contract) -> Key | None:
    """The key of a change record as tables have it; None if no row can have it."""
    keys = record["dynamodb"].get("Keys") if isinstance(record.get("dynamodb"), dict) else None
    return key_of(keys, contract) if isinstance(keys, dict) else None


def key_of(item: Mapping[str, Any], contract: Contract) -> Key | None:
    """The key of an item, or of its key attributes, as tables have it; None if no row can have it."""
    try:
        return tuple(column_reader(column)(item[column.attribute]) for column in contract.key_columns)
    except MISFITS:
        return None


def _typed(value: Any) -> Any:
    """A value as pyarrow returns it, where it came from a DataFrame."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return value.item() if hasattr(value, "item") else value


def _attribute(column: Column, value: Any) -> dict[str, Any]:
    return _wire(key_attribute(column, value))


def _wire(attribute: Mapping[str, Any]) -> dict[str, Any]:
    """An attribute as a stream has it: binary in base64, a number without zeros at its end."""
    ((tag, value),) = attribute.items()
    if tag == "N":
        return {tag: f"{by_value(value):f}"}
    return {tag: base64.b64encode(value).decode() if tag == "B" else value}


def _spelled(attributes: Mapping[str, Any]) -> str:
    """One spelling of scalar attributes: numbers compare by their value."""
    plain = {
        name: {"N": str(by_value(value["N"]))} if _is_number(value) else value
        for name, value in attributes.items()
        if isinstance(value, dict)
    }
    return canonical_json({"M": plain})


def _is_number(attribute: Any) -> bool:
    if not isinstance(attribute, dict) or not isinstance(attribute.get("N"), str):
        return False
    try:
        Decimal(attribute["N"])
    except ArithmeticError:
        return False
    return True


def _image_has(text: Any, attribute: str, value: Mapping[str, Any]) -> bool:
    """Whether an image, packed or not, has an attribute with a value."""
    if not isinstance(text, str):
        return False
    ((_, plain),) = value.items()
    if not is_packed(text) and json.dumps(plain, ensure_ascii=False)[1:-1] not in text and "N" not in value:
        return False
    try:
        image = json.loads(unpack(text))
        return _spelled({"v": image[attribute]}) == _spelled({"v": value})
    except (KeyError, TypeError, ValueError):
        return False


def _in_row(column: Column, given: Any, attributes: Mapping[str, Any]) -> bool:
    """Whether a value of a change row is that of an attribute."""
    ((tag, value),) = attributes[column.attribute].items()
    if tag != "N":
        return bool(given == value)
    try:
        return Decimal(str(given)) == Decimal(value)
    except ArithmeticError:
        return False


def _removal(contract: Contract, attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "eventID": "forget",
        "eventName": "REMOVE",
        "tableName": contract.source_table,
        "dynamodb": {
            "ApproximateCreationDateTime": 1_700_000_000,
            "SequenceNumber": "0",
            "Keys": dict(attributes),
        },
    }
