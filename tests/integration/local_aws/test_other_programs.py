"""Programs that know nothing of Dynaberg, with nothing but the variables of `dynaberg local env` set."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from dynaberg import deploy, layers
from dynaberg.contracts.contract import load_contract
from dynaberg.delivery.waiting import wait_for_delivery
from dynaberg.proof.reconcile import reconcile
from dynaberg.settings import Settings
from local_aws import Status

ROOT = Path(__file__).parents[3]
WRITES = 150
Run = Callable[[Sequence[str]], str]


@pytest.fixture(scope="module")
def run(local_aws: Status) -> Run:
    """Runs a program in a shell that evaluated `local env`, and in which no AWS variable was set before."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    exports = [sys.executable, "-m", "local_aws", "env", "--state-dir", str(local_aws.state_dir)]
    printed = subprocess.run(exports, env=bare, capture_output=True, text=True, check=True).stdout

    def run_program(command: Sequence[str]) -> str:
        script = f'{printed}\nexec "$@"'
        done = subprocess.run(
            ["sh", "-euc", script, "sh", *command], env=bare, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run_program


@pytest.fixture(scope="module")
def deployed(local_aws: Status) -> tuple[boto3.Session, Settings, Any]:
    """The pipeline of the walk under names of its own."""
    session = boto3.Session()
    settings = Settings(
        name="programs", table_bucket_name="programs-tables", namespace="programs", bucket_name="programs"
    )
    contract = replace(
        load_contract(ROOT / "data" / "tables" / "transactions.yaml"), source_table="programs-transactions"
    )
    deploy.enable_cdc(session, settings, contract)
    layers.create_tables(session, settings, contract)
    deploy.deploy_firehose(session, settings, contract, buffer_seconds=1)
    return session, settings, contract


def test_a_plain_boto3_program_is_delivered_completely(run: Run, deployed: tuple[Any, ...]) -> None:
    session, settings, contract = deployed
    program = ROOT / "tests" / "programs" / "write_transactions.py"
    run([sys.executable, str(program), contract.source_table, str(WRITES)])
    waited = wait_for_delivery(session, settings, contract, progress=False)
    assert waited["changes"].tolist() == [WRITES]
    layers.refresh(session, settings, contract)
    compared = reconcile(session, settings, contract)
    assert compared.matches, compared.df.to_string()
    assert compared.items == compared.rows == WRITES


@pytest.mark.skipif(shutil.which("aws") is None, reason="the AWS CLI is not installed")
def test_the_aws_cli_asks_athena_as_the_published_walk_prints_it(run: Run, deployed: tuple[Any, ...]) -> None:
    session, settings, _ = deployed
    results = deploy.outputs(session, settings, "foundation")["ResultsBucketName"]
    context = f"Database={settings.namespace},Catalog=s3tablescatalog/{settings.table_bucket_name}"
    started = run(
        [
            *("aws", "athena", "start-query-execution", "--work-group", "primary", "--output", "json"),
            *("--query-string", "SELECT * FROM transactions LIMIT 100"),
            *("--result-configuration", f"OutputLocation=s3://{results}/query-results/"),
            *("--query-execution-context", context),
        ]
    )
    query_id = json.loads(started)["QueryExecutionId"]
    asked = ["aws", "athena", "get-query-execution", "--query-execution-id", query_id, "--output", "json"]
    while (execution := json.loads(run(asked))["QueryExecution"])["Status"]["State"] in ("QUEUED", "RUNNING"):
        pass
    assert execution["Status"]["State"] == "SUCCEEDED", execution
    fetched = run(
        ["aws", "athena", "get-query-results", "--query-execution-id", query_id, "--output", "json"]
    )
    rows = json.loads(fetched)["ResultSet"]["Rows"]
    assert rows[0]["Data"][0]["VarCharValue"] == "transaction_id"
    assert len(rows) == 101


@pytest.mark.skipif(shutil.which("aws") is None, reason="the AWS CLI is not installed")
def test_the_aws_cli_reads_the_source_table(run: Run, deployed: tuple[Any, ...]) -> None:
    _, _, contract = deployed
    answer = run(
        ["aws", "dynamodb", "describe-table", "--table-name", contract.source_table, "--output", "json"]
    )
    assert json.loads(answer)["Table"]["StreamSpecification"]["StreamViewType"] == "NEW_AND_OLD_IMAGES"
