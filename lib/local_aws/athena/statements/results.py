"""Results as Athena writes them: text, in a CSV object on S3 (`api.results` reads it back).

`<OutputLocation>/<id>.csv` has a header and every value in double quotes; a NULL is nothing between commas
(Athena's user guide, "Work with query results and recent queries").
"""

from __future__ import annotations

from collections.abc import Sequence

from local_aws.athena.dialect import DuckType, quoted
from local_aws.athena.typed import Look, text_of

Row = list[str | None]


def as_text_query(sql: str, kinds: Sequence[DuckType], looks: Sequence[Look]) -> str:
    """A query whose columns are the texts of another's, in its order."""
    names = [f"c{i}" for i in range(len(kinds))]
    texts = [text_of(name, kind, look) for name, kind, look in zip(names, kinds, looks, strict=True)]
    return f"SELECT {', '.join(texts)} FROM ({sql}) AS result({', '.join(names)})"  # noqa: S608


def header(columns: Sequence[str]) -> bytes:
    """The first line of the CSV object; the local file has none."""
    return (",".join(quoted(column) for column in columns) + "\n").encode()


def lines_of_text(rows: Sequence[Row]) -> bytes:
    """The plain text of SHOW, DESCRIBE and DDL: columns between tabs, no header."""
    return "".join("\t".join(value or "" for value in row) + "\n" for row in rows).encode()
