"""The golden corpus, replayed against the local AWS."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError

CORPUS = Path(__file__).parents[1] / "athena_corpus"
BUCKET, NAMESPACE, RESULTS = "corpus-lake", "corpus", "corpus-results"
CASES = [
    (file.stem, case) for file in sorted(CORPUS.glob("*.yaml")) for case in yaml.safe_load(file.read_text())
]
POLL_SECONDS = 0.02

Answer = dict[str, Any]


def run(athena: Any, sql: str, parameters: list[str] | None = None) -> Answer:
    """Rows, names and types of a statement, or its error."""
    more: Any = {"ExecutionParameters": parameters} if parameters else {}
    try:
        query_id = athena.start_query_execution(
            QueryString=sql,
            QueryExecutionContext={"Catalog": f"s3tablescatalog/{BUCKET}", "Database": NAMESPACE},
            ResultConfiguration={"OutputLocation": f"s3://{RESULTS}/"},
            **more,
        )["QueryExecutionId"]
    except ClientError as error:
        return {"error": error.response["Error"]["Message"]}
    while True:
        execution = athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
        if execution["Status"]["State"] not in ("QUEUED", "RUNNING"):
            break
        time.sleep(POLL_SECONDS)
    if execution["Status"]["State"] != "SUCCEEDED":
        return {"error": execution["Status"]["StateChangeReason"]}
    result = athena.get_query_results(QueryExecutionId=query_id)["ResultSet"]
    rows = [[value.get("VarCharValue") for value in row["Data"]] for row in result["Rows"]]
    columns = result["ResultSetMetadata"]["ColumnInfo"]
    return {
        "rows": rows[1:] if execution["StatementType"] == "DML" else rows,
        "names": [column["Name"] for column in columns],
        "types": [column["Type"] for column in columns],
    }


@pytest.fixture(scope="module")
def answers(local_aws: object) -> Iterator[list[Future[Answer]]]:
    """The answers to all cases, asked for at once."""
    tables = boto3.client("s3tables")
    arn = tables.create_table_bucket(name=BUCKET)["arn"]
    tables.create_namespace(tableBucketARN=arn, namespace=[NAMESPACE])
    boto3.client("s3").create_bucket(Bucket=RESULTS)
    athena = boto3.client("athena")
    for statement in (CORPUS / "setup.sql").read_text().split(";\n"):
        if statement.strip():
            assert "error" not in (made := run(athena, statement)), made
    with ThreadPoolExecutor(4) as threads:
        yield [threads.submit(run, athena, case["sql"], case.get("parameters")) for _, case in CASES]


@pytest.mark.parametrize(
    "number", range(len(CASES)), ids=[f"{name}: {case['sql'][:70]}" for name, case in CASES]
)
def test_case(answers: list[Future[Answer]], number: int) -> None:
    expected, answer = CASES[number][1], answers[number].result()
    if "error" in expected:
        assert answer.get("error", f"no error: {answer}").startswith(expected["error"])
        return
    assert "error" not in answer, answer["error"]
    ordered = sorted if expected.get("any_order") else list
    assert ordered(map(tuple, answer["rows"])) == ordered(map(tuple, expected["rows"]))
    for key in ("types", "names"):
        assert answer[key] == expected.get(key, answer[key])


def test_corpus_is_large_enough() -> None:
    assert len(CASES) >= 150
