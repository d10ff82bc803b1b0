"""The stacks: deployed, previewed and inspected, from the settings and the table contract."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import boto3
import pandas as pd

from dynaberg import aws
from dynaberg.contracts import Contract
from dynaberg.deploy.deployer import StackResult, delete_stack, deploy_stack, preview_stack
from dynaberg.deploy.handover import aws_seconds, handover_steps, wait_for_kinesis
from dynaberg.deploy.integration import check_mode, find_integration
from dynaberg.deploy.packaging import code_key, package, upload
from dynaberg.deploy.parameters import (
    Pace,
    access_parameters,
    delivery_parameters,
    foundation_parameters,
    observe_parameters,
    pace_of,
    parquet_parameters,
    planned_access,
    planned_foundation,
)
from dynaberg.deploy.permissions import access_matrix, caller_policy, check_logs, optional_matrix
from dynaberg.deploy.stack_state import (
    PARTS,
    TAG,
    Part,
    deployed_template,
    mask_key_version,
    of_source,
    protect_stack,
    shared_topic,
    stack_exists,
    stack_name,
    stack_outputs,
    stack_parameters,
    watched_beside,
)
from dynaberg.deploy.template import TEMPLATES, parse_template, template_body, with_rows
from dynaberg.errors import NotFoundError, NotReadyError
from dynaberg.settings import Settings
from dynaberg.source import describe_source, start_sending, stop_sending

ADOPTED = "adopted"
"""The foundation's `SourceOrigin` of a table that somebody else created."""
_SHARED = (
    *("TableBucketArn", "TableBucketName", "Namespace", "WorkGroupName"),
    *("ErrorBucketName", "CodeBucketName", "ResultsBucketName"),
)


def enable_cdc(session: boto3.Session, settings: Settings, contract: Contract) -> pd.DataFrame:
    """Create the source table with its change stream, the table bucket, the namespace and the buckets.

    Returns:
        One row per resource: resource, type, name, status, seconds.

    Raises:
        DeploymentError: CloudFormation could not create or update the foundation.
    """
    return _deploy_foundation(session, settings, contract).resources


def deploy_firehose(
    session: boto3.Session,
    settings: Settings,
    contract: Contract,
    *,
    buffer_seconds: int = Pace.buffer_seconds,
    redrive_attempts: int = Pace.redrive_attempts,
    redrive_seconds: int = Pace.redrive_seconds,
) -> pd.DataFrame:
    """Deploy the roles and the delivery into the change log, which must exist, with its alarms.

    If the stream type of the settings differs from that of the deployment, the deployment switches over, and
    so does the foundation: the new path is up before the old one ends, and the change log stays. During the
    switch a change may be in the change log twice, under two change ids; the current table has it once
    (`functions/handover.py` explains why). On the way back from Kinesis, everything that DynamoDB Streams
    holds, 24 hours of changes, is read again.

    Args:
        session: An open session.
        settings: The names, the stream type and the access mode.
        contract: The table contract; it is shipped with the functions.
        buffer_seconds: How long Firehose gathers rows before it commits a snapshot, 0 to 900.
        redrive_attempts: How often rows that Firehose refused are retried before they are parked, 1 to 50.
        redrive_seconds: Their delay after the first attempt, which doubles each time, 1 to 900.

    Returns:
        One row per resource of the stacks: resource, type, name, status, seconds.

    Raises:
        NotFoundError: There is no foundation yet.
        SettingsError: A buffer or a redrive setting out of range, or another access mode than the account's.
    """
    pace = Pace(buffer_seconds, redrive_attempts, redrive_seconds)
    check_mode(find_integration(session), settings.deployed_access_mode)
    found = _foundation_for(session, settings, contract)
    wait_for_kinesis(session, found)
    before = stack_parameters(session, stack_name(settings, "delivery"))
    first, others = _logs(contract, before)
    mask_key = mask_key_version(session, settings, contract)
    granted = access_parameters(settings, found, before, first, mask_key=mask_key)
    check_logs(settings, granted, others, aws.account_id(session), session.region_name)
    access = _deploy(session, settings, "access", granted, others)
    key = upload(session, found["CodeBucketName"], package(contract))
    parameters = delivery_parameters(settings, found, access.outputs, code_key=key, pace=pace, log=first)
    for step in handover_steps(settings.stream_type, before, lambda: aws_seconds(session)):
        delivery = _deploy(session, settings, "delivery", parameters | _known(step, parameters), others)
    if before.get("StreamType", settings.stream_type) != settings.stream_type:
        # What read Kinesis is gone, so its permissions are removed, too.
        narrower = access_parameters(settings, found, {}, first, mask_key=mask_key)
        access = _deploy(session, settings, "access", narrower, others)
    watched = observe_parameters(settings, found, delivery.outputs, others) | shared_topic(session, settings)
    observe = _deploy(session, settings, "observe", watched, others)
    show_sources(session, settings)
    results = [access, delivery, observe]
    if settings.raw_parquet:
        parameters, whole = parquet_parameters(settings), replace(settings, source="")
        results.append(_deploy(session, whole, "parquet", parameters))
    return pd.concat([result.resources for result in results], ignore_index=True)


