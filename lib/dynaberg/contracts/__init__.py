"""The description of a table: its contract, its column types, and attributes read as exact values.

A contract is the only place where a schema is written; everything else reads it from there. Public:
`load_contract` and its result, the readers of attributes, and what reference tables share with contracts.
"""

from dynaberg.contracts.attributes import (
    MISFITS,
    canonical_json,
    column_reader,
    key_attribute,
    read_any,
    reader_for,
    readers_of,
    unmapped_of,
)
from dynaberg.contracts.changes import Changes, change_contract, with_former
from dynaberg.contracts.column_types import ParsedType, member_of, to_iceberg_type
from dynaberg.contracts.columns import Column
from dynaberg.contracts.conditions import Condition, overlap
from dynaberg.contracts.contract import (
    CURRENT_COLUMNS_AFTER,
    LOG_COLUMNS,
    LOG_KEY,
    Contract,
    check_keys,
    load_contract,
    read_columns,
    read_document,
    to_schema,
)
from dynaberg.contracts.mask_paths import PathMask
from dynaberg.contracts.names import Names, member_names, snake_case
from dynaberg.contracts.project import (
    ProjectContracts,
    project_contract,
    project_contracts,
    read_project,
)
from dynaberg.contracts.rewriting import rewrite, rewrite_changes

__all__ = [
    "CURRENT_COLUMNS_AFTER",
    "LOG_COLUMNS",
    "LOG_KEY",
    "MISFITS",
    "Changes",
    "Column",
    "Condition",
    "Contract",
    "Names",
    "ParsedType",
    "PathMask",
    "ProjectContracts",
    "canonical_json",
    "change_contract",
    "check_keys",
    "column_reader",
    "key_attribute",
    "load_contract",
    "member_names",
    "member_of",
    "overlap",
    "project_contract",
    "project_contracts",
    "read_any",
    "read_columns",
    "read_document",
    "read_project",
    "reader_for",
    "readers_of",
    "rewrite",
    "rewrite_changes",
    "snake_case",
    "to_iceberg_type",
    "to_schema",
    "unmapped_of",
    "with_former",
]
