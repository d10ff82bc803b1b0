"""Rows of tables with maps inside lists or structs, written by pyiceberg.

DuckDB 1.5 counts every NULL or empty map there as a NULL key, and refuses the rows. So the rows to add go to
pyiceberg, with those to keep where some are replaced, and it commits them at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import MapType
from sqlglot import exp

from local_aws.athena.tables import Context, committing
from local_aws.s3tables import nulls as nulls
from local_aws.wire import QUERY_PROPERTY


def are_in(schema: Schema) -> bool:
    """Whether a list or a struct of a table has a map in it."""
    kinds = [field.field_type for field in schema.fields]
    return any("map<" in str(kind) and not isinstance(kind, MapType) for kind in kinds)


def write(context: Context, table: Table, columns: Sequence[str], added: str, kept: str = "") -> int:
    """Adds the rows of one query, and keeps only those of another where there is one; how many were added."""
    schema = table.schema().as_arrow()
    names = [c.lower() for c in columns] or schema.names

    def rows(query: str) -> pa.Table:
        found = context.cursor.execute(query).to_arrow_table().rename_columns(names)
        nothing = pa.nulls(found.num_rows)
        filled = {f for f in names if found[f].null_count < found.num_rows}
        return pa.table({f: found[f] if f in filled else nothing for f in schema.names}).cast(schema)

    new, made_by = rows(added), {QUERY_PROPERTY: context.query_id}
    with committing(table):
        if kept:
            table.overwrite(pa.concat_tables([rows(kept), new]), snapshot_properties=made_by)
        elif new.num_rows:
            table.append(new, snapshot_properties=made_by)
    return int(new.num_rows)


def as_merge(tree: exp.Update) -> exp.Merge:
    """The MERGE that does what an UPDATE does."""
    where = tree.args.get("where")
    once = exp.alias_(exp.select(exp.alias_(exp.Literal.number(1), "once")).subquery(), "updated", table=True)
    return exp.Merge(
        this=tree.this,
        using=once,
        on=where.this if where else exp.true(),
        whens=exp.Whens(expressions=[exp.When(matched=True, then=exp.Update(expressions=tree.expressions))]),
    )
