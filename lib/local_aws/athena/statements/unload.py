"""UNLOAD: a query's rows into files on S3 (Athena's user guide, "UNLOAD")."""

from __future__ import annotations

import re
import uuid
from typing import Any

from local_aws.athena.dialect import QueryError, StatementError, read, without_comments
from local_aws.athena.statements.dml import ROWS
from local_aws.athena.statements.queries import Outcome, translate
from local_aws.athena.tables import Context, bytes_read, texts_of

FORM = re.compile(r"UNLOAD\s*\((.*)\)\s*TO\s*'(s3://[^']+)'\s*WITH\s*\((.*)\)", re.IGNORECASE | re.DOTALL)
FORMATS = {
    "PARQUET": (
        "FORMAT parquet, COMPRESSION {0}",
        {"": "gzip", "GZIP": "gzip", "SNAPPY": "snappy", "ZSTD": "zstd", "NONE": "uncompressed"},
        "",
    ),
    "JSON": (
        "FORMAT json, COMPRESSION {0}",
        {"": "gzip", "GZIP": "gzip", "NONE": "none", "ZSTD": "zstd"},
        ".gz",
    ),
    "TEXTFILE": (
        "FORMAT csv, HEADER false, DELIMITER '{1}', COMPRESSION {0}",
        {"": "gzip", "GZIP": "gzip", "NONE": "none", "ZSTD": "zstd"},
        ".gz",
    ),
}


def run_unload(context: Context, sql: str, parameters: tuple[str, ...]) -> Outcome:
    """`UNLOAD (query) TO 's3://…' WITH (format = 'PARQUET')`."""
    found = FORM.fullmatch(without_comments(sql))
    if found is None:
        raise StatementError("mismatched input. Expecting: UNLOAD (query) TO 's3://…' WITH (format = '…')")
    options = {k.lower(): v for k, v in re.findall(r"(\w+)\s*=\s*'([^']*)'", found[3])}
    kind = options.get("format", "").upper()
    if kind not in FORMATS:
        raise QueryError(
            "NOT_SUPPORTED",
            f"UNLOAD format {kind or 'missing'} is not supported locally; PARQUET, JSON, TEXTFILE are",
        )
    template, compressions, ending = FORMATS[kind]
    compression = compressions.get(options.get("compression", "").upper())
    if compression is None:
        raise QueryError(
            "NOT_SUPPORTED", f"UNLOAD compression {options['compression']} is not supported for {kind}"
        )
    texts = texts_of(context.tables, translate(context, read(found[1], parameters)))
    folder = found[2].rstrip("/")
    existing = context.cursor.execute("SELECT count(*) FROM glob(?)", [f"{folder}/**"]).fetchone()
    if existing and existing[0]:
        raise QueryError("HIVE_PATH_ALREADY_EXISTS", f"Target directory for table already exists: {folder}")
    suffix = ending if compression == "gzip" else ""
    delimiter = options.get("field_delimiter", "\x01")
    target = f"{folder}/{uuid.uuid4()}{suffix}"
    form = template.format(compression, delimiter)

    def copy(sql: str) -> tuple[Any, ...] | None:
        return context.cursor.execute(f"COPY ({sql}) TO '{target}' ({form})").fetchone()

    row = texts.run(context.cursor, copy)
    return Outcome(ROWS, 0, int(row[0]) if row else 0, bytes_read(context.cursor), [target])
