"""Running a query: translated, its texts written to a file at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlglot import exp

from local_aws.athena import names, naming, precision, typed, unnest
from local_aws.athena.aliases import refuse_aliases
from local_aws.athena.dialect import to_duckdb
from local_aws.athena.engine import bytes_read
from local_aws.athena.names import Context
from local_aws.athena.results import as_text_query
from local_aws.athena.translate import rewrite
from local_aws.athena.types import column_info, parse_type

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
    """

    columns: Sequence[Mapping[str, Any]] = field(default_factory=list)
    rows: int = 0
    update_count: int | None = None
    bytes_scanned: int = 0
    written: Sequence[str] = ()


def translate(context: Context, tree: Node) -> Node:
    """A query in Athena's SQL as DuckDB's."""
    precision.annotate(tree)
    names.qualify(context, tree)
    tree = rewrite(tree)
    unnest.rewrite_unnest(tree, context.describe)
    typed.rewrite_typed(tree, context.describe)
    refuse_aliases(tree, context.columns)
    return tree


def run_query(context: Context, tree: Node, file: Path) -> Outcome:
    """Runs a query and writes its rows as CSV, without header, to a file."""
    columns = naming.output_names(tree)
    written = tree.copy()
    sql = to_duckdb(translate(context, tree))
    described = context.described(sql)
    found = [name or row[0] for name, row in zip(columns or [None] * len(described), described, strict=True)]
    looks = [precision.look_of(written, i, name) for i, name in enumerate(found)]
    text = as_text_query(sql, [parse_type(row[1]) for row in described], looks)
    context.cursor.execute(f"COPY ({text}) TO '{file}' (FORMAT csv, HEADER false, FORCE_QUOTE *, NULLSTR '')")
    count = context.cursor.fetchone()
    infos = [
        column_info(name, row[1], look.type) for name, row, look in zip(found, described, looks, strict=True)
    ]
    return Outcome(infos, int(count[0]) if count else 0, None, bytes_read(context.cursor))
