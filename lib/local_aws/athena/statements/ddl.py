"""DDL on Iceberg tables: CREATE, ALTER, DROP, CTAS; through pyiceberg, so that types and ids are exact.

Grammar: Athena's user guide, "Create Iceberg tables", "Evolve Iceberg table schema".
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pyiceberg import exceptions as iceberg_errors
from pyiceberg import transforms
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.types import IcebergType, NestedField
from sqlglot import exp

from local_aws.athena.dialect import (
    DuckType,
    QueryError,
    StatementError,
    parse_type,
    read,
    text_name,
    to_duckdb,
    without_comments,
)
from local_aws.athena.statements.dml import ROWS, insert
from local_aws.athena.statements.queries import Outcome, translate
from local_aws.athena.tables import Context, TableName, iceberg_type, resolve, split_outside
from local_aws.athena.typed import output_names

NAME = r'(?:[`"][^`"]+[`"]|\w+)(?:\.(?:[`"][^`"]+[`"]|\w+)){0,2}'
SQL_TYPES = {
    "INTEGER": "int",
    "BIGINT": "bigint",
    "SMALLINT": "int",
    "TINYINT": "int",
    "HUGEINT": "bigint",
    "BOOLEAN": "boolean",
    "FLOAT": "float",
    "DOUBLE": "double",
    "VARCHAR": "string",
    "BLOB": "binary",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
    "UUID": "uuid",
}


def table_name(context: Context, text: str) -> TableName:
    """A table's full name as DDL writes it."""
    parts = [part.strip('`"') for part in re.findall(r'[`"][^`"]+[`"]|\w+', text)]
    arguments = dict(
        zip(
            ("this", "db", "catalog"),
            (exp.to_identifier(p, quoted=True) for p in reversed(parts)),
            strict=False,
        )
    )
    return resolve(context, exp.Table(**arguments))


# What may stand between two words: blanks and comments.
GAP = r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"


def matched(pattern: str, sql: str) -> re.Match[str]:
    """A statement's parts, or Athena's word for one that has none."""
    found = re.fullmatch(pattern, without_comments(sql), re.IGNORECASE | re.DOTALL)
    if found is None:
        raise StatementError(f"mismatched input '{without_comments(sql)[:60]}'")
    return found


def run_create_table(context: Context, sql: str) -> Outcome:
    """`CREATE TABLE [IF NOT EXISTS] t (columns) [PARTITIONED BY (…)] [COMMENT '…'] TBLPROPERTIES (…)`."""
    found = matched(rf"CREATE\s+(EXTERNAL\s+)?TABLE\s+(IF\s+NOT\s+EXISTS\s+)?({NAME})\s*\((.*)", sql)
    name = table_name(context, found[3])
    columns, rest = closing(found[4])
    options = read_options(rest)
    if options["properties"].pop("table_type", "").upper() != "ICEBERG" or found[1]:
        raise QueryError(
            "NOT_SUPPORTED",
            "Only Iceberg tables can be created in a table bucket: TBLPROPERTIES ('table_type'='ICEBERG')",
        )
    ids = itertools.count(1)
    schema = Schema(*(column_field(text, ids) for text in split_outside(columns, ",")))
    spec = partition_spec(schema, options["partitions"])
    create(context, name, schema, spec, options["properties"], if_not_exists=bool(found[2]))
    return Outcome()


def column_field(text: str, ids: Iterator[int]) -> NestedField:
    """A column of DDL: name, type, comment."""
    found = re.fullmatch(
        r"\s*([`\"]?)([\w$-]+)\1\s+(.+?)(\s+NOT\s+NULL)?(?:\s+COMMENT\s+'((?:[^']|'')*)')?\s*",
        text,
        re.IGNORECASE | re.DOTALL,
    )
    if found is None:
        raise StatementError(f"mismatched input '{text.strip()}'. Expecting: a column's name and type")
    own = next(ids)
    return NestedField(
        own, found[2].lower(), iceberg_type(found[3], ids), required=bool(found[4]), doc=found[5]
    )


def closing(text: str) -> tuple[str, str]:
    """What stands before the bracket that closes, and what after."""
    depth, in_quotes = 0, False
    for i, letter in enumerate(text):
        if letter == "'":
            in_quotes = not in_quotes
        elif not in_quotes and letter == "(":
            depth += 1
        elif not in_quotes and letter == ")":
            if depth == 0:
                return text[:i], text[i + 1 :]
            depth -= 1
    raise StatementError("mismatched input '<EOF>'. Expecting: ')'")