def preview(session: boto3.Session, settings: Settings, contract: Contract) -> pd.DataFrame:
    """What `enable_cdc` and `deploy_firehose` would do now, stack by stack, without doing it.

    Returns:
        One row per change: stack, action, resource, type, replacement; empty if nothing would change.

    Raises:
        DeploymentError: CloudFormation does not accept a template or its parameters.
    """
    found = {part: outputs(session, settings, part) for part in PARTS if exists(session, settings, part)}
    before = stack_parameters(session, stack_name(settings, "delivery"))
    account = aws.account_id(session)
    foundation = _foundation_or_plan(session, settings, contract, account)
    access = planned_access(settings, account) | found.get("access", {})
    first, others = _logs(contract, before)
    pace, key = Pace(**pace_of(session, settings)), code_key(package(contract))
    delivery = delivery_parameters(settings, foundation, access, code_key=key, pace=pace, log=first)
    handed_over = {name: before.get(name, "") for name in ("ForwardUntil", "TakenOverAt")}
    mask_key = mask_key_version(session, settings, contract)
    wanted: dict[Part, dict[str, str]] = {
        "foundation": foundation_parameters(settings, contract, _foundation_before(session, settings)),
        "access": access_parameters(settings, foundation, {}, first, mask_key=mask_key),
        "delivery": delivery | handed_over | {"StreamType": settings.stream_type},
        "observe": observe_parameters(settings, foundation, found.get("delivery", {}), others)
        | shared_topic(session, settings),
    }
    if settings.raw_parquet and not settings.source:
        wanted["parquet"] = parquet_parameters(settings)
    shown = []
    for part, parameters in wanted.items():
        name = stack_name(settings, part)
        template = _body(session, settings, part, () if part in ("foundation", "parquet") else others)
        bucket = found.get("foundation", {}).get("CodeBucketName", "")
        changes = preview_stack(session, name, template, parameters, tags=tags(settings), bucket=bucket)
        changes.insert(0, "stack", name)
        shown.append(changes)
    return pd.concat(shown, ignore_index=True)


def grants(
    session: boto3.Session, settings: Settings, contract: Contract, access_mode: str | None = None
) -> pd.DataFrame:
    """Who may do what on which resource, deployed or not; with what the optional stacks grant.

    Args:
        session: An open session.
        settings: The names, the stream type, the principals and the key.
        contract: The table contract.
        access_mode: `iam` or `lakeformation`; by default that of the settings.

    Returns:
        One row per principal and resource: principal, what, resource, permission, mode, enforced.
    """
    account, mode = aws.account_id(session), access_mode or settings.access_mode
    shown = access_matrix(
        settings,
        _foundation_or_plan(session, settings, contract, account),
        account,
        session.region_name,
        access_mode=mode,
        logs=[each.log_name for each in contract.of_source],
        keyed_masks=bool(mask_key_version(session, settings, contract)),
    )
    parts = {"schedule": stack_parameters(session, stack_name(settings, "schedule"))}
    parts["parquet"] = parquet_parameters(settings) if settings.raw_parquet else {}
    more = [
        optional_matrix(settings, part, given | {"AccessMode": mode}, account, session.region_name)
        for part, given in parts.items()
        if given
    ]
    return pd.concat([shown, *more], ignore_index=True)


