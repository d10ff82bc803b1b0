"""What the local Athena answers, what it refuses as AWS does, and what it does not answer yet, as data.

`python -m tests.athena_corpus.coverage` prints it in Markdown, as `lib/local_aws/athena/README.md`
holds it.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tests.athena_corpus.judges import DOCUMENTATION, NOBODY, judge_of_function, judge_of_statement

from local_aws.athena.dialect.functions import FUNCTIONS
from local_aws.athena.dialect.shapes import SHAPES
from local_aws.athena.dialect.statements import REFUSED

SUPPORTED, REFUSED_AS_ON_AWS, NOT_YET = "supported", "refused as on AWS", "not yet"

STATEMENTS = (
    ("SELECT, WITH, VALUES, TABLE, set operations, windows, UNNEST, LATERAL, TABLESAMPLE", ""),
    ("FOR TIMESTAMP AS OF, FOR VERSION AS OF", "a snapshot's id, a branch, a tag, a moment"),
    ('"t$snapshots" "t$history" "t$files" "t$manifests" "t$partitions" "t$refs"', "of the current snapshot"),
    ('"$path", information_schema', "schemata, tables, columns"),
    ("INSERT INTO, UPDATE, DELETE, MERGE INTO", "one commit; none where no row changes"),
    (
        "CREATE TABLE for Iceberg, CREATE TABLE AS SELECT",
        "partition transforms, IF NOT EXISTS; no moments with a time zone, as in Athena's DDL",
    ),
    ("ALTER TABLE ADD, CHANGE, RENAME and DROP COLUMN, SET and UNSET TBLPROPERTIES", ""),
    ("DROP TABLE, CREATE and DROP DATABASE", ""),
    ("SHOW DATABASES, TABLES, COLUMNS, CREATE TABLE, TBLPROPERTIES, DESCRIBE", ""),
    ("EXPLAIN", "the plan is DuckDB's"),
    ("PREPARE, EXECUTE … USING, EXECUTE IMMEDIATE, DEALLOCATE, ? parameters", ""),
    ("UNLOAD", "Parquet, JSON, TEXTFILE; no partitioned_by"),
)
STATEMENTS_NOT_YET = (
    "tables of the Glue catalog (Hive, CSV, views)",
    "MATCH_RECOGNIZE",
    "table functions: TABLE(sequence(…))",
    "json_value, json_query, json_exists, json_object, json_array, json_table",
    "UNLOAD … WITH (partitioned_by = …), ORC and AVRO",
    "typeof of a text that is neither a table's column nor written out, and of moments in arrays",
    "regular expressions that look ahead or behind",
    "time zones that differ from row to row; moments read from text of a column are shown in UTC",
)
FUNCTIONS_NOT_YET = (
    "approx_set", "array_histogram", "beta_cdf", "bit_count", "char2hexint", "checksum", "combinations",
    "cosine_similarity", "crc32", "empty_approx_set", "from_base32", "from_base64url",
    "from_big_endian_32", "from_big_endian_64", "from_ieee754_32", "from_ieee754_64", "hmac_md5",
    "hmac_sha1", "hmac_sha256", "hmac_sha512", "human_readable_seconds", "inverse_normal_cdf",
    "luhn_check", "map_zip_with", "merge", "murmur3", "normal_cdf", "numeric_histogram",
    "parse_data_size", "parse_duration", "qdigest_agg", "reduce_agg", "render", "sha512", "soundex",
    "spooky_hash_v2_32", "spooky_hash_v2_64", "tdigest_agg", "timezone_hour", "timezone_minute",
    "to_base32", "to_base64url", "to_big_endian_64", "to_ieee754_64", "value_at_quantile",
    "wilson_interval_lower", "wilson_interval_upper", "word_stem", "xxhash64",
)  # fmt: skip


class Covered(NamedTuple):
    """One row of the table.

    Attributes:
        kind: `statement` or `function`.
        name: Its name.
        status: `supported`, `refused as on AWS` or `not yet`.
        note: What to know of it.
        duckdb: How DuckDB spells it, for functions.
        judge: Who judged it.
    """

    kind: str
    name: str
    status: str
    note: str = ""
    duckdb: str = ""
    judge: str = NOBODY


def coverage() -> Iterator[Covered]:
    """Every statement and function, in the order of the table."""
    for name, note in STATEMENTS:
        yield Covered("statement", name, SUPPORTED, note, judge=judge_of_statement(name))
    for _, name in REFUSED:
        yield Covered("statement", name, REFUSED_AS_ON_AWS, judge=DOCUMENTATION)
    yield from (Covered("statement", name, NOT_YET) for name in STATEMENTS_NOT_YET)
    for name, function in sorted(FUNCTIONS.items()):
        spellings = " · ".join(function.spellings)
        yield Covered("function", name, SUPPORTED, function.meaning, spellings, judge_of_function(name))
    for name in sorted(SHAPES.keys() - FUNCTIONS.keys()):
        shape = "another shape (shapes.py)"
        yield Covered("function", name, SUPPORTED, "", shape, judge_of_function(name))
    yield from (Covered("function", name, NOT_YET) for name in FUNCTIONS_NOT_YET)


INTRODUCTION = """\
# Athena's SQL on the local AWS

What the local Athena answers, what it refuses as Athena does on S3 Tables, and what it does not answer yet. A
function that is missing fails by its name; none reaches DuckDB under the same name by accident. What is
supported has cases in [tests/athena_corpus](../../../tests/athena_corpus/README.md), worked out from Trino's
documentation and never compared with Athena itself; `pytest -m aws` would replay them on a real account.

"Judged by" says who has looked: a real Trino, of which Athena is made, with the number of statements in
[tests/golden](../../../tests/golden/README.md) that it answered; or the documentation alone; or nobody. Cases
that differ are listed there, each with the reason.

`python -m tests.athena_corpus.coverage` prints this page from the tables that the translation uses.
"""
FUNCTIONS_INTRODUCTION = """\
Where no meaning is given it is that of Trino's documentation, "Functions and operators". A spelling is a
function of DuckDB's, a macro for each kind of arguments, or a template whose `{0}` is the first argument.
"""


def markdown() -> str:
    """The page for a reader."""
    rows = list(coverage())
    statements = table(
        ("Statement", "State", "Judged by", "Note"),
        [(row.name, row.status, row.judge, row.note) for row in rows if row.kind == "statement"],
    )
    functions = table(
        ("Function", "Athena's meaning", "DuckDB's spelling", "State", "Judged by"),
        [
            (code(row.name), row.note, code(row.duckdb), row.status, row.judge)
            for row in rows
            if row.kind == "function"
        ],
    )
    counts = Counter(row.status for row in rows if row.kind == "function")
    summary = f"{counts[SUPPORTED]} functions are supported, {counts[NOT_YET]} are not yet."
    parts = (INTRODUCTION, "## Statements\n", statements, "## Functions\n", summary, FUNCTIONS_INTRODUCTION)
    return "\n".join((*parts, functions))


def table(names: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [names, ("---",) * len(names), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def code(text: str) -> str:
    """Text as code, nothing where there is none."""
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    sys.stdout.write(markdown())
