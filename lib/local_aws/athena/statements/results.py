"""Results as Athena writes them: text, in a CSV object on S3 (`api.results` reads it back).

`<OutputLocation>/<id>.csv` has a header and every value in double quotes; a NULL is nothing between commas
(Athena's user guide, "Work with query results and recent queries").
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from local_aws.athena.dialect import DuckType, literal, quoted
from local_aws.athena.typed import Look

Row = list[str | None]
NESTED = Look(6)

TEXTS = {
    "DOUBLE": "trino_double_text({0})",
    "FLOAT": "trino_double_text({0})",
    "HUGEINT": "CAST(CAST({0} AS BIGINT) AS VARCHAR)",
    "BLOB": "trino_binary_text({0})",
    "TIMESTAMP": "trino_timestamp_text({0}, {digits})",
    "TIMESTAMP_MS": "trino_timestamp_text(CAST({0} AS TIMESTAMP), {digits})",
    "TIMESTAMP_S": "trino_timestamp_text(CAST({0} AS TIMESTAMP), {digits})",
    "TIMESTAMP_NS": "trino_timestamp_text(CAST({0} AS TIMESTAMP), {digits})",
    "TIMESTAMP WITH TIME ZONE": "(trino_timestamp_text({0}, {digits}) || ' UTC')",
    "TIME": "(strftime(DATE '2000-01-01' + {0}, '%H:%M:%S.%g'))",
    "INTERVAL": "trino_interval_text({0})",
    "VARCHAR": "{0}",
}


def text_of(value: str, kind: DuckType, look: Look = NESTED, depth: int = 0) -> str:
    """The SQL that writes a value as Athena's result text.

    Args:
        value: SQL of the value.
        kind: Its DuckDB type.
        look: Digits and zone of timestamps.
        depth: How many arrays and maps stand around it; names the lambda's variable.
    """
    variable = f"e{depth}"

    def inner(part: str, child: DuckType) -> str:
        return f"coalesce({text_of(part, child, look, depth + 1)}, 'null')"

    children = [child for _, child in kind.children]
    if kind.kind == "list":
        texts = f"list_transform({value}, lambda {variable}: {inner(variable, children[0])})"
        return f"('[' || array_to_string({texts}, ', ') || ']')"
    if kind.kind == "map":
        entry = " || '=' || ".join(
            inner(f"{variable}.{part}", c) for part, c in zip(("key", "value"), children, strict=True)
        )
        texts = f"list_transform(map_entries({value}), lambda {variable}: {entry})"
        return f"('{{' || array_to_string({texts}, ', ') || '}}')"
    if kind.kind == "struct":
        fields = [
            literal((name or f"field{i}") + "=")
            + " || "
            + inner(f"struct_extract_at({value}, {i + 1})", child)
            for i, (name, child) in enumerate(kind.children)
        ]
        joined = " || ', ' || ".join(fields)
        return f"CASE WHEN {value} IS NOT NULL THEN '{{' || {joined} || '}}' END"
    template = TEXTS.get(kind.text, "CAST({0} AS VARCHAR)")
    zone = f" || ' {look.zone}'" if look.zone and kind.text == "TIMESTAMP" else ""
    return template.replace("{0}", value).replace("{digits}", str(look.digits)) + zone


def as_text_query(sql: str, kinds: Sequence[DuckType], looks: Sequence[Look]) -> str:
    """A query whose columns are the texts of another's, in its order."""
    names = [f"c{i}" for i in range(len(kinds))]
    texts = [text_of(name, kind, look) for name, kind, look in zip(names, kinds, looks, strict=True)]
    return f"SELECT {', '.join(texts)} FROM ({sql}) AS result({', '.join(names)})"  # noqa: S608


def header(columns: Sequence[str]) -> bytes:
    """The first line of the CSV object; the local file has none."""
    return (",".join(quoted(column) for column in columns) + "\n").encode()


def write_text(path: Path, rows: Sequence[Row]) -> None:
    """The plain text of SHOW, DESCRIBE and DDL: columns between tabs, no header."""
    text = "".join("\t".join(value or "" for value in row) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """A result that is in memory as rows."""
    with path.open("w", newline="", encoding="utf-8") as file:
        for row in rows:
            file.write(",".join("" if value is None else quoted(value) for value in row) + "\n")


def rows_of_text(body: bytes) -> list[Row]:
    """The rows of a plain text that was written to S3."""
    return [list(line.split("\t")) for line in body.decode().splitlines()]