def policy(
    session: boto3.Session,
    settings: Settings,
    contract: Contract,
    name: str,
    others: Sequence[Contract] = (),
) -> dict[str, Any]:
    """An IAM policy for the caller: `work` with the library, or `deploy` by CloudFormation.

    Args:
        session: An open session.
        settings: The project.
        contract: Its first table.
        name: `work` or `deploy`.
        others: Its other tables, deployed or not.

    Raises:
        SettingsError: There is no such policy.
    """
    region, account = session.region_name, aws.account_id(session)
    partition = session.get_partition_for_region(region)
    places = [(of_source(session, settings, each, first=contract), each) for each in others]
    return caller_policy(
        name, settings, contract, account=account, region=region, partition=partition, others=places
    )


def exists(session: boto3.Session, settings: Settings, part: Part) -> bool:
    """Whether a stack is deployed: one of `ALL_PARTS`."""
    return stack_exists(session, stack_name(settings, part))


def outputs(session: boto3.Session, settings: Settings, part: Part) -> dict[str, str]:
    """The outputs of a stack: one of `ALL_PARTS`.

    Raises:
        NotFoundError: It is not deployed; the hint says how to do that.
    """
    if settings.source and not exists(session, settings, "foundation"):
        msg = f"The DynamoDB table {settings.source!r} is no source of {settings.name!r} yet."
        raise NotFoundError(
            msg, hint=f'Add it: wb.adopt("{settings.table_name}"), then wb.deploy_firehose().'
        )
    found = stack_outputs(session, stack_name(settings, part))
    if settings.source and part == "foundation":
        shared = stack_outputs(session, stack_name(replace(settings, source=""), part))
        found = {name: shared[name] for name in _SHARED if name in shared} | found
    return _with_stream(session, found) if found.get("SourceOrigin") == ADOPTED else found


def parquet_outputs(session: boto3.Session, settings: Settings) -> dict[str, str]:
    """The outputs of the bucket for plain Parquet, which all sources share; empty if there is none."""
    name = stack_name(replace(settings, source=""), "parquet")
    return stack_outputs(session, name) if stack_exists(session, name) else {}


def deploy_part(
    session: boto3.Session, settings: Settings, part: Part, parameters: dict[str, str]
) -> pd.DataFrame:
    """Deploy a stack with given parameters; its resources as in `deploy_firehose`."""
    return _deploy(session, settings, part, parameters).resources


def delete_part(session: boto3.Session, settings: Settings, part: Part) -> None:
    """Delete a stack, if it exists."""
    delete_stack(session, stack_name(settings, part))


def tags(settings: Settings) -> dict[str, str]:
    """The tag that marks everything that was created."""
    return {TAG: settings.name}


_HANDED_OVER = {"StreamType", "ForwardUntil", "TakenOverAt"}


def _deploy(
    session: boto3.Session,
    settings: Settings,
    part: Part,
    parameters: dict[str, str],
    others: Sequence[str] = (),
) -> StackResult:
    """Deploy a stack; `others` are the change logs of its source beside the first one."""
    template, name = _body(session, settings, part, others), stack_name(settings, part)
    bucket = code_bucket(session, settings) if part != "foundation" else ""
    return deploy_stack(session, name, template, parameters, tags=tags(settings), bucket=bucket)


def code_bucket(session: boto3.Session, settings: Settings) -> str:
    """The bucket that holds the functions' code, and templates that are too large for a call."""
    return outputs(session, settings, "foundation")["CodeBucketName"]


def _body(session: boto3.Session, settings: Settings, part: Part, others: Sequence[str]) -> str:
    is_shared = part == "observe" and not settings.source
    watched = watched_beside(session, settings) if is_shared else ()
    return template_body(TEMPLATES / f"{part}.yaml", others, watched, settings.stream_type)