def read_options(text: str) -> dict[str, Any]:
    """PARTITIONED BY, COMMENT, LOCATION and TBLPROPERTIES behind the columns."""
    options: dict[str, Any] = {"partitions": [], "properties": {}}
    while text.strip():
        found = re.match(r"\s*(PARTITIONED\s+BY|TBLPROPERTIES|WITH|COMMENT|LOCATION)\s*", text, re.IGNORECASE)
        if found is None:
            raise StatementError(
                f"mismatched input '{text.split()[0]}'. "
                "Expecting: 'COMMENT', 'LOCATION', 'PARTITIONED', 'TBLPROPERTIES', <EOF>"
            )
        word, text = found[1].upper().split()[0], text[found.end() :]
        if word in ("COMMENT", "LOCATION"):
            value = re.match(r"'((?:[^']|'')*)'", text)
            if value is None:
                raise StatementError(f"mismatched input '{text.strip()[:20]}'. Expecting: a string")
            if word == "LOCATION":
                raise QueryError(
                    "NOT_SUPPORTED", "LOCATION cannot be set: S3 Tables manages where its tables are"
                )
            options["properties"]["comment"] = value[1]
            text = text[value.end() :]
            continue
        inner, text = closing(text.lstrip().removeprefix("("))
        if word == "PARTITIONED":
            options["partitions"] = [part.strip() for part in split_outside(inner, ",")]
        else:
            options["properties"] |= read_properties(inner)
    return options


def read_properties(text: str) -> dict[str, str]:
    """`'key'='value', …`."""
    return dict(re.findall(r"'([^']+)'\s*=\s*'([^']*)'", text))


TRANSFORMS: Mapping[str, Callable[[int], transforms.Transform[Any, Any]]] = {
    "year": lambda n: transforms.YearTransform(),
    "month": lambda n: transforms.MonthTransform(),
    "day": lambda n: transforms.DayTransform(),
    "date": lambda n: transforms.DayTransform(),
    "hour": lambda n: transforms.HourTransform(),
    "bucket": transforms.BucketTransform,
    "truncate": transforms.TruncateTransform,
}


def partition_spec(schema: Schema, parts: list[str]) -> PartitionSpec:
    """`category`, `day(ts)`, `bucket(16, id)`, `truncate(5, name)`."""
    fields = []
    for i, part in enumerate(parts):
        found = re.fullmatch(r"(?:(\w+)\s*\(\s*(?:(\d+)\s*,\s*)?)?[`\"]?(\w+)[`\"]?\s*\)?", part)
        if found is None or (found[1] and found[1].lower() not in TRANSFORMS):
            raise StatementError(f"mismatched input '{part}'. Expecting: a partition transform")
        kind = found[1].lower() if found[1] else "identity"
        transform = TRANSFORMS[kind](int(found[2] or 0)) if found[1] else transforms.IdentityTransform()
        try:
            source = schema.find_field(found[3].lower())
        except ValueError as error:
            raise QueryError("COLUMN_NOT_FOUND", f"Partition column not found: {found[3]}") from error
        name = (
            source.name if kind == "identity" else f"{source.name}_{'trunc' if kind == 'truncate' else kind}"
        )
        fields.append(PartitionField(source.field_id, 1000 + i, transform, name))
    return PartitionSpec(*fields)


def create(
    context: Context,
    name: TableName,
    schema: Schema,
    spec: PartitionSpec,
    properties: Mapping[str, str],
    *,
    if_not_exists: bool,
) -> None:
    """Creates an Iceberg table."""
    catalog = context.catalogs.get(name.catalog)
    kept = {k: v for k, v in properties.items() if k not in ("format", "is_external")}
    try:
        catalog.create_table(
            (name.database, name.table),
            schema,
            partition_spec=spec,
            properties={"format-version": "2", **kept},
        )
    except iceberg_errors.TableAlreadyExistsError as error:
        if not if_not_exists:
            raise QueryError("TABLE_ALREADY_EXISTS", f"Table '{name}' already exists") from error
    except iceberg_errors.NoSuchNamespaceError as error:
        raise QueryError("SCHEMA_NOT_FOUND", f"Schema '{name.database}' does not exist") from error


