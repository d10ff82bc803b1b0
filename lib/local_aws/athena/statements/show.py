"""SHOW, DESCRIBE and EXPLAIN: lines of text, as Athena answers them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from pyiceberg.table import Table
from sqlglot import exp

from local_aws.athena.dialect import StatementError, read, to_duckdb, without_comments
from local_aws.athena.statements.ddl import NAME, table_name
from local_aws.athena.statements.queries import translate
from local_aws.athena.tables import Context, athena_type

Lines = tuple[Sequence[str], list[list[str | None]]]


def run_show(context: Context, sql: str, parameters: tuple[str, ...]) -> Lines:
    """Column names and rows of a SHOW, DESCRIBE or EXPLAIN."""
    text = without_comments(sql)
    for pattern, answer in FORMS:
        if parts := re.fullmatch(pattern, text, re.IGNORECASE | re.DOTALL):
            return answer(context, parts)
    if found := re.fullmatch(
        r"EXPLAIN\s+(ANALYZE\s+)?(?:\([^)]*\)\s*)?(.*)", text, re.IGNORECASE | re.DOTALL
    ):
        return explain(context, found[2], parameters)
    raise StatementError(f"mismatched input '{' '.join(text.split()[:2])}'")


def like(values: Sequence[str], pattern: str | None) -> list[list[str | None]]:
    """Values that match Hive's pattern: `*` is anything, `|` is or."""
    if pattern is None:
        return [[value] for value in values]
    choices = [re.escape(p).replace(r"\*", ".*").replace("%", ".*") for p in pattern.split("|")]
    return [[value] for value in values if re.fullmatch("|".join(choices), value, re.IGNORECASE)]


def show_databases(context: Context, parts: re.Match[str]) -> Lines:
    """`SHOW DATABASES`."""
    return ["database_name"], like(context.catalogs.databases(context.catalog), parts[1])


def show_tables(context: Context, parts: re.Match[str]) -> Lines:
    """`SHOW TABLES [IN database] ['pattern']`."""
    database = (parts[1] or context.database).strip('`"').lower()
    return ["tab_name"], like(context.catalogs.tables(context.catalog, database), parts[2])


def loaded(context: Context, text: str) -> Table:
    """The table that a statement names."""
    name = table_name(context, text)
    return context.catalogs.load(name.catalog, name.database, name.table)


def show_columns(context: Context, parts: re.Match[str]) -> Lines:
    """`SHOW COLUMNS IN t`."""
    text = f"{parts[2]}.{parts[1]}" if parts[2] else parts[1]
    return ["field"], [[field.name] for field in loaded(context, text).schema().fields]


def describe(context: Context, parts: re.Match[str]) -> Lines:
    """`DESCRIBE [FORMATTED] t`."""
    table = loaded(context, parts[1])
    rows: list[list[str | None]] = [
        [f.name, athena_type(f.field_type), f.doc or ""] for f in table.schema().fields
    ]
    spec = table.spec()
    if spec.fields:
        rows += [
            ["", "", ""],
            ["# Partition spec:", "", ""],
            ["field_name", "field_transform", "column_name"],
        ]
        rows += [
            [f.name, str(f.transform), table.schema().find_column_name(f.source_id) or ""]
            for f in spec.fields
        ]
    return ["col_name", "data_type", "comment"], rows


def show_create_table(context: Context, parts: re.Match[str]) -> Lines:
    """`SHOW CREATE TABLE t`."""
    table = loaded(context, parts[1])
    columns = [f"  {f.name} {athena_type(f.field_type)}" for f in table.schema().fields]
    lines = [f"CREATE TABLE {'.'.join(table.name())} (", *[f"{c}," for c in columns[:-1]], f"{columns[-1]})"]
    if table.spec().fields:
        described = [
            transform_text(str(f.transform), table.schema().find_column_name(f.source_id) or "")
            for f in table.spec().fields
        ]
        lines.append(f"PARTITIONED BY ({', '.join(described)})")
    lines += [f"LOCATION '{table.location()}'", "TBLPROPERTIES ("]
    properties = {"table_type": "iceberg"} | table.properties
    pairs = [f"  '{key}'='{value}'" for key, value in properties.items()]
    return ["createtab_stmt"], [[line] for line in [*lines, *[f"{p}," for p in pairs[:-1]], pairs[-1], ")"]]


def transform_text(transform: str, column: str) -> str:
    """A partition field as DDL writes it."""
    found = re.fullmatch(r"(\w+)\[(\d+)\]", transform)
    if found:
        return f"{found[1]}({found[2]}, `{column}`)"
    return f"`{column}`" if transform == "identity" else f"{transform}(`{column}`)"


def show_properties(context: Context, parts: re.Match[str]) -> Lines:
    """`SHOW TBLPROPERTIES t [('name')]`."""
    properties = {"table_type": "ICEBERG"} | loaded(context, parts[1]).properties
    rows: list[list[str | None]] = [
        [f"{key}\t{value}"] for key, value in properties.items() if parts[2] in (None, key)
    ]
    return ["prpt_name"], rows


def explain(context: Context, sql: str, parameters: tuple[str, ...]) -> Lines:
    """`EXPLAIN query`: the local engine's plan."""
    tree = read(sql, parameters)
    if not isinstance(tree, exp.Query):
        raise StatementError("EXPLAIN is supported locally for queries only")
    plan = context.cursor.execute(f"EXPLAIN {to_duckdb(translate(context, tree))}").fetchall()
    return ["Query Plan"], [[line] for _, text in plan for line in text.splitlines()]


FORMS: tuple[tuple[str, Callable[[Context, re.Match[str]], Lines]], ...] = (
    (r"SHOW\s+(?:DATABASES|SCHEMAS)(?:\s+(?:LIKE\s+)?'([^']*)')?", show_databases),
    (r"SHOW\s+TABLES(?:\s+(?:IN|FROM)\s+([`\"]?\w+[`\"]?))?(?:\s+(?:LIKE\s+)?'([^']*)')?", show_tables),
    (rf"SHOW\s+COLUMNS\s+(?:IN|FROM)\s+({NAME})(?:\s+(?:IN|FROM)\s+([`\"]?\w+[`\"]?))?", show_columns),
    (rf"SHOW\s+CREATE\s+TABLE\s+({NAME})", show_create_table),
    (rf"SHOW\s+TBLPROPERTIES\s+({NAME})(?:\s*\(\s*'([^']*)'\s*\))?", show_properties),
    (rf"DESC(?:RIBE)?\s+(?:(?:EXTENDED|FORMATTED)\s+)?({NAME})", describe),
)
