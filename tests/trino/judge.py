"""`make trino`: a real Trino answers, and what the local Athena answers otherwise is printed.

python -m tests.trino.judge            asks Trino and keeps its answers in tests/golden
python -m tests.trino.judge --listed   takes differences that are gone out of the list; needs no Trino
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import boto3
from tests.aws.test_corpus import CASES, NAMESPACE, Place
from tests.trino import golden, pipeline
from tests.trino.compare import KINDS
from tests.trino.expressions import expressions
from tests.trino.library import CATALOG, judge_library
from tests.trino.local import LocalAthena
from tests.trino.server import VERSION, Trino, free_port, trino
from tests.trino.texts import outcome

import local_aws
from local_aws.athena.dialect import FUNCTIONS
from local_aws.athena.dialect.shapes import SHAPES

AT_ONCE = 4
TRIES = 10
"""A node joins late, and the current moment is not in the past where Trino looks in the same millisecond."""


def call(sql: str, parameters: Sequence[str] | None) -> str:
    """A statement with its parameters, as Trino runs it in one request."""
    if not parameters:
        return sql
    return f"EXECUTE IMMEDIATE '{sql.replace(chr(39), chr(39) * 2)}' USING {', '.join(parameters)}"


def asked(server: Trino, statements: Iterable[str]) -> list[golden.Outcome]:
    """Trino's outcome of each statement."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(lambda sql: {"sql": sql, **outcome(server.run(sql))}, statements))


def ask_expressions(server: Trino) -> None:
    """Writes what Trino answers to the generated expressions."""
    supported = FUNCTIONS.keys() | SHAPES.keys()
    signatures = [row for row in server.run("SHOW FUNCTIONS").rows if row[0] in supported]
    golden.write(golden.EXPRESSIONS, asked(server, expressions(signatures)))


def ask_corpus(server: Trino) -> None:
    """Writes what Trino answers to the golden corpus, on the tables that the local Athena made."""
    answers = []
    for _, case in CASES:
        for _ in range(TRIES):
            answer = server.run(call(case["sql"], case.get("parameters")), "lake", NAMESPACE)
            if answer.error != "NO_NODES_AVAILABLE" and "is not in the past" not in answer.message:
                break
            time.sleep(1)
        answers.append({"sql": case["sql"], **outcome(answer)})
    golden.write(golden.CORPUS, answers)


@contextmanager
def local_server() -> Iterator[local_aws.Status]:
    """A local AWS of its own, with this process's clients pointed at it."""
    with tempfile.TemporaryDirectory() as folder:
        status = local_aws.start(Path(folder), port=free_port())
        os.environ.update(local_aws.env(status.endpoint, status.region))
        os.environ.pop("AWS_PROFILE", None)
        try:
            yield status
        finally:
            local_aws.stop(Path(folder))


def bucket_arn(name: str) -> str:
    buckets = boto3.client("s3tables").list_table_buckets()["tableBuckets"]
    return next(bucket["arn"] for bucket in buckets if bucket["name"] == name)


def ask(parts: Collection[str]) -> int:
    """Asks Trino; the count of statements of the library that differ."""
    failed = 0
    with local_server() as status, ExitStack() as stack:
        arns = {}
        if "corpus" in parts:
            place = Place(boto3.Session(), "corpus", 0.02)
            place.create()
            arns["lake"] = bucket_arn(place.table_bucket)
        if "library" in parts:
            wb = stack.enter_context(pipeline.pipeline())
            pipeline.use(wb)
            arns[CATALOG] = bucket_arn(wb.settings.table_bucket_name)
        with trino(status.endpoint, arns) as server:
            if "expressions" in parts:
                ask_expressions(server)
            if "corpus" in parts:
                ask_corpus(server)
            if "library" in parts:
                failed = judge_library(server, wb, pipeline.statements())
    return failed


def print_differences() -> int:
    """How the local Athena differs from what Trino answered; the count of differences that are not listed."""
    outcomes = golden.read(golden.EXPRESSIONS)
    with tempfile.TemporaryDirectory() as folder:
        local = LocalAthena(Path(folder))
        differences = golden.found(local, outcomes, golden.known())
        local.close()
    counts = Counter(kind for kind, _ in differences.values())
    print(f"\nTrino {VERSION}: {len(outcomes)} expressions, {len(outcomes) - len(differences)} the same")
    for kind, meaning in KINDS.items():
        print(f"{counts[kind]:6}  {meaning}")
    listed = golden.known()
    new = sorted(differences.keys() - listed.keys())
    for sql in new:
        kind, ours = differences[sql]
        print(f"not listed, {kind}: {sql}\n    local: {ours}")
    gone = [sql for sql in listed if sql not in differences or differences[sql][0] != listed[sql]]
    print(f"{len(gone)} of the listed differences are gone or of another kind")
    if "--listed" in sys.argv:
        golden.relist({sql: kind for sql, (kind, _) in differences.items()})
    return len(new)


if __name__ == "__main__":
    parts = set(sys.argv[1:]) or {"expressions", "corpus", "library"}
    failed = 0 if "--listed" in parts else ask(parts)
    sys.exit(bool(failed + print_differences()))
