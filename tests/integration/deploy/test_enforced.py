"""The walk with IAM enforced: each principal can do what its policy is for, and nothing else."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from pyiceberg.exceptions import ForbiddenError
from tests.conftest import free_port, own_local_aws

import dynaberg
import local_aws
from dynaberg import deploy
from dynaberg.contracts.contract import load_contract
from dynaberg.deploy.permissions import caller_policy
from dynaberg.errors import DynabergError
from dynaberg.settings import STREAM_TYPES, Settings

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).resolve().parents[3]
ACCOUNT, REGION = "000000000000", "us-east-1"
DENIED = (ClientError, ForbiddenError, OSError, DynabergError)
# By whom each may be called, beside those who may call all that the next one may.
ANALYSTS: Mapping[str, Callable[[Any], Any]] = {
    "wb.query()": lambda wb: wb.query("SELECT count(*) FROM transactions"),
    ".snapshots()": lambda wb: wb.table().snapshots(),
    ".read_as_of()": lambda wb: wb.table().read_as_of(datetime.now(UTC)),
    ".state_as_of()": lambda wb: wb.table().state_as_of(datetime.now(UTC)),
    ".changes_between()": lambda wb: wb.table().changes_between(*snapshot_ids(wb)),
    ".item_history()": lambda wb: wb.table().item_history(a_key(wb)),
    ".bookmarks()": lambda wb: wb.table().bookmarks(),
    ".profile_columns()": lambda wb: wb.table().profile_columns(),
    ".profile_files()": lambda wb: wb.table().profile_files(),
    ".profile_partitions()": lambda wb: wb.table().profile_partitions(),
    ".drift()": lambda wb: wb.table().drift(*snapshot_ids(wb)),
    ".compaction_saving()": lambda wb: wb.table().compaction_saving(),
}
OPERATORS: Mapping[str, Callable[[Any], Any]] = {
    ".refresh()": lambda wb: wb.table().refresh(),
    ".reconcile()": lambda wb: wb.table().reconcile(),
    ".bookmark()": lambda wb: wb.table().bookmark("here"),
    ".maintenance()": lambda wb: wb.table().maintenance(),
    ".failures()": lambda wb: wb.table().failures(),
    ".queue_depths()": lambda wb: wb.table().queue_depths(),
    "wb.build()": lambda wb: wb.build(),
    "wb.generate_traffic()": lambda wb: wb.generate_traffic(5),
    "DELETE": lambda wb: wb.query("DELETE FROM transactions WHERE transaction_id = ''"),
    "CREATE TABLE": lambda wb: wb.query("CREATE TABLE made AS SELECT 1 AS n"),
    "DROP TABLE": lambda wb: wb.query("DROP TABLE made"),
}
FOREIGN: Mapping[str, Callable[[Any], Any]] = {
    "another table": lambda wb: wb.client("dynamodb").scan(TableName="payroll"),
    "another bucket": lambda wb: wb.client("s3").list_objects_v2(Bucket="payroll"),
    "users": lambda wb: wb.client("iam").list_users(),
    "a function": lambda wb: wb.client("lambda").delete_function(FunctionName=f"{wb.name}-forwarder"),
}


def snapshot_ids(wb: Any) -> list[int]:
    found = wb.table().snapshots()["snapshot_id"]
    return [int(found.iloc[0]), int(found.iloc[-1])]


def a_key(wb: Any) -> dict[str, Any]:
    found = wb.query("SELECT transaction_id, timestamp FROM transactions LIMIT 1").df
    return dict(found.iloc[0].to_dict())


@dataclass(frozen=True)
class People:
    """The workbenches of the principals, on one pipeline."""

    deployer: Any
    operator: Any
    analyst: Any


@pytest.fixture(scope="module")
def enforced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[local_aws.Status]:
    """A local AWS of its own that enforces IAM, with this process's clients pointed at it."""
    with own_local_aws(tmp_path_factory.mktemp("enforced"), enforce_iam=True) as status:
        yield status


def user(name: str, *documents: Mapping[str, Any], managed: str = "") -> boto3.Session:
    """A session of a user of its own, who has some policies."""
    iam = boto3.client("iam")
    iam.create_user(UserName=name)
    for number, document in enumerate(documents):
        iam.put_user_policy(UserName=name, PolicyName=f"given-{number}", PolicyDocument=json.dumps(document))
    if managed:
        iam.attach_user_policy(UserName=name, PolicyArn=managed)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=REGION)


@pytest.fixture(scope="module", params=STREAM_TYPES)
def people(request: pytest.FixtureRequest, enforced: local_aws.Status) -> People:
    """A pipeline that the deployer made, filled by the operator, seen by all."""
    name = f"enforced-{request.param}"
    names: Any = {"name": name, "table_bucket_name": f"{name}-tables", "bucket_name": name}
    settings = Settings(target="aws", namespace="seen", stream_type=request.param, root=ROOT, **names)
    contract = load_contract(ROOT / "data" / "tables" / "transactions.yaml")
    contract = replace(contract, source_table=f"{name}-source")
    work, make = (
        caller_policy(policy, settings, contract, account=ACCOUNT, region=REGION)
        for policy in ("work", "deploy")
    )

    def workbench(session: boto3.Session) -> Any:
        return dynaberg.Workbench(settings, session, contract)

    deployer = workbench(user(f"{name}-deployer", work, make))
    deployer.enable_cdc()
    deployer.integrate_analytics()
    deployer.deploy_firehose(buffer_seconds=0)
    operator = workbench(user(f"{name}-operator", work))
    for seed in (1, 2):
        operator.generate_traffic(100, seed=seed)
        operator.table().wait_for_delivery()
        operator.table().refresh()
    outputs = deploy.outputs(boto3.Session(), settings, "access")
    analyst = workbench(user(f"{name}-analyst", managed=outputs["AnalystPolicyArn"]))
    return People(deployer, operator, analyst)


