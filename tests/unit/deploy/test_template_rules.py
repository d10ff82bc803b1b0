"""The security promises, as rules over all templates: scoped permissions, TLS, keys, protection."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cfnlint
import pytest

from dynaberg.deploy.permissions import as_list
from dynaberg.deploy.stack_state import PARTS
from dynaberg.deploy.template import TEMPLATES, load_template, resolved_resources

KEY = "arn:aws:kms:eu-central-1:111122223333:key/1"
PSEUDO = {"AWS::AccountId": "111122223333", "AWS::Region": "eu-central-1", "AWS::Partition": "aws"}
VARIANTS = [
    {"StreamType": stream_type, "KmsKeyArn": key, "AccessMode": mode, "DeletionProtection": "true"}
    for stream_type in ("dynamodb", "kinesis")
    for key in ("", KEY)
    for mode in ("iam", "lakeformation")
]
AUTHORIZATION = json.loads(
    (Path(cfnlint.__file__).parent / "data" / "AdditionalSpecs" / "Policies.json").read_text()
)


def resources(part: str, **given: str) -> dict[str, Any]:
    """The resources of a stack as they come out; a parameter that is not given is its own name."""
    template = load_template(TEMPLATES / f"{part}.yaml")
    unknown = {name: name for name, p in template["Parameters"].items() if "Default" not in p}
    known = {name: value for name, value in given.items() if name in template["Parameters"]}
    return resolved_resources(template, unknown | known | PSEUDO)


def everything(**given: str) -> dict[str, Any]:
    return {name: resource for part in PARTS for name, resource in resources(part, **given).items()}


def of_type(kind: str, **given: str) -> dict[str, Any]:
    found = {n: r["Properties"] for n, r in everything(**given).items() if r["Type"] == kind}
    assert found
    return found


def policy_statements(node: Any) -> Iterator[dict[str, Any]]:
    """Every statement of every policy, wherever in a template it stands."""
    if isinstance(node, dict):
        if "Effect" in node:
            yield node
        for value in node.values():
            yield from policy_statements(value)
    elif isinstance(node, list):
        for value in node:
            yield from policy_statements(value)


@pytest.mark.parametrize("given", VARIANTS, ids=lambda given: "-".join(given.values())[:40])
def test_what_is_allowed_is_named_and_scoped(given: dict[str, str]) -> None:
    allowed = [s for s in policy_statements(everything(**given)) if s["Effect"] == "Allow"]
    assert len(allowed) > 20
    for statement in allowed:
        for action in as_list(statement["Action"]):
            service, _, name = action.partition(":")
            assert "*" not in action
            if "Resource" in statement and "*" in as_list(statement["Resource"]):
                assert not AUTHORIZATION[service]["Actions"][name.lower()].get("Resources"), action


def test_what_is_denied_is_what_comes_without_tls() -> None:
    denied = [s for s in policy_statements(everything()) if s["Effect"] == "Deny"]
    assert len(denied) == 5
    for statement in denied:
        assert statement["Principal"] == "*"
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_only_the_access_stack_touches_iam() -> None:
    for part in PARTS:
        kinds = {r["Type"] for r in load_template(TEMPLATES / f"{part}.yaml")["Resources"].values()}
        assert part == "access" or not [
            k for k in kinds if k.startswith(("AWS::IAM::", "AWS::LakeFormation::"))
        ]


def test_nobody_becomes_a_data_lake_administrator() -> None:
    text = "".join((TEMPLATES / f"{part}.yaml").read_text() for part in PARTS)
    kinds = {
        r["Type"] for part in PARTS for r in load_template(TEMPLATES / f"{part}.yaml")["Resources"].values()
    }
    assert {k for k in kinds if k.startswith("AWS::LakeFormation::")} == {
        "AWS::LakeFormation::PrincipalPermissions"
    }
    assert "DataLakeSettings" not in text
    lake = {"AccessMode": "lakeformation", "AnalystArn": "analyst", "OperatorArn": "operator"}
    for grant in of_type("AWS::LakeFormation::PrincipalPermissions", **lake).values():
        assert grant["PermissionsWithGrantOption"] == []
        assert "ALL" not in grant["Permissions"]
        (where,) = grant["Resource"].values()
        assert where["CatalogId"] == "111122223333:s3tablescatalog/TableBucketName"


def test_without_lake_formation_nothing_of_it_is_there() -> None:
    assert not [r for r in everything().values() if r["Type"].startswith("AWS::LakeFormation::")]
    assert "lakeformation" not in json.dumps(everything())


def encryption(**given: str) -> dict[str, Any]:
    """What encrypts each resource that holds data."""
    with_kinesis = {"StreamType": "kinesis", **given}
    found: dict[str, Any] = {}
    for name, table in of_type("AWS::DynamoDB::Table", **with_kinesis).items():
        found[name] = table.get("SSESpecification", {}).get("KMSMasterKeyId")
    for name, stream in of_type("AWS::Kinesis::Stream", **with_kinesis).items():
        found[name] = stream["StreamEncryption"]["KeyId"]
    for name, bucket in of_type("AWS::S3Tables::TableBucket", **with_kinesis).items():
        found[name] = bucket["EncryptionConfiguration"].get("KMSKeyArn")
    for name, bucket in of_type("AWS::S3::Bucket", **with_kinesis).items():
        (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        found[name] = rule["ServerSideEncryptionByDefault"].get("KMSMasterKeyID")
    for name, queue in of_type("AWS::SQS::Queue", **with_kinesis).items():
        assert queue["SqsManagedSseEnabled"] is not bool(given.get("KmsKeyArn"))
        found[name] = queue.get("KmsMasterKeyId")
    direct = of_type("AWS::KinesisFirehose::DeliveryStream", **with_kinesis)["DeliveryStream"]
    found["DeliveryStream"] = direct["DeliveryStreamEncryptionConfigurationInput"].get("KeyARN")
    return found


def test_with_a_key_it_encrypts_all_but_query_results() -> None:
    # "Query S3 Tables with Athena": a workgroup with SSE-KMS results takes no MERGE.
    found = encryption(KmsKeyArn=KEY)
    assert found.pop("ResultsBucket") is None
    assert set(found.values()) == {KEY}
    assert len(found) == 9


def test_without_a_key_aws_encrypts_with_its_own() -> None:
    found = encryption()
    assert found.pop("ChangeStream") == "alias/aws/kinesis"
    assert set(found.values()) == {None}


def test_with_a_key_every_principal_may_use_it_and_without_one_none() -> None:
    access = {"StreamType": "kinesis"}
    with_key = resources("access", KmsKeyArn=KEY, **access)
    users = {n for n, r in with_key.items() if KEY in json.dumps(r)}
    assert users == {"FirehoseRole", "ForwarderRole", "RedriveRole", "TransformRole", "AnalystPolicy"}
    assert "kms:" not in json.dumps(resources("access", **access))


@pytest.mark.parametrize(("asked", "protected"), [("true", True), ("false", False)])
def test_deletion_protection_is_as_asked(asked: str, protected: bool) -> None:
    table = of_type("AWS::DynamoDB::Table", DeletionProtection=asked)["SourceTable"]
    assert table["DeletionProtectionEnabled"] is protected
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_logs_stay_as_long_as_asked() -> None:
    groups = of_type("AWS::Logs::LogGroup", StreamType="kinesis", LogRetentionDays="90")
    assert {group["RetentionInDays"] for group in groups.values()} == {"90"}
    assert len(groups) == 4
