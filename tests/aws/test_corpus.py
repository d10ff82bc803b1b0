"""The golden corpus, replayed: one code for a real account and the local AWS.

On AWS it costs less than a dime; `conftest.py` says how to start it. S3 Tables must be integrated with the
analytics services of the account and Region, so that Athena finds its catalog.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError

CORPUS = Path(__file__).parents[1] / "athena_corpus"
CASES = [
    (file.stem, case) for file in sorted(CORPUS.glob("*.yaml")) for case in yaml.safe_load(file.read_text())
]
SETUP = [statement for statement in (CORPUS / "setup.sql").read_text().split(";\n") if statement.strip()]
NAMESPACE = "corpus"
POLL_SECONDS = {"local_aws": 0.02, "real_aws": 0.5}
# Athena bills at least this much for a query, and takes no lower limit for one.
BYTES_A_QUERY = 10_000_000
USD_A_TERABYTE = Decimal(5)

Answer = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Where the corpus is replayed, under a name of its own.

    Attributes:
        session: Open boto3 session.
        name: Of the workgroup; those of the buckets begin with it.
        poll_seconds: How long to wait before asking again whether a query has ended.
    """

    session: boto3.Session
    name: str
    poll_seconds: float

    @cached_property
    def athena(self) -> Any:
        """One client for all threads: to make one reads the environment, which pytest changes meanwhile."""
        return self.session.client("athena")

    @property
    def table_bucket(self) -> str:
        return f"{self.name}-tables"

    @property
    def results_bucket(self) -> str:
        return f"{self.name}-results"

    def create(self) -> None:
        """The table bucket, its namespace, a bucket for results, and a workgroup that limits each query."""
        tables, region = self.session.client("s3tables"), self.session.region_name
        arn = tables.create_table_bucket(name=self.table_bucket)["arn"]
        tables.create_namespace(tableBucketARN=arn, namespace=[NAMESPACE])
        elsewhere: Any = {"CreateBucketConfiguration": {"LocationConstraint": region}}
        self.session.client("s3").create_bucket(
            Bucket=self.results_bucket, **({} if region == "us-east-1" else elsewhere)
        )
        self.athena.create_work_group(
            Name=self.name,
            Configuration={
                "ResultConfiguration": {"OutputLocation": f"s3://{self.results_bucket}/"},
                "EnforceWorkGroupConfiguration": True,
                "BytesScannedCutoffPerQuery": BYTES_A_QUERY,
            },
        )
        for statement in SETUP:
            assert "error" not in (made := self.run(statement)), made

    def remove(self) -> None:
        """Everything of this name, whatever of it was created."""
        s3 = self.session.resource("s3")
        groups = [
            group["Name"] for page in pages(self.athena, "list_work_groups", "WorkGroups") for group in page
        ]
        if self.name in groups:
            self.athena.delete_work_group(WorkGroup=self.name, RecursiveDeleteOption=True)
        for bucket in s3.buckets.all():
            if bucket.name == self.results_bucket:
                bucket.objects.all().delete()
                bucket.delete()
        tables = self.session.client("s3tables")
        for page in pages(tables.get_paginator("list_table_buckets"), None, "tableBuckets"):
            for arn in [found["arn"] for found in page if found["name"] == self.table_bucket]:
                self._remove_tables(tables, arn)

    def _remove_tables(self, tables: Any, arn: str) -> None:
        for page in pages(tables.get_paginator("list_tables"), None, "tables", tableBucketARN=arn):
            for table in page:
                tables.delete_table(tableBucketARN=arn, namespace=table["namespace"][0], name=table["name"])
        for page in pages(tables.get_paginator("list_namespaces"), None, "namespaces", tableBucketARN=arn):
            for namespace in page:
                tables.delete_namespace(tableBucketARN=arn, namespace=namespace["namespace"][0])
        tables.delete_table_bucket(tableBucketARN=arn)

    def run(self, sql: str, parameters: list[str] | None = None) -> Answer:
        """Rows, names and types of a statement, or its error."""
        more: Any = {"ExecutionParameters": parameters} if parameters else {}
        context = {"Catalog": f"s3tablescatalog/{self.table_bucket}", "Database": NAMESPACE}
        try:
            query_id = self.athena.start_query_execution(
                QueryString=sql, QueryExecutionContext=context, WorkGroup=self.name, **more
            )["QueryExecutionId"]
        except ClientError as error:
            return {"error": error.response["Error"]["Message"]}
        execution = self._ended(query_id)
        if execution["Status"]["State"] != "SUCCEEDED":
            return {"error": execution["Status"]["StateChangeReason"]}
        assert execution["Statistics"]["DataScannedInBytes"] <= BYTES_A_QUERY
        result = self.athena.get_query_results(QueryExecutionId=query_id)["ResultSet"]
        rows = [[value.get("VarCharValue") for value in row["Data"]] for row in result["Rows"]]
        columns = result["ResultSetMetadata"]["ColumnInfo"]
        return {
            "rows": rows[1:] if execution["StatementType"] == "DML" else rows,
            "names": [column["Name"] for column in columns],
            "types": [column["Type"] for column in columns],
        }

    def _ended(self, query_id: str) -> Any:
        while True:
            execution = self.athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
            if execution["Status"]["State"] not in ("QUEUED", "RUNNING"):
                return execution
            time.sleep(self.poll_seconds)


