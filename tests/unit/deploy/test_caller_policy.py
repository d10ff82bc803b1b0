"""The caller's policies: scoped, of actions that exist, and for the deployment what CloudFormation calls."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cfnlint
import pytest
from cfnlint.decode.cfn_yaml import load
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from dynaberg.contracts import Column, Contract
from dynaberg.deploy.permissions import POLICIES, caller_policy
from dynaberg.deploy.stack_state import ALL_PARTS
from dynaberg.deploy.template import TEMPLATES
from dynaberg.settings import Settings

ACCOUNT, REGION = "111122223333", "eu-central-1"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1"
CONTRACT = Contract("transactions", "financial-transactions", "id", None, (Column("id", "string"),))
AUTHORIZATION = json.loads(
    (Path(cfnlint.__file__).parent / "data" / "AdditionalSpecs" / "Policies.json").read_text()
)
# What CloudFormation's handlers can do for properties that no template here sets.
UNUSED = re.compile(
    r"Replica|Import|Item$|:Query|:Scan|CreateServiceLinkedRole|PermissionsBoundary|:Attach|:Detach|ResourcePolicy$"
    r"|EnhancedMonitoring|ShardCount|MaxRecordSize|RecordDistribution|WarmThroughput|CodeSigning|Capacity"
    r"|ScalingConfig|LayerVersion|PublishVersion|Concurrency|RuntimeAlias|IndexPolic|DataProtection|Bearer"
    r"|LogDelivery|KmsKey|LogGroupDeletion|MetadataTable|MetadataAnnotation|MetadataInventory|MetadataJournal"
    r"|Put(Accelerate|Analytics|Inventory|Metrics|IntelligentTiering|Replication|ObjectLock)"
    r"|PutBucket(Abac|Acl|CORS|Logging|Notification|ObjectLock|Ownership|Replication|Versioning|Website)"
    r"|DeleteBucket(Analytics|Cors|Metrics|Website)|PutObjectAcl|REST|s3:DeleteObject|s3:PutObject|s3:GetObject"
    r"|MultipartUpload|s3:.*ObjectLockConfiguration|ContributorInsights$|UpdateTimeToLive"
    r"|PutTableBucket(Storage|Metrics|Maintenance)|DeleteTableBucketMetrics|RuntimeManagement|Recursion"
    r"|TableBucketReplication|s3:GetBucketLocation|SetSubscription|glue:\w+Connection"
)
WITH_THE_KEY_TO_DEPLOY = {"kms:CreateGrant", "kms:DescribeKey"}


def handlers(kind: str) -> set[str]:
    """What CloudFormation calls in the caller's name for a type of resource, by the type's schema."""
    found = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, kind).schema.get("handlers", {})
    return {a for verb, handler in found.items() if verb != "list" for a in handler.get("permissions", ())}


def service_of(kind: str) -> str:
    _, service, _ = kind.lower().split("::")
    return {"kinesisfirehose": "firehose", "stepfunctions": "states"}.get(service, service)


TYPES = sorted(
    {r["Type"] for part in ALL_PARTS for r in load(str(TEMPLATES / f"{part}.yaml"))["Resources"].values()}
)


def needed_by_cloudformation() -> set[str]:
    """Of each type's own service: what the properties of the templates need, and what is read of any."""
    own = {a for kind in TYPES for a in handlers(kind) if a.partition(":")[0] == service_of(kind)}
    own = {a for a in own if exists(a)}
    reads = {a for a in own if re.match(r"(s3:Get(?!Object)|dynamodb:(Describe|List|GetResource))", a)}
    return {a for a in own if not UNUSED.search(a)} | reads | {"iam:PassRole"}


def exists(action: str) -> bool:
    """Some schemas name operations where the action is called otherwise, and is named beside them."""
    service, _, name = action.lower().partition(":")
    return name in {known.lower() for known in AUTHORIZATION[service]["Actions"]}


def specification(action: str) -> dict[str, Any]:
    service, _, name = action.lower().partition(":")
    found = {k.lower(): v for k, v in AUTHORIZATION[service]["Actions"].items()}
    specified: dict[str, Any] = found[name]
    return specified


def takes_no_resource(action: str) -> bool:
    return not [kind for kind in specification(action).get("Resources", []) if kind != "*"]


def filled(name: str, **settings: Any) -> dict[str, Any]:
    given = {"kms_key_arn": KEY, **settings}
    return caller_policy(name, Settings(**given), CONTRACT, account=ACCOUNT, region=REGION)


def statements() -> Iterator[tuple[str, dict[str, Any]]]:
    for name in POLICIES:
        for statement in filled(name)["Statement"]:
            yield f"{name}.{statement['Sid']}", statement


@pytest.mark.parametrize(
    ("name", "statement"), list(statements()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_action_exists_and_has_the_resource_that_it_takes(name: str, statement: dict[str, Any]) -> None:
    resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
    assert (statement["Effect"], [a for a in statement["Action"] if "*" in a]) == ("Allow", [])
    for action in statement["Action"]:
        kinds = specification(action).get("Resources", [])
        if action in ANYWHERE or not kinds:
            assert resources == ["*"], action
        else:
            assert "*" not in resources, action
            formats = AUTHORIZATION[action.partition(":")[0]]["Resources"]
            wanted = [f for kind in kinds for f in formats[kind.lower()]["ARNFormats"]]
            assert any(arn_fits(arn, form) for arn in resources for form in wanted), (action, wanted)


# Their resources cannot be told beforehand, or are the account's own.
ANYWHERE = {"cloudwatch:GetMetricData", "cloudwatch:ListMetrics"}


def arn_fits(arn: str, form: str) -> bool:
    """Whether an ARN is of a form as the authorization reference writes it."""
    kind = re.sub(r"\$\{[^}]+\}", ".*", form.split(":", 5)[-1])
    return form.split(":")[2] == arn.split(":")[2] and bool(re.match(kind, arn.split(":", 5)[-1]))


def test_the_deployment_may_do_what_cloudformation_does_and_no_more() -> None:
    allowed = {a for s in filled("deploy")["Statement"] for a in s["Action"]}
    expected = needed_by_cloudformation() | WITH_THE_KEY_TO_DEPLOY
    assert (sorted(allowed - expected), sorted(expected - allowed)) == ([], [])


def test_without_a_key_nothing_is_allowed_on_keys() -> None:
    for name in POLICIES:
        assert "kms:" not in json.dumps(filled(name, kms_key_arn=""))


@pytest.mark.parametrize("name", POLICIES)
def test_iam_takes_it_as_an_inline_policy(name: str) -> None:
    # "IAM and AWS STS quotas": for all inline policies of a role, white space not counted.
    assert len(json.dumps(filled(name), separators=(",", ":"))) < 10_240


def test_who_replays_may_use_the_key_that_failures_have_of_their_own() -> None:
    own = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/failures"
    found = filled("work", failures_kms_key_arn=own, kms_key_arn="")["Statement"]
    assert [s["Action"] for s in found if s["Resource"] == own] == [["kms:Decrypt", "kms:GenerateDataKey"]]
    assert own not in json.dumps(filled("work"))
