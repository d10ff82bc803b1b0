"""The doctor's checks of an AWS account: each returns whether it is met, what was found, and the fix."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import boto3
from botocore.exceptions import ClientError, EndpointConnectionError

from dynaberg import aws
from dynaberg.contracts import project_contract
from dynaberg.deploy.integration import CATALOG, find_integration
from dynaberg.deploy.permissions import caller_policy
from dynaberg.display import mask_account
from dynaberg.settings import Settings

Finding = tuple[bool, str, str]
# "S3 Tables Regions, endpoints and quotas"; "Lambda quotas": a new account may have 10 executions at once.
TABLE_BUCKETS = 10
CONCURRENCY = 20
# IAM's SimulatePrincipalPolicy accepts this many actions at once.
_ACTIONS_PER_CALL = 100
_REFUSED = {"AccessDenied", "AccessDeniedException"}
_SHOWN = 6


def credentials(session: boto3.Session, _: Settings) -> Finding:
    """Whether AWS can identify the caller."""
    return True, f"account {mask_account(aws.account_id(session))}", ""


def region(session: boto3.Session, _: Settings) -> Finding:
    """Whether the Region has S3 Tables; a Region without them has no host of that name."""
    name = str(session.region_name)
    try:
        aws.client(session, "s3tables").list_table_buckets(maxBuckets=1)
    except EndpointConnectionError:
        return False, f"no S3 Tables in {name}", 'Choose another Region: connect(target="aws", region=…).'
    return True, name, ""


def table_buckets(session: boto3.Session, settings: Settings) -> Finding:
    """Whether there is room for one more table bucket, or ours already exists."""
    pages = aws.client(session, "s3tables").get_paginator("list_table_buckets").paginate()
    names = {bucket["name"] for page in pages for bucket in page["tableBuckets"]}
    found = f"{len(names)} table buckets, {TABLE_BUCKETS} by default"
    fix = "Delete one, or ask for more in the Service Quotas console; if you have more already, ignore this."
    return settings.table_bucket_name in names or len(names) < TABLE_BUCKETS, found, fix


def lambda_concurrency(session: boto3.Session, _: Settings) -> Finding:
    """Whether the functions can run next to everything else that the account runs."""
    limits = aws.client(session, "lambda").get_account_settings()["AccountLimit"]
    free = int(limits["UnreservedConcurrentExecutions"])
    fix = "Ask for a higher quota of concurrent executions in the Service Quotas console."
    return free >= CONCURRENCY, f"{free} executions at a time", fix


def analytics_integration(session: boto3.Session, settings: Settings) -> Finding:
    """Whether Athena and Firehose see table buckets, by the access mode of the settings."""
    found, wanted = find_integration(session), settings.deployed_access_mode
    if found.access_mode not in (None, wanted):
        words = f"{CATALOG} by {found.access_mode}, {wanted} set"
        return False, words, f'Set access_mode to "{found.access_mode}"; the account is not changed.'
    if not found.exists:
        return False, f"{CATALOG} does not exist", "wb.integrate_analytics() creates it."
    return True, f"{CATALOG} by {found.access_mode}", ""


def permission_to_work(session: boto3.Session, settings: Settings) -> Finding:
    """Whether the caller may do what the library does."""
    return _permission(session, settings, "work")


def permission_to_deploy(session: boto3.Session, settings: Settings) -> Finding:
    """Whether the caller may do what CloudFormation does in the caller's name."""
    return _permission(session, settings, "deploy")


def _permission(session: boto3.Session, settings: Settings, policy: str) -> Finding:
    caller = aws.client(session, "sts").get_caller_identity()
    contract = project_contract(settings)
    document = caller_policy(
        policy,
        settings,
        contract,
        account=caller["Account"],
        region=session.region_name,
        partition=caller["Arn"].split(":")[1],
    )
    count, denied = 0, list[str]()
    try:
        for statement in document["Statement"]:
            count += len(statement["Action"])
            denied += _denied(session, _principal(caller["Arn"]), statement["Action"], statement["Resource"])
    except ClientError as error:
        if error.response["Error"]["Code"] in {*_REFUSED, "NoSuchEntity"}:
            return True, "not checked: IAM does not let this caller simulate its policies", ""
        raise
    fix = f"Ask for the policy that `dynaberg policy {policy}` prints."
    shown = ", ".join(denied[:_SHOWN]) + (f" and {len(denied) - _SHOWN} more" if len(denied) > _SHOWN else "")
    return not denied, f"not allowed: {shown}" if denied else f"{count} actions allowed", fix


def _principal(arn: str) -> str:
    """The IAM principal whose policies count; a session's is its role."""
    return re.sub(r":sts:(.*):assumed-role/([^/]+)/.*", r":iam:\1:role/\2", arn)


def _denied(
    session: boto3.Session, principal: str, actions: Sequence[str], resources: str | Sequence[str]
) -> Iterator[str]:
    """The actions that are denied on every resource: each applies to its own kind of resource."""
    iam, arns = aws.client(session, "iam"), [resources] if isinstance(resources, str) else list(resources)
    for first in range(0, len(actions), _ACTIONS_PER_CALL):
        some = list(actions[first : first + _ACTIONS_PER_CALL])
        pages = iam.get_paginator("simulate_principal_policy").paginate(
            PolicySourceArn=principal, ActionNames=some, ResourceArns=arns
        )
        allowed = {
            result["EvalActionName"]
            for page in pages
            for result in page["EvaluationResults"]
            for each in [result, *result.get("ResourceSpecificResults", [])]
            if "allowed" in (each.get("EvalDecision"), each.get("EvalResourceDecision"))
        }
        yield from (action for action in some if action not in allowed)
