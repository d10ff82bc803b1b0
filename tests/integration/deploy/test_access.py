"""The access stack on the local AWS: beside a delivery of before it, previewed, drifted, protected."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import boto3
import pytest
from cfnlint.decode.cfn_yaml import load

from dynaberg import deploy, layers
from dynaberg.contracts.contract import Column, Contract, load_contract
from dynaberg.deploy import account_checks, cleanup, doctor
from dynaberg.deploy.deployer import delete_stack, deploy_stack
from dynaberg.deploy.permissions import POLICIES
from dynaberg.deploy.stack_state import PARTS, stack_resources
from dynaberg.errors import SettingsError
from dynaberg.settings import Settings
from local_aws import Status

ROOT = Path(__file__).resolve().parents[3]
ROLES = ("FirehoseRole", "ForwarderRole", "RedriveRole", "TransformRole")
ITEMS = Contract("items", "access-items", "id", None, (Column("id", "string"),))


@pytest.fixture(scope="module")
def session(local_aws: Status) -> boto3.Session:
    return boto3.Session()


def settings_of(name: str, stream_type: str = "dynamodb") -> Settings:
    return Settings(
        name=name,
        table_name="items",
        namespace="access",
        table_bucket_name=f"{name}-tables",
        bucket_name=name,
        stream_type=stream_type,
    )


@pytest.fixture(scope="module")
def deployed(session: boto3.Session) -> Iterator[Settings]:
    settings = settings_of("accessed")
    deploy.enable_cdc(session, settings, ITEMS)
    layers.create_tables(session, settings, ITEMS)
    deploy.deploy_firehose(session, settings, ITEMS)
    yield settings
    cleanup.clean_up(session, settings, confirm=settings.name)


def with_its_own_roles(folder: Path) -> Path:
    """The delivery's template as it was before the access stack: the roles in it."""
    access, delivery = (load(str(deploy.TEMPLATES / f"{part}.yaml")) for part in ("access", "delivery"))
    text = json.dumps(delivery)
    for role in ROLES:
        text = text.replace(f'{{"Ref": "{role}Arn"}}', f'{{"Fn::GetAtt": ["{role}", "Arn"]}}')
    older: dict[str, Any] = json.loads(text)
    for role in ROLES:
        del older["Parameters"][f"{role}Arn"]
        resource = access["Resources"][role]
        older["Resources"][role] = resource | {"Properties": resource["Properties"] | {"Policies": []}}
    older["Parameters"]["TableBucketArn"] = {"Type": "String"}
    path = folder / "delivery.yaml"
    path.write_text(json.dumps(older))
    return path


