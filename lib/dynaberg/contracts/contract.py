"""Table contracts: the only place where a table's schema is written.

A contract is a YAML file, `data/tables/<table>.yaml`. It determines the keys of the DynamoDB table, what the
Lambda converts, and the schemas of the change log and of the current table.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from dynaberg.contracts.column_types import ParsedType, to_iceberg_type
from dynaberg.contracts.columns import KEYED_MASKS, RESERVED, Column, check_name, masked_words
from dynaberg.contracts.conditions import Condition, read_conditions
from dynaberg.contracts.mask_paths import PathMask, check_path_masks, read_path_masks
from dynaberg.errors import ContractError, NotFoundError

if TYPE_CHECKING:
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema

T = TypeVar("T")
LOG_KEY = ("change_id",)
LOG_COLUMNS_BEFORE = {
    "change_id": "string",
    "operation": "string",
    "changed_at": "timestamptz",
    "sequence_number": "string",
    "received_at": "timestamptz",
}
LOG_COLUMNS_AFTER = {"old_image": "string", "unmapped": "string", "deleted_by": "string"}
CURRENT_COLUMNS_AFTER = {"changed_at": "timestamptz", "sequence_number": "string", "unmapped": "string"}
LOG_COLUMNS = RESERVED
_PARTS = ("after", "before")
_REQUIRED_KEYS = ("source_table", "table", "key", "columns")
_COLUMN_OPTIONS = ("description", "mask", "attribute", "round", "zone", *_PARTS)
_NOTHING: Mapping[str, str] = {}
_LOG_REQUIRED = ("change_id", "operation", "changed_at")
# A DynamoDB key is a string, a number or binary; an Iceberg identifier field must not be a double.
_KEY_ATTRIBUTE_TYPES = {
    "string": "S",
    "date": "S",
    "timestamptz": "S",
    "int": "N",
    "long": "N",
    "decimal": "N",
    "binary": "B",
}


@dataclass(frozen=True)
class Contract:
    """The description of a table: its source, its key and its columns.

    Attributes:
        table: Name of the current table; the change log is `<table>_changes`.
        source_table: Name of the DynamoDB table.
        partition_key: Column that is the DynamoDB partition key.
        sort_key: Column that is the DynamoDB sort key, or None.
        columns: The columns, in order.
        masks: Masks of attributes that have no column, and of members inside maps.
        when: Conditions that the table's items meet, all of them; without any, every item is the table's.
        is_rest: Whether it takes what no other table of its source claims, into a change log alone.
        siblings: The other tables of its source, from `project_contracts`.
    """

    table: str
    source_table: str
    partition_key: str
    sort_key: str | None
    columns: tuple[Column, ...]
    masks: tuple[PathMask, ...] = ()
    when: tuple[Condition, ...] = ()
    is_rest: bool = False
    siblings: tuple[Contract, ...] = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        """Reject duplicate names and invalid keys."""
        check_name(self.table)
        _check_source_table(self.source_table)
        _check_unique(self)
        _check_shared_attributes(self)
        for name in self.key:
            _check_key(self, name)
        _check_parts(self)
        check_path_masks(self.masks, self.columns, self.key_columns)

    @property
    def key(self) -> tuple[str, ...]:
        """Names of the key columns, the partition key first."""
        return (self.partition_key, self.sort_key) if self.sort_key else (self.partition_key,)

    @property
    def log_name(self) -> str:
        """Name of the change log."""
        return f"{self.table}_changes"

    @property
    def of_source(self) -> tuple[Contract, ...]:
        """The contracts of all tables of its source, by name, with that of the rest at the end."""
        return tuple(sorted((self, *self.siblings), key=lambda each: (each.is_rest, each.table)))

    @property
    def with_rest(self) -> tuple[Contract, ...]:
        """It, and the contract of what no table of its source claims, if there is one."""
        return (self, *(sibling for sibling in self.siblings if sibling.is_rest))

    def claims(self, item: Mapping[str, Any]) -> bool:
        """Whether an item, as DynamoDB JSON, is the table's."""
        if self.is_rest:
            return not any(sibling.claims(item) for sibling in self.siblings)
        return all(condition.holds(item) for condition in self.when)

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """The key columns, the partition key first."""
        return tuple(self.column(name) for name in self.key)

    @property
    def columns_by_attribute(self) -> dict[str, tuple[Column, ...]]:
        """The columns of each DynamoDB attribute that has any, in order."""
        names = dict.fromkeys(column.attribute for column in self.columns)
        return {name: tuple(c for c in self.columns if c.attribute == name) for name in names}

    def key_attribute_types(self) -> dict[str, str]:
        """DynamoDB's type letter of each key attribute: `{"transaction_id": "S", "timestamp": "N"}`."""
        return {c.attribute: _KEY_ATTRIBUTE_TYPES[_kind(c.parsed_type)] for c in self.key_columns}

    def column(self, name: str) -> Column:
        """The column with the given name."""
        return next(column for column in self.columns if column.name == name)

    @property
    def needs_mask_key(self) -> bool:
        """Whether a mask of a table of its source needs the key: `hash` and `tokenise`."""
        given = ({*(c.mask for c in each.columns), *(m.mask for m in each.masks)} for each in self.of_source)
        return any(not KEYED_MASKS.isdisjoint(masks) for masks in given)

    def mask_descriptions(self, version: int = 1) -> dict[str, str]:
        """What the descriptions of the masked columns say, with the version of the key of the masks."""
        return {
            column.name: " ".join(filter(None, (column.description, masked_words(column.mask, version))))
            for column in self.columns
            if column.mask
        }

    def log_schema(self) -> Schema:
        """The change log's Iceberg schema.

        Only what every change has is required, so that changes of items with few attributes fit.
        """
        columns = {column.name: column.parsed_type for column in self.columns}
        every = {**LOG_COLUMNS_BEFORE, **columns, **LOG_COLUMNS_AFTER}
        return to_schema(every, required=_LOG_REQUIRED, described=self.mask_descriptions())

    def current_schema(self) -> Schema:
        """The current table's Iceberg schema, with the key as identifier fields."""
        columns = {column.name: column.parsed_type for column in self.columns}
        every = {**columns, **CURRENT_COLUMNS_AFTER}
        return to_schema(every, required=self.key, identifiers=self.key, described=self.mask_descriptions())

    def log_partition_spec(self) -> PartitionSpec:
        """The change log's partitions: one per day of `received_at`, in UTC."""
        from pyiceberg.partitioning import PARTITION_FIELD_ID_START, PartitionField, PartitionSpec
        from pyiceberg.transforms import DayTransform

        source = self.log_schema().find_field("received_at").field_id
        return PartitionSpec(
            PartitionField(source, PARTITION_FIELD_ID_START, DayTransform(), "received_at_day")
        )

    def to_lambda_json(self) -> str:
        """The contract as the Lambda reads it, with parsed types, or those of all tables of its source."""
        documents = [contract._to_document() for contract in self.of_source]
        return json.dumps(documents[0] if len(documents) == 1 else {"tables": documents}, indent=1)

    def _to_document(self) -> dict[str, Any]:
        columns = [
            {name: getattr(column, name) for name in ("name", "attribute", "mask", "round", "zone")}
            | {"type": column.parsed_type}
            | {name: value for name in _PARTS if (value := getattr(column, name))}
            for column in self.columns
        ]
        document: dict[str, Any] = {
            "table": self.table,
            "source_table": self.source_table,
            "key": self.key,
            "columns": columns,
            "masks": [(mask.path, mask.mask) for mask in self.masks],
        }
        if self.when:
            document["when"] = [
                {"attribute": c.attribute, "test": c.test, "tag": c.tag, "value": _plain(c)}
                for c in self.when
            ]
        return document | ({"is_rest": True} if self.is_rest else {})