@pytest.mark.parametrize("call", ANALYSTS)
def test_an_analyst_can_read(people: People, call: str) -> None:
    ANALYSTS[call](people.analyst)


@pytest.mark.parametrize("call", [*OPERATORS, *FOREIGN])
def test_an_analyst_can_do_nothing_else(people: People, call: str) -> None:
    with pytest.raises(DENIED, match=r"not authorized|AccessDenied|ACCESS_DENIED|Forbidden"):
        {**OPERATORS, **FOREIGN}[call](people.analyst)


@pytest.mark.parametrize("call", [*ANALYSTS, *OPERATORS])
def test_an_operator_can_work(people: People, call: str) -> None:
    {**ANALYSTS, **OPERATORS}[call](people.operator)


@pytest.mark.parametrize("call", FOREIGN)
def test_nobody_reaches_what_is_not_of_the_project(people: People, call: str) -> None:
    for wb in (people.operator, people.analyst):
        with pytest.raises(ClientError, match="not authorized"):
            FOREIGN[call](wb)


def test_the_functions_call_in_their_roles_name(people: People) -> None:
    """All was delivered: the forwarder, or the transform, had what it needs. Without its role it has not."""
    orders = people.operator.table()
    orders.wait_for_delivery()
    orders.refresh()
    assert orders.reconcile().matches
    iam, role = boto3.client("iam"), function_role(people.operator)
    kept = {
        name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in policies(role)
    }
    assert not REFUSED.search(invoked(role))
    for name in kept:
        iam.delete_role_policy(RoleName=role, PolicyName=name)
    told = invoked(role)
    for name, document in kept.items():
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))
    assert REFUSED.search(told), told


# A transform that may not write to the error bucket says so to Firehose, which then keeps the record itself.
REFUSED = re.compile("not authorized|AccessDenied|ProcessingFailed")


def invoked(role: str) -> str:
    """What the function of a role answers to what it cannot convert, and has to keep in the error bucket."""
    functions = boto3.client("lambda")
    arn = next(f["FunctionArn"] for f in functions.list_functions()["Functions"] if role in f["Role"])
    answer = functions.invoke(FunctionName=arn, Payload=json.dumps(BROKEN).encode())
    return answer["Payload"].read().decode()


def function_role(wb: Any) -> str:
    kind = "Transform" if wb.settings.stream_type == "kinesis" else "Forwarder"
    arn = deploy.outputs(boto3.Session(), wb.settings, "access")[f"{kind}RoleArn"]
    return str(arn.rpartition("/")[2])


def policies(role: str) -> list[str]:
    return list(boto3.client("iam").list_role_policies(RoleName=role)["PolicyNames"])


# What cannot be converted goes to the error bucket, which needs a permission.
BROKEN: dict[str, Any] = {
    "Records": [
        {"eventID": "1", "eventName": "INSERT", "dynamodb": {"NewImage": {"amount": {"S": "a lot"}}}}
    ],
    "records": [{"recordId": "1", "data": base64.b64encode(b"no change").decode()}],
}


def test_unknown_keys_are_refused(enforced: local_aws.Status) -> None:
    nobody: Any = boto3.Session("AKIANOBODY", "secret", region_name=REGION)
    for service, call in (
        ("dynamodb", "list_tables"),
        ("athena", "list_work_groups"),
        ("s3", "list_buckets"),
    ):
        with pytest.raises(ClientError, match=r"InvalidAccessKeyId|UnrecognizedClient|InvalidClientTokenId"):
            getattr(nobody.client(service), call)()
    assert boto3.client("dynamodb").list_tables(), "the keys of the account may do everything"
    assert os.environ["AWS_ACCESS_KEY_ID"] == "test"


def test_one_that_runs_without_it_is_not_taken_for_one_that_enforces(
    enforced: local_aws.Status, tmp_path: Path
) -> None:
    assert local_aws.start(enforced.state_dir, enforce_iam=True).pid == enforced.pid
    assert enforced.enforces_iam
    plain = local_aws.start(tmp_path, port=free_port())
    try:
        assert not plain.enforces_iam
        with pytest.raises(local_aws.LocalAwsError, match="does not enforce IAM"):
            local_aws.start(tmp_path, enforce_iam=True)
    finally:
        local_aws.stop(tmp_path)


def test_the_page_lists_what_analysts_can_call() -> None:
    page = (ROOT / "lib" / "dynaberg" / "pages" / "aws.md").read_text(encoding="utf-8")
    section = page.partition("### What an analyst can call")[2].partition("With the access mode `lake")[0]
    assert set(re.findall(r"`((?:wb)?\.\w+\(\))`", section)) == ANALYSTS.keys()