@pytest.mark.parametrize("stream_type", ["dynamodb", "kinesis"])
def test_a_delivery_with_its_own_roles_gives_them_to_the_access_stack(
    session: boto3.Session, tmp_path: Path, stream_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(f"older-{stream_type}", stream_type)
    contract = replace(ITEMS, source_table=f"older-{stream_type}")
    deploy.enable_cdc(session, settings, contract)
    layers.create_tables(session, settings, contract)
    with monkeypatch.context() as patch:
        older = with_its_own_roles(tmp_path)
        names = set(json.loads(older.read_text())["Parameters"])

        def deploy_older(
            session: boto3.Session, settings: Settings, part: str, parameters: dict[str, str], *_: Any
        ) -> Any:
            template = older if part == "delivery" else deploy.TEMPLATES / f"{part}.yaml"
            if part == "delivery":
                parameters = {k: v for k, v in parameters.items() if k in names} | {"TableBucketArn": "arn"}
            return deploy_stack(session, f"{settings.name}-{part}", template, parameters)

        patch.setattr("dynaberg.deploy.stacks._deploy", deploy_older)
        deploy.deploy_firehose(session, settings, contract)
        delete_stack(session, f"{settings.name}-access")
    before = stack_resources(session, f"{settings.name}-delivery").set_index("resource")
    deploy.deploy_firehose(session, settings, contract)
    after = stack_resources(session, f"{settings.name}-delivery").set_index("resource")
    assert not set(after.index) & set(ROLES)
    for kept in ("DeliveryStream", "DeadLetterQueue", "ParkedQueue", "Forwarder"):
        assert after.loc[kept, "name"] == before.loc[kept, "name"]
    roles = session.client("iam").list_roles()["Roles"]
    ours = {role["Arn"] for role in roles if role["RoleName"].startswith(f"{settings.name}-")}
    outputs = deploy.outputs(session, settings, "access")
    assert ours == {value for key, value in outputs.items() if key.endswith("RoleArn")}
    forwarder = session.client("lambda").get_function_configuration(FunctionName=f"{settings.name}-forwarder")
    assert forwarder["Role"] == outputs["ForwarderRoleArn"]
    cleanup.clean_up(session, settings, confirm=settings.name)


def test_what_the_roles_name_is_what_the_delivery_makes(session: boto3.Session, deployed: Settings) -> None:
    outputs = deploy.outputs(session, deployed, "delivery")
    role = deploy.outputs(session, deployed, "access")["ForwarderRoleArn"].rpartition("/")[2]
    policy = session.client("iam").get_role_policy(RoleName=role, PolicyName="forward")["PolicyDocument"]
    resources = {s["Sid"]: s["Resource"] for s in policy["Statement"]}
    assert fnmatch(outputs["DeliveryStreamArn"], resources["SendRows"])
    assert fnmatch(outputs["DeadLetterQueueName"], resources["KeepWhatIsRefused"].rpartition(":")[2])


def test_a_preview_of_nothing_deployed_shows_every_resource_and_leaves_nothing(
    session: boto3.Session,
) -> None:
    settings = settings_of("foreseen")
    shown = deploy.preview(session, settings, ITEMS)
    assert list(shown["stack"].unique()) == [f"foreseen-{part}" for part in PARTS]
    assert set(shown["action"]) == {"Add"}
    assert {"SourceTable", "FirehoseRole", "DeliveryStream", "Dashboard"} <= set(shown["resource"])
    assert not any(deploy.exists(session, settings, part) for part in PARTS)
    assert not len(cleanup.list_resources(session, settings))


def test_a_preview_of_what_is_deployed_shows_what_would_change(
    session: boto3.Session, deployed: Settings
) -> None:
    assert deploy.preview(session, deployed, ITEMS).empty
    shown = deploy.preview(session, replace(deployed, log_retention_days=90), ITEMS)
    assert set(shown["stack"]) == {"accessed-delivery"}
    assert {"ForwarderLogs", "RedriveLogs", "FirehoseLogs"} <= set(shown["resource"])


def test_drift_names_the_property_that_was_changed_by_hand(
    session: boto3.Session, deployed: Settings
) -> None:
    before = deploy.stack_drift(session, deployed)
    assert not set(before["status"]) & {"MODIFIED", "DELETED"}
    assert {"IN_SYNC", "NOT_CHECKED"} == set(before["status"])
    url = deploy.outputs(session, deployed, "delivery")["DeadLetterQueueUrl"]
    sqs = session.client("sqs")
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"MessageRetentionPeriod": "3600"})
    try:
        drifted = deploy.stack_drift(session, deployed)
        changed = drifted[drifted["status"] == "MODIFIED"]
        row = ["accessed-delivery", "DeadLetterQueue", "AWS::SQS::Queue", "MODIFIED"]
        assert changed.to_numpy().tolist() == [[*row, "/MessageRetentionPeriod", "1209600", "3600"]]
    finally:
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"MessageRetentionPeriod": "1209600"})


def test_what_is_protected_is_not_removed_until_it_is_told(
    session: boto3.Session, deployed: Settings
) -> None:
    deploy.enable_cdc(session, replace(deployed, protect=True), ITEMS)
    before = cleanup.list_resources(session, deployed)
    with pytest.raises(
        SettingsError, match="'accessed-foundation' and its DynamoDB table are protected"
    ) as caught:
        cleanup.clean_up(session, deployed, confirm="accessed")
    assert "wb.enable_cdc()" in caught.value.hint
    assert cleanup.list_resources(session, deployed).equals(before)
    deploy.enable_cdc(session, deployed, ITEMS)
    stack = session.client("cloudformation").describe_stacks(StackName="accessed-foundation")["Stacks"][0]
    assert stack["EnableTerminationProtection"] is False


def test_the_doctor_asks_iam_what_the_caller_may_do(session: boto3.Session, deployed: Settings) -> None:
    """Over the wire: the local AWS enforces no policy, but it can simulate one."""
    on_aws = replace(deployed, target="aws", root=ROOT, table_name="transactions")
    deploy.integrate_analytics(session, deployed)
    report = doctor(session, on_aws).set_index("check")
    assert report.loc["analytics integration", "found"] == "s3tablescatalog by iam"
    assert "dynaberg policy work" in report.loc["permission to work", "fix"]
    iam, contract = session.client("iam"), load_contract(ROOT / "data" / "tables" / "transactions.yaml")
    user = iam.create_user(UserName="accessed-engineer")["User"]["Arn"]
    for name in POLICIES:
        statements = deploy.policy(session, on_aws, contract, name)["Statement"]
        asked = [(s["Action"], s["Resource"]) for s in statements]
        assert all(list(account_checks._denied(session, user, *each)) == each[0] for each in asked)
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName="accessed-engineer", PolicyName=name, PolicyDocument=document)
        assert [list(account_checks._denied(session, user, *each)) for each in asked] == [[]] * len(asked)
        iam.delete_user_policy(UserName="accessed-engineer", PolicyName=name)
    iam.delete_user(UserName="accessed-engineer")