def load_contract(path: Path) -> Contract:
    """Read a table contract.

    Args:
        path: The YAML file, such as `data/tables/transactions.yaml`.

    Returns:
        The contract, checked.

    Raises:
        NotFoundError: There is no such file; the message names the contracts that exist.
        ContractError: The file is not YAML, a key is missing or unknown, or a name or a type cannot be used.

    Example:
        >>> load_contract(Path("data/tables/transactions.yaml")).key
        ('transaction_id', 'timestamp')
    """
    return read_document(path, "table contract", _read_contract)


def read_document(path: Path, what: str, read: Callable[[Any], T]) -> T:
    """Read a YAML file that describes a table; errors name its path.

    Args:
        path: The YAML file.
        what: What it describes, such as `table contract`.
        read: Turns the parsed YAML into the description.

    Raises:
        NotFoundError: There is no such file; the message names those that exist.
        ContractError: The file is not YAML, or `read` refused it.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        msg = f"{path} is not YAML: line {line}, {error.problem}."
        raise ContractError(
            msg, hint="Compare the indentation and the colons with the lines around it."
        ) from error
    except FileNotFoundError as error:
        existing = [file.stem for file in path.parent.glob("*.yaml")]
        hint = f"Write {path}, with those in that folder as a model."
        if what == "table contract":
            hint += " For a table that exists: `dynaberg contract infer TABLE`."
        raise NotFoundError.among(what, path.stem, existing, hint=hint) from error
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read: {error}."
        raise ContractError(msg, hint="It must be a readable file of UTF-8 text.") from error
    try:
        return read(document)
    except ContractError as error:
        raise ContractError(f"{path}: {error.message}", hint=error.hint) from error


def _read_contract(document: Any) -> Contract:
    check_keys(document, "The contract", required=_REQUIRED_KEYS, optional=("masks", "when"))
    key = document["key"]
    check_keys(key, "`key`", required=("partition",), optional=("sort",))
    columns = tuple(read_columns(document["columns"]))
    masks = tuple(read_path_masks(document.get("masks") or {}))
    when = tuple(read_conditions(document["when"])) if "when" in document else ()
    return Contract(
        document["table"], document["source_table"], key["partition"], key.get("sort"), columns, masks, when
    )


def read_columns(columns: Any) -> Iterator[Column]:
    """The columns of a parsed YAML list, each checked."""
    if not isinstance(columns, list) or not columns:
        msg = f"`columns` is {columns!r}, but it must be a list of columns."
        raise ContractError(msg, hint="Write each as `- name: …` with a `type: …` below it.")
    for number, column in enumerate(columns, start=1):
        check_keys(column, f"Column {number}", required=("name", "type"), optional=_COLUMN_OPTIONS)
        yield Column(**column)


def check_keys(mapping: Any, what: str, *, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> None:
    """Reject a parsed YAML mapping with a missing or an unknown key."""
    if not isinstance(mapping, Mapping):
        msg = f"{what} is {mapping!r}, but it must be a mapping with {', '.join(required)}."
        raise ContractError(msg, hint="Compare it with data/tables/transactions.yaml.")
    known = (*required, *optional)
    for key in mapping.keys() - set(known):
        near = get_close_matches(str(key), known, n=1)
        msg = f"{what} has the key {key!r}, which is unknown here. Keys: {', '.join(known)}."
        raise ContractError(msg, hint=f"Did you mean {near[0]!r}?" if near else "Remove it.")
    for key in required:
        if mapping.get(key) is None:
            msg = f"{what} has no `{key}`."
            hint = f"Add `{key}: …`; data/tables/transactions.yaml is a model."
            if key in mapping:
                hint += f' A word that YAML reads as null needs quotation marks: `{key}: "null"`.'
            raise ContractError(msg, hint=hint)


def _check_shared_attributes(contract: Contract) -> None:
    for attribute, columns in contract.columns_by_attribute.items():
        if len({column.mask for column in columns}) > 1:
            named = ", ".join(f"{column.name} ({column.mask or 'none'})" for column in columns)
            msg = f"The columns of the attribute {attribute!r} have different masks: {named}."
            raise ContractError(msg, hint="Mask them alike: what one masks would be plain in the other.")


def _plain(condition: Condition) -> Any:
    """The value of a condition as JSON has it, numbers as text."""
    return str(condition.value) if condition.tag == "N" else condition.value


def _check_parts(contract: Contract) -> None:
    """Refuse parts that lose what is around them, or keys that are no longer unique."""
    for attribute, columns in contract.columns_by_attribute.items():
        key = next((column for column in columns if column.name in contract.key), None)
        if key is None and all(column.is_part for column in columns):
            names = ", ".join(column.name for column in columns)
            msg = f"Of the attribute {attribute!r} only parts have columns: {names}."
            hint = f"Add one that takes all of it: `name: {columns[0].name}_whole, attribute: {attribute}`."
            raise ContractError(msg, hint=hint)
        if any(column.is_part and column.mask for column in columns):
            raise ContractError(
                f"A part of the attribute {attribute!r} is masked.",
                hint="Mask the column that takes all of it.",
            )
        if key is not None and key.is_part:
            _check_part_of_key(contract, key)


def _check_part_of_key(contract: Contract, key: Column) -> None:
    begins = [c.value for c in contract.when if c.attribute == key.attribute and c.test == "begins_with"]
    if key.before or key.type != "string" or not any(text.startswith(key.after) for text in begins):
        msg = f"The key column {key.name!r} takes a part of {key.attribute!r} that may not be unique."
        hint = (
            f"Make it a string without `before`, with a `when` on {key.attribute!r} that begins with the "
            "same text; or take the whole attribute into the key, and its parts into other columns."
        )
        raise ContractError(msg, hint=hint)


def _check_source_table(name: Any) -> None:
    if not isinstance(name, str) or not re.fullmatch(r"[a-zA-Z0-9_.-]{3,255}", name):
        msg = f"`source_table` is {name!r}, which DynamoDB does not accept as a table name."
        raise ContractError(msg, hint="Use 3 to 255 letters, digits, underscores, hyphens and dots.")


def _check_unique(contract: Contract) -> None:
    counts = Counter(column.name for column in contract.columns)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        msg = f"Columns that occur more than once: {', '.join(twice)}."
        raise ContractError(msg, hint="Keep one of each.")


def _check_key(contract: Contract, name: str) -> None:
    names = [column.name for column in contract.columns]
    if name not in names:
        near = get_close_matches(str(name), names, n=1)
        msg = f"The key column {name!r} is not among the columns: {', '.join(names)}."
        raise ContractError(msg, hint=f"Did you mean {near[0]!r}?" if near else "Add the column.")
    column = contract.columns[names.index(name)]
    if _kind(column.parsed_type) not in _KEY_ATTRIBUTE_TYPES:
        msg = f"The key column {name!r} has the type {column.type}, which no DynamoDB key can have."
        raise ContractError(msg, hint=f"Types of keys: {', '.join(_KEY_ATTRIBUTE_TYPES)}.")
    if column.mask:
        msg = f"The key column {name!r} has the mask {column.mask!r}; masked keys would not be unique."
        raise ContractError(msg, hint="Remove the mask, or use a key that is not sensitive.")


def _kind(parsed: ParsedType) -> str:
    return parsed if isinstance(parsed, str) else next(iter(parsed))


def to_schema(
    columns: Mapping[str, ParsedType],
    *,
    required: tuple[str, ...],
    identifiers: tuple[str, ...] = (),
    described: Mapping[str, str] = _NOTHING,
) -> Schema:
    """The Iceberg schema of columns: types by name, what is required, what identifies a row, descriptions."""
    from pyiceberg.schema import Schema, assign_fresh_schema_ids
    from pyiceberg.types import NestedField

    fields = [
        NestedField(number, name, to_iceberg_type(parsed), required=name in required, doc=described.get(name))
        for number, (name, parsed) in enumerate(columns.items(), start=1)
    ]
    ids = [field.field_id for field in fields if field.name in identifiers]
    # The ids that a catalog assigns at creation, including nested fields, so that later comparisons match.
    return assign_fresh_schema_ids(Schema(*fields, identifier_field_ids=ids))
