"""What the doctor makes of an AWS account's answers, given by botocore's own stubs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import ANY, Stubber

from dynaberg import aws
from dynaberg.contracts import load_contract
from dynaberg.deploy import account_checks
from dynaberg.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = Settings(target="aws", root=ROOT)
ROLE = "arn:aws:sts::111122223333:assumed-role/engineer/session"
SERVICES = ("s3tables", "lambda", "glue", "lakeformation", "iam", "sts")
Answers = Callable[..., boto3.Session]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """A session whose services answer what they are told to, checked against botocore's models."""
    session = boto3.Session("x", "y", region_name="eu-central-1")
    clients = {
        name: session.client(name) for name in ("s3tables", "lambda", "glue", "lakeformation", "iam", "sts")
    }
    monkeypatch.setattr(aws, "client", lambda _, name: clients[name])

    def tell(*told: tuple[str, str, Any]) -> boto3.Session:
        for service, operation, answer in told:
            stubber = Stubber(clients[service])
            if isinstance(answer, str):
                stubber.add_client_error(operation, answer)
            else:
                stubber.add_response(operation, answer)
            stubber.activate()
        return session

    return tell


def catalog(permissions: list[Any]) -> dict[str, Any]:
    return {
        "Catalog": {
            "Name": "s3tablescatalog",
            "FederatedCatalog": {"ConnectionName": "aws:s3tables"},
            "CreateTableDefaultPermissions": permissions,
            "CreateDatabaseDefaultPermissions": permissions,
        }
    }


EVERYBODY = [{"Principal": {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"}, "Permissions": ["ALL"]}]
TEN = [f"bucket-{n}" for n in range(10)]
IDENTITY = {"Account": "111122223333", "Arn": ROLE, "UserId": "u"}


@pytest.mark.parametrize(
    ("told", "ok", "found", "fix"),
    [
        ([("glue", "get_catalog", catalog(EVERYBODY))], True, "s3tablescatalog by iam", ""),
        ([("glue", "get_catalog", catalog([]))], False, "by lakeformation, iam set", "not changed"),
        (
            [
                ("glue", "get_catalog", "EntityNotFoundException"),
                ("sts", "get_caller_identity", IDENTITY),
                ("lakeformation", "describe_resource", "EntityNotFoundException"),
            ],
            False,
            "does not exist",
            "wb.integrate_analytics()",
        ),
    ],
)
def test_the_integration_and_its_mode(answers: Answers, told: Any, ok: bool, found: str, fix: str) -> None:
    finding = account_checks.analytics_integration(answers(*told), SETTINGS)
    assert finding[0] is ok
    assert found in finding[1]
    assert fix in finding[2]


def buckets(*names: str) -> dict[str, Any]:
    arn, at = "arn:aws:s3tables:eu-central-1:111122223333:bucket/", "2026-01-31T00:00:00Z"
    return {
        "tableBuckets": [
            {"name": n, "arn": arn + n, "ownerAccountId": "111122223333", "createdAt": at} for n in names
        ]
    }


@pytest.mark.parametrize(
    ("names", "ok"),
    [([], True), (TEN, False), (["streamtablebucket", *TEN[1:]], True)],
)
def test_there_must_be_room_for_a_table_bucket(answers: Answers, names: list[str], ok: bool) -> None:
    session = answers(("s3tables", "list_table_buckets", buckets(*names)))
    found = account_checks.table_buckets(session, SETTINGS)
    assert (found[0], found[1]) == (ok, f"{len(names)} table buckets, 10 by default")
    assert "Service Quotas" in found[2]


@pytest.mark.parametrize(("free", "ok"), [(10, False), (1_000, True)])
def test_a_new_accounts_concurrency_is_told(answers: Answers, free: int, ok: bool) -> None:
    limits = {"AccountLimit": {"UnreservedConcurrentExecutions": free}}
    found = account_checks.lambda_concurrency(answers(("lambda", "get_account_settings", limits)), SETTINGS)
    assert found[:2] == (ok, f"{free} executions at a time")


def test_a_region_without_s3_tables_is_named(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    session = answers()

    def no_such_host(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://s3tables.eu-central-1.amazonaws.com")

    monkeypatch.setattr(aws.client(session, "s3tables"), "list_table_buckets", no_such_host)
    ok, found, fix = account_checks.region(session, SETTINGS)
    assert (ok, found) == (False, "no S3 Tables in eu-central-1")
    assert "region=" in fix


class Iam:
    """IAM's simulation, of a caller who is denied some actions."""

    def __init__(self, session: boto3.Session, denied: set[str]) -> None:
        self.stubber = Stubber(aws.client(session, "iam"))
        self.asked: list[str] = []
        self.denied = denied
        for page in self.pages(session):
            self.stubber.add_response("simulate_principal_policy", page, ANYTHING)
        self.stubber.activate()

    def pages(self, session: boto3.Session) -> list[dict[str, Any]]:
        document = account_checks.caller_policy(
            "work",
            SETTINGS,
            load_contract(ROOT / "data" / "tables" / "transactions.yaml"),
            account="111122223333",
            region="eu-central-1",
        )
        return [
            {"EvaluationResults": [self.result(action) for action in s["Action"]]}
            for s in document["Statement"]
        ]

    def result(self, action: str) -> dict[str, Any]:
        decision = "implicitDeny" if action in self.denied else "allowed"
        return {"EvalActionName": action, "EvalDecision": decision}


ANYTHING = {
    "PolicySourceArn": "arn:aws:iam::111122223333:role/engineer",
    "ActionNames": ANY,
    "ResourceArns": ANY,
}


@pytest.mark.parametrize(
    ("denied", "found"),
    [
        (set(), "actions allowed"),
        ({"sqs:ReceiveMessage", "dynamodb:Scan"}, "not allowed: dynamodb:Scan, sqs:ReceiveMessage"),
    ],
)
def test_what_the_caller_may_not_do_is_named(answers: Answers, denied: set[str], found: str) -> None:
    session = answers(("sts", "get_caller_identity", IDENTITY))
    simulation = Iam(session, denied)
    ok, words, fix = account_checks.permission_to_work(session, SETTINGS)
    simulation.stubber.assert_no_pending_responses()
    assert ok is not bool(denied)
    assert found in words
    assert "dynaberg policy work" in fix


def test_a_caller_who_may_not_simulate_is_told_that_nothing_was_checked(answers: Answers) -> None:
    session = answers(
        ("sts", "get_caller_identity", IDENTITY), ("iam", "simulate_principal_policy", "AccessDenied")
    )
    ok, words, _ = account_checks.permission_to_deploy(session, SETTINGS)
    assert (ok, words.partition(":")[0]) == (True, "not checked")


def test_the_session_of_a_role_is_asked_for_as_the_role() -> None:
    assert account_checks._principal(ROLE) == "arn:aws:iam::111122223333:role/engineer"
    user = "arn:aws:iam::111122223333:user/engineer"
    assert account_checks._principal(user) == user