def show_sources(session: boto3.Session, settings: Settings) -> None:
    """Give the dashboard, which is the first source's, a row for each further source that there is now."""
    first = replace(settings, source="")
    name = stack_name(first, "observe")
    if settings.source and stack_exists(session, name):
        template = parse_template(deployed_template(session, name))
        given = stack_parameters(session, name)
        body = json.dumps(with_rows(template, given["StreamType"], watched_beside(session, settings)))
        bucket = code_bucket(session, first)
        deploy_stack(session, name, body, given, tags=tags(first), bucket=bucket)


def _logs(contract: Contract, before: Mapping[str, str]) -> tuple[str, list[str]]:
    """The change logs of a table's source: the one that has the first delivery stream, and the others.

    Args:
        contract: The table contract.
        before: Parameters of the delivery that is up: its first stream keeps its change log.
    """
    names = [each.log_name for each in contract.of_source]
    first = before.get("LogTableName")
    first = first if first in names else names[0]
    return first, [name for name in names if name != first]


def _deploy_foundation(session: boto3.Session, settings: Settings, contract: Contract) -> StackResult:
    before = _foundation_before(session, settings)
    return deploy_foundation(session, settings, contract, before)


def deploy_foundation(
    session: boto3.Session, settings: Settings, contract: Contract, before: Mapping[str, str]
) -> StackResult:
    """Deploy the foundation; a table that was adopted is connected to it, and otherwise left as it is.

    Args:
        session: An open session.
        settings: The names.
        contract: The source table and its key.
        before: The parameters that say whose the DynamoDB table is (`parameters.ADOPTION`).
    """
    adopted = before.get("SourceOrigin") == ADOPTED
    if adopted and settings.stream_type != "kinesis":
        disconnect_kinesis(session, settings, contract.source_table)
    parameters = foundation_parameters(settings, contract, before)
    result = _deploy(session, settings, "foundation", parameters)
    protect_stack(session, result.name, protect=settings.protect)
    if adopted and "KinesisStreamArn" in result.outputs:
        start_sending(session, contract.source_table, result.outputs["KinesisStreamArn"])
    return result


def disconnect_kinesis(session: boto3.Session, settings: Settings, source_table: str) -> None:
    """End the sending of an adopted table's changes to the foundation's Kinesis stream, if it has one."""
    name = stack_name(settings, "foundation")
    kinesis_arn = (
        stack_outputs(session, name).get("KinesisStreamArn") if stack_exists(session, name) else None
    )
    if kinesis_arn:
        stop_sending(session, source_table, kinesis_arn)


def _foundation_before(session: boto3.Session, settings: Settings) -> dict[str, str]:
    return stack_parameters(session, stack_name(settings, "foundation"))


def _foundation_for(session: boto3.Session, settings: Settings, contract: Contract) -> dict[str, str]:
    """The outputs of the foundation, after it was brought to the settings' stream type."""
    found = outputs(session, settings, "foundation")
    if found.get("StreamType") != settings.stream_type:
        _deploy_foundation(session, settings, contract)
        found = outputs(session, settings, "foundation")
    if "DynamoDbStreamArn" not in found:
        msg = f"The stream of the adopted DynamoDB table {contract.source_table!r} is off."
        raise NotReadyError(msg, hint="Switch it on with wb.adopt().")
    return found


def _with_stream(session: boto3.Session, found: dict[str, str]) -> dict[str, str]:
    """The outputs of a foundation around an adopted table, with the stream that the table has now."""
    arn = describe_source(session, found["SourceTableName"]).stream_arn
    return ({"ChangeStreamArn": arn, "DynamoDbStreamArn": arn} if arn else {}) | found


def _foundation_or_plan(
    session: boto3.Session, settings: Settings, contract: Contract, account: str
) -> dict[str, str]:
    """The outputs of the foundation; those that do not exist yet as they will be."""
    there = outputs(session, settings, "foundation") if exists(session, settings, "foundation") else {}
    return planned_foundation(settings, contract, account, session.region_name) | there


def _known(step: Mapping[str, str], parameters: Mapping[str, str]) -> dict[str, str]:
    """A step's parameters, without those that an older template had."""
    return {k: v for k, v in step.items() if k in parameters or k in _HANDED_OVER}
