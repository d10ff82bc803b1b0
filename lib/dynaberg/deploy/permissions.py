"""Permissions: who may do what on which resource, and what the caller must be allowed.

The access matrix is read from the template of the access stack. Of the caller's two policies, `work` is what
the library itself calls, and what Athena calls on its behalf; `deploy` is what CloudFormation calls on behalf
of the principal who executes a change set. It includes IAM's own actions, and can be given to another
principal or to a CloudFormation service role.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd

from dynaberg.contracts import Contract
from dynaberg.deploy.parameters import access_parameters, check_readers, parquet_parameters
from dynaberg.deploy.stack_state import stack_name
from dynaberg.deploy.template import TEMPLATES, load_template, resolved_resources, with_logs
from dynaberg.errors import SettingsError
from dynaberg.settings import ACCESS_MODES, Settings, check_choice

MATRIX_COLUMNS = ["principal", "what", "resource", "permission", "mode", "enforced"]
POLICIES = ("work", "deploy")
MOST_POLICY_CHARACTERS, MOST_VARIABLE_CHARACTERS = 10_240, 4_096
# How CloudFormation's name of a delivery stream ends, and how long the other variables may be.
_NAMES_END, _OTHER_VARIABLES_CHARACTERS = "12345678-1234567890123", 800
_FOLDER = Path(__file__).parent / "policies"
_GRANTS_NOTHING = ("AWS::SecretsManager::Secret",)
# Which principal a resource of the template belongs to, by the prefix of its name.
_PRINCIPALS = {
    "Firehose": "Firehose",
    "Forwarder": "forwarder",
    "Redrive": "redrive",
    "Transform": "transform",
    "Analyst": "analyst",
    "Operator": "operator",
    "Schedule": "schedule",
    "Runs": "schedule's runs",
    "Turn": "schedule's function",
    "Reader": "raw Parquet's reader",
}
# What an ARN means, without the account and the Region.
_WHAT = {
    r"\*": "Lake Formation's credentials",
    r"glue:.*": "Glue catalog",
    r"s3tables:bucket/[^/]+": "table bucket",
    r"s3tables:[^/]+\.\*": "every table",
    r"s3tables:[^/]+": "change log",
    r"dynamodb:.*": "DynamoDB stream",
    r"kinesis:.*": "Kinesis stream",
    r"firehose:.*": "Firehose stream",
    r"sqs:.*-DeadLetterQueue-.*": "dead-letter queue",
    r"sqs:.*-ParkedQueue-.*": "parked queue",
    r"sqs:.*-BackfillQueue-.*": "backfill queue",
    r"s3:[^/]*-errors-.*": "error bucket",
    r"s3:[^/]*-results-.*": "query results",
    r"s3:[^/]*-parquet-.*|ParquetBucket\.Arn.*": "raw Parquet",
    r"athena:.*": "Athena workgroup",
    r"lambda:.*-scheduled": "schedule's function",
    r"lambda:.*": "transform function",
    r"states:.*": "schedule's runs",
    r"logs:.*": "logs",
    r"MaskKey\.Id": "mask key",
    r"kms:.*": "KMS key",
}


def access_matrix(
    settings: Settings,
    foundation: Mapping[str, str],
    account: str,
    region: str,
    *,
    access_mode: str,
    logs: Sequence[str] = (),
    keyed_masks: bool = True,
) -> pd.DataFrame:
    """Who may do what on which resource.

    Args:
        settings: The names, the stream type, the principals and the KMS key.
        foundation: Outputs of the foundation, or what they will be.
        account: The account's id.
        region: The Region.
        access_mode: `iam` or `lakeformation`.
        logs: The change logs of the source; by default the one of the settings.
        keyed_masks: Whether masks have a key.

    Returns:
        One row per principal, resource and statement: principal, what (the resource in words), resource,
        permission (IAM actions, or Lake Formation's permissions), mode (`iam` or `lakeformation`: which of
        the two grants it), enforced (False on the local AWS).
    """
    check_choice("access_mode", access_mode, ACCESS_MODES)
    # The local AWS is deployed without Lake Formation; this shows what AWS would be given.
    there = replace(settings, target="aws", access_mode=access_mode)
    pseudo = {"AWS::AccountId": account, "AWS::Region": region, "AWS::Partition": "aws"}
    first, *others = logs or [settings.log_name]
    template = with_logs(load_template(TEMPLATES / "access.yaml"), others)
    parameters = access_parameters(there, foundation, {}, first, mask_key="1" if keyed_masks else "")
    resources = resolved_resources(template, parameters | pseudo)
    granting = {name: r for name, r in resources.items() if r["Type"] not in _GRANTS_NOTHING}
    rows = [(*row, settings.target == "aws") for name, r in granting.items() for row in _rows(name, r)]
    return pd.DataFrame(rows, columns=MATRIX_COLUMNS)


def check_logs(
    settings: Settings, granted: Mapping[str, str], others: Sequence[str], account: str, region: str
) -> None:
    """Refuse more change logs of one source than AWS has room for, before anything is deployed.

    A role's own policies have at most 10,240 characters ("IAM and AWS STS quotas", AWS Identity and Access
    Management User Guide), and the variables of a function 4 KB ("Lambda quotas", AWS Lambda Developer
    Guide). Each change log is named in both.

    Args:
        settings: The names and the stream type.
        granted: The parameters of the access stack.
        others: The further change logs of the source.
        account: The account's id.
        region: The Region.

    Raises:
        SettingsError: There are more.
    """
    check_readers(settings, others)
    pseudo = {"AWS::AccountId": account, "AWS::Region": region, "AWS::Partition": "aws"}
    template = with_logs(load_template(TEMPLATES / "access.yaml"), others)
    roles = resolved_resources(template, dict(granted) | pseudo).items()
    sizes = {name: _policy_characters(role) for name, role in roles if role["Type"] == "AWS::IAM::Role"}
    role = max(sizes, key=lambda name: sizes[name])
    stream = f"{stack_name(settings, 'delivery')}-Stream{_NAMES_END}"[:64]
    names = json.dumps(dict.fromkeys((granted["LogTableName"], *others), stream))
    variables = len(names) + _OTHER_VARIABLES_CHARACTERS
    for what, size, most in (
        (f"The role {role}", sizes[role], MOST_POLICY_CHARACTERS),
        ("The forwarder's variables", variables, MOST_VARIABLE_CHARACTERS),
    ):
        if size > most and others:
            msg = f"{what} would have {size:,} characters for {len(others) + 1} change logs."
            hint = "Let fewer tables claim the items of this source; others arrive in its `…_other_changes`."
            raise SettingsError(f"{msg} AWS takes {most:,}. Nothing was deployed.", hint=hint)


def _policy_characters(role: Mapping[str, Any]) -> int:
    policies = role["Properties"].get("Policies", [])
    return sum(len(json.dumps(policy["PolicyDocument"], separators=(",", ":"))) for policy in policies)


def optional_matrix(
    settings: Settings, part: str, parameters: Mapping[str, str], account: str, region: str
) -> pd.DataFrame:
    """Who may do what for an optional stack, as in `access_matrix`.

    Args:
        settings: The target.
        part: `schedule` or `parquet`.
        parameters: Those of its stack.
        account: The account's id.
        region: The Region.
    """
    pseudo = {"AWS::AccountId": account, "AWS::Region": region, "AWS::Partition": "aws"}
    resources = resolved_resources(load_template(TEMPLATES / f"{part}.yaml"), dict(parameters) | pseudo)
    kinds = ("AWS::IAM::Role", "AWS::IAM::ManagedPolicy", "AWS::LakeFormation::PrincipalPermissions")
    granting = {name: r for name, r in resources.items() if r["Type"] in kinds}
    rows = [(*row, settings.target == "aws") for name, r in granting.items() for row in _rows(name, r)]
    return pd.DataFrame(rows, columns=MATRIX_COLUMNS)


def statements(resource: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The statements of a role's own policies, or of a managed policy."""
    properties = resource["Properties"]
    documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
    documents += [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
    for document in documents:
        yield from document["Statement"]


def as_list(value: Any) -> list[Any]:
    """A list, or the only member of one: IAM accepts both."""
    return value if isinstance(value, list) else [value]


def _rows(name: str, resource: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    principal = next(words for beginning, words in _PRINCIPALS.items() if name.startswith(beginning))
    if resource["Type"] == "AWS::LakeFormation::PrincipalPermissions":
        given = resource["Properties"]
        yield principal, *_granted_on(given["Resource"]), ", ".join(given["Permissions"]), "lakeformation"
        return
    for statement in statements(resource):
        actions = ", ".join(as_list(statement["Action"]))
        for arn in as_list(statement["Resource"]):
            short = _short(arn, statement.get("Condition", {}).get("StringEquals", {}))
            what = next(words for pattern, words in _WHAT.items() if re.fullmatch(pattern, short))
            yield principal, what, short, actions, "iam"


def _short(arn: str, only: Mapping[str, Any]) -> str:
    """An ARN without account and Region; the tables of a bucket by the names that a condition gives them."""
    if "s3tables:namespace" in only:
        tables = ", ".join(as_list(only.get("s3tables:tableName", "*")))
        return f"s3tables:{only['s3tables:namespace']}.{tables}"
    return re.sub(r"^arn:[^:]+:([^:]*):[^:]*:[^:]*:", r"\1:", arn)


def _granted_on(resource: Mapping[str, Any]) -> tuple[str, str]:
    """What Lake Formation grants on: in words, and by name."""
    if "Database" in resource:
        return "namespace", f"lakeformation:{resource['Database']['Name']}"
    table = resource["Table"]
    what = "every table" if "TableWildcard" in table else "change log"
    return what, f"lakeformation:{table['DatabaseName']}.{table.get('Name', '*')}"


def caller_policy(
    name: str,
    settings: Settings,
    contract: Contract,
    *,
    account: str,
    region: str,
    partition: str = "aws",
    others: Sequence[tuple[Settings, Contract]] = (),
) -> dict[str, Any]:
    """A policy for the caller, with the names of the project and of all of its sources.

    Args:
        name: `work` or `deploy`.
        settings: The names, and the KMS key.
        contract: The source table.
        account: The account's id.
        region: The Region.
        partition: The partition, such as `aws-cn`.
        others: The other tables of the project, with the settings of `of_source`.

    Returns:
        An IAM policy document.

    Raises:
        SettingsError: There is no such policy.
    """
    check_choice("policy", name, POLICIES)
    names = {
        "Account": account,
        "Region": region,
        "Partition": partition,
        "TableBucketName": settings.table_bucket_name,
        "Namespace": settings.namespace,
        "BucketName": settings.bucket_name,
        "DatabaseName": parquet_parameters(settings)["DatabaseName"],
        "WorkGroup": settings.name,
        "KmsKeyArn": settings.kms_key_arn,
        "FailuresKmsKeyArn": settings.failures_kms_key_arn,
    }
    several = {
        "Name": sorted({settings.name, settings.pipeline, *(place.pipeline for place, _ in others)}),
        "SourceTableName": sorted({contract.source_table, *(each.source_table for _, each in others)}),
    }
    document: dict[str, Any] = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    unset = {f"${{{name}}}" for name, value in names.items() if not value}
    wanted = [s for s in document["Statement"] if unset.isdisjoint(as_list(s["Resource"]))]
    for statement in wanted:
        filled = [_fill(arn, names, several) for arn in as_list(statement["Resource"])]
        arns = list(itertools.chain.from_iterable(filled))
        statement["Resource"] = arns if len(arns) > 1 else arns[0]
    return document | {"Statement": wanted}


def _fill(text: str, names: Mapping[str, str], several: Mapping[str, Sequence[str]]) -> list[str]:
    """An ARN with its names filled in: one for each of the names that there are several of."""
    known = [name for name in several if f"${{{name}}}" in text]
    chosen = itertools.product(*(several[name] for name in known))
    return [Template(text).substitute(names, **dict(zip(known, each, strict=True))) for each in chosen]


def actions_of(policy: dict[str, Any]) -> list[str]:
    """The actions that a policy allows, sorted."""
    return sorted({action for statement in policy["Statement"] for action in statement["Action"]})
