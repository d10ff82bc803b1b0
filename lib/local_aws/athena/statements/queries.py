"""A query: translated to a plan, and run, its texts written to a local file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlglot import exp

from local_aws.athena.dialect import column_info, parse_type, rewrite
from local_aws.athena.statements.results import Row, as_text_query
from local_aws.athena.tables import Context, TableKey, Tables, Texts, bytes_read, is_view, names, texts_of
from local_aws.athena.typed import output_names, precision, refuse_aliases, typed, unnest

Node = exp.Expr


@dataclass
class Outcome:
    """What a statement left.

    Attributes:
        columns: `ColumnInfo` of each column.
        rows: How many rows are in the file.
        update_count: Rows changed, for DML.
        bytes_scanned: Bytes read from data files.
        written: The files that UNLOAD wrote.
        lines: The rows of a SHOW or a DESCRIBE.
    """

    columns: Sequence[Mapping[str, Any]] = field(default_factory=list)
    rows: int = 0
    update_count: int | None = None
    bytes_scanned: int = 0
    written: Sequence[str] = ()
    lines: Sequence[Row] = ()


def translate(context: Context, tree: Node) -> Node:
    """A query in Athena's SQL as DuckDB's."""
    precision.annotate(tree)
    names.qualify(context, tree)
    tree = rewrite(tree)
    unnest.rewrite_unnest(tree, context.describe)
    typed.rewrite_typed(tree, context.describe)
    refuse_aliases(tree, context.columns)
    return tree


@dataclass(frozen=True)
class Plan:
    """A query that is translated.

    Attributes:
        texts: DuckDB's SQL, its columns as Athena writes them.
        columns: `ColumnInfo` of each column.
        locations: Where the metadata of each table is that it was translated for.
        is_lasting: Whether it means the same for as long as they are there.
    """

    texts: Texts
    columns: Sequence[Mapping[str, Any]]
    locations: Mapping[TableKey, str]
    is_lasting: bool

    def holds(self, tables: Tables) -> bool:
        """Whether no table has changed since."""
        return all(tables.location(*table) == location for table, location in self.locations.items())


def plan_query(context: Context, tree: Node) -> Plan:
    """Translates a query to DuckDB's SQL that writes texts."""
    columns = output_names(tree)
    written = tree.copy()
    translated = translate(context, tree)
    is_lasting = written.find(exp.Version) is None and not any(map(is_view, translated.find_all(exp.Table)))
    texts = texts_of(context.tables, translated)
    described = context.tables.described(texts.by_name)
    found = [name or row[0] for name, row in zip(columns or [None] * len(described), described, strict=True)]
    looks = [precision.look_of(written, i, name) for i, name in enumerate(found)]
    kinds = [parse_type(row[1]) for row in described]
    infos = [
        column_info(name, row[1], look.type) for name, row, look in zip(found, described, looks, strict=True)
    ]
    as_text = texts.within(lambda sql: as_text_query(sql, kinds, looks))
    return Plan(as_text, infos, dict(context.tables.locations), is_lasting)


def run_plan(context: Context, plan: Plan, file: Path) -> Outcome:
    """Runs a query and writes its rows as CSV, without header, to a file."""

    def copy(sql: str) -> tuple[Any, ...] | None:
        form = "(FORMAT csv, HEADER false, FORCE_QUOTE *, NULLSTR '')"
        return context.cursor.execute(f"COPY ({sql}) TO '{file}' {form}").fetchone()

    count = plan.texts.run(context.cursor, copy)
    return Outcome(plan.columns, int(count[0]) if count else 0, None, bytes_read(context.cursor))