def pages(client: Any, operation: str | None, member: str, **arguments: Any) -> Iterator[list[Any]]:
    """A member of each page of a list; ListWorkGroups has no paginator."""
    if operation is None:
        yield from (page[member] for page in client.paginate(**arguments))
        return
    token: dict[str, str] = {}
    while True:
        page = getattr(client, operation)(**token)
        yield page[member]
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}


def refuse_above(ceiling_usd: Decimal) -> None:
    """Create nothing where the statements could cost more than the ceiling."""
    most = USD_A_TERABYTE * BYTES_A_QUERY * (len(CASES) + len(SETUP)) / 10**12
    if most > ceiling_usd:
        pytest.fail(f"The corpus would cost up to ${most:.3f}, and the ceiling is ${ceiling_usd}.")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("local_aws", marks=pytest.mark.integration, id="local"),
        pytest.param("real_aws", marks=pytest.mark.aws, id="aws"),
    ],
)
def answers(request: pytest.FixtureRequest, ceiling_usd: Decimal) -> Iterator[list[Future[Answer]]]:
    """The answers to all cases, asked for at once; whatever was created for them is gone afterwards."""
    opened = request.getfixturevalue(request.param)
    refuse_above(ceiling_usd)
    session = opened if isinstance(opened, boto3.Session) else boto3.Session()
    place = Place(session, f"corpus-{secrets.token_hex(4)}", POLL_SECONDS[request.param])
    try:
        place.create()
        with ThreadPoolExecutor(4) as threads:
            yield [threads.submit(place.run, case["sql"], case.get("parameters")) for _, case in CASES]
    finally:
        place.remove()
        assert place.name not in str(list(session.client("s3tables").list_table_buckets()["tableBuckets"]))


@pytest.mark.parametrize(
    "number", range(len(CASES)), ids=[f"{name}: {case['sql'][:70]}" for name, case in CASES]
)
def test_case(request: pytest.FixtureRequest, answers: list[Future[Answer]], number: int) -> None:
    expected = CASES[number][1]
    if expected.get("local_gap") and request.node.callspec.params["answers"] == "real_aws":
        pytest.skip("a gap of the local AWS: Athena answers this")
    answer = answers[number].result()
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


def test_a_ceiling_below_the_most_it_can_cost_creates_nothing() -> None:
    refuse_above(Decimal("0.10"))
    with pytest.raises(pytest.fail.Exception, match=r"up to \$0\.\d+, and the ceiling is \$0\.001"):
        refuse_above(Decimal("0.001"))