def run_create_as(context: Context, sql: str, parameters: tuple[str, ...]) -> Outcome:
    """`CREATE TABLE [IF NOT EXISTS] t [WITH (…)] AS query [WITH [NO] DATA]`."""
    found = matched(
        rf"CREATE\s+TABLE\s+(IF\s+NOT\s+EXISTS\s+)?({NAME})\s*(?:WITH\s*\((.*?)\)\s*)?AS{GAP}(\(?\s*(?:SELECT|WITH|VALUES|TABLE)\b.*?)(\s+WITH\s+(?:NO\s+)?DATA)?",
        sql,
    )
    name = table_name(context, found[2])
    options = dict(re.findall(r"(\w+)\s*=\s*('[^']*'|ARRAY\s*\[[^\]]*\]|\w+)", found[3] or "", re.IGNORECASE))
    tree = read(found[4], parameters)
    given = output_names(tree)
    if given and any(n is None or n.startswith("_col") for n in given):
        place = next(i for i, n in enumerate(given, 1) if n is None or n.startswith("_col"))
        raise QueryError("MISSING_COLUMN_NAME", f"Column name not specified at position {place}")
    query = to_duckdb(translate(context, tree))
    described = context.cursor.execute(f"DESCRIBE {query}").fetchall()
    # "Supported data types for Iceberg tables in Athena": DDL knows timestamps without time zone only.
    if any("WITH TIME ZONE" in str(row[1]) for row in described):
        raise QueryError("NOT_SUPPORTED", "Unsupported Hive type: timestamp(6) with time zone")
    ids = itertools.count(1)
    schema = Schema(
        *(
            NestedField(next(ids), row[0].lower(), duckdb_to_iceberg(str(row[1]), ids), required=False)
            for row in described
        )
    )
    parts = re.findall(r"'([^']*)'", options.get("partitioning") or options.get("partitioned_by") or "")
    create(context, name, schema, partition_spec(schema, parts), {}, if_not_exists=bool(found[1]))
    if re.search(r"NO\s+DATA", found[5] or "", re.IGNORECASE):
        return Outcome(ROWS, 0, 0)
    context.cursor.execute("COMMIT; BEGIN")
    try:
        with context.writing(name):
            outcome = insert(context, name, [], query)
            context.cursor.execute("COMMIT; BEGIN")
    except BaseException:
        context.cursor.execute("ROLLBACK; BEGIN")
        context.catalogs.get(name.catalog).purge_table((name.database, name.table))
        raise
    return outcome


def duckdb_to_iceberg(kind: str, ids: Iterator[int]) -> IcebergType:
    """The Iceberg type of a query's column."""
    return iceberg_type(ddl_text(parse_type(kind)), ids)


def ddl_text(kind: DuckType) -> str:
    """A DuckDB type as DDL writes it."""
    children = [ddl_text(child) for _, child in kind.children]
    if kind.kind == "list":
        return f"array<{children[0]}>"
    if kind.kind == "map":
        return f"map<{','.join(children)}>"
    if kind.kind == "struct":
        names = [name or f"field{i}" for i, (name, _) in enumerate(kind.children)]
        return f"struct<{','.join(f'{n}:{c}' for n, c in zip(names, children, strict=True))}>"
    if kind.text.startswith("DECIMAL"):
        return kind.text.lower()
    if kind.text not in SQL_TYPES:
        raise QueryError("NOT_SUPPORTED", f"Unsupported Iceberg type: {text_name(kind.text)}")
    return SQL_TYPES[kind.text]


def run_drop_table(context: Context, sql: str) -> Outcome:
    """`DROP TABLE [IF EXISTS] t`."""
    found = matched(rf"DROP\s+TABLE\s+(IF\s+EXISTS\s+)?({NAME})", sql)
    name = table_name(context, found[2])
    try:
        context.catalogs.get(name.catalog).purge_table((name.database, name.table))
    except (iceberg_errors.NoSuchTableError, iceberg_errors.NoSuchNamespaceError) as error:
        if not found[1]:
            raise QueryError("TABLE_NOT_FOUND", f"Table '{name}' does not exist") from error
    return Outcome()


def run_create_database(context: Context, sql: str) -> Outcome:
    """`CREATE DATABASE [IF NOT EXISTS] d`: a namespace."""
    found = matched(r"CREATE\s+(?:DATABASE|SCHEMA)\s+(IF\s+NOT\s+EXISTS\s+)?[`\"]?(\w+)[`\"]?.*", sql)
    try:
        context.catalogs.get(context.catalog).create_namespace(found[2].lower())
    except iceberg_errors.NamespaceAlreadyExistsError as error:
        if not found[1]:
            raise QueryError("SCHEMA_ALREADY_EXISTS", f"Schema '{found[2]}' already exists") from error
    return Outcome()


def run_drop_database(context: Context, sql: str) -> Outcome:
    """`DROP DATABASE [IF EXISTS] d [RESTRICT]`."""
    found = matched(
        r"DROP\s+(?:DATABASE|SCHEMA)\s+(IF\s+EXISTS\s+)?[`\"]?(\w+)[`\"]?(?:\s+(?:RESTRICT|CASCADE))?", sql
    )
    try:
        context.catalogs.get(context.catalog).drop_namespace(found[2].lower())
    except iceberg_errors.NoSuchNamespaceError as error:
        if not found[1]:
            raise QueryError("SCHEMA_NOT_FOUND", f"Schema '{found[2]}' does not exist") from error
    except iceberg_errors.NamespaceNotEmptyError as error:
        raise QueryError("SCHEMA_NOT_EMPTY", f"Cannot drop non-empty schema '{found[2]}'") from error
    return Outcome()
