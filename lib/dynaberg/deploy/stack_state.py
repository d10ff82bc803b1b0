"""The state of stacks: what they contain, whether they are protected, and what was changed by hand.

Sources: "Protect CloudFormation stacks from being deleted" and "Detect drift on an entire CloudFormation
stack", AWS CloudFormation User Guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import boto3
import pandas as pd
from botocore.exceptions import ClientError

from dynaberg import aws
from dynaberg.errors import DeploymentError, NotFoundError, SettingsError
from dynaberg.settings import LONGEST_NAME, Settings

if TYPE_CHECKING:
    from dynaberg.contracts import Contract

Part = Literal["foundation", "access", "delivery", "observe", "parquet", "schedule"]
# In order of deployment: when it is created, Firehose checks whether its role may read the change log.
PARTS: tuple[Part, ...] = ("foundation", "access", "delivery", "observe")
ALL_PARTS: tuple[Part, ...] = (*PARTS, "parquet", "schedule")
"""With those that are optional."""
TAG = "dynaberg:name"

DEADLINE_SECONDS = 1800
RESOURCE_COLUMNS = ["resource", "type", "name", "status", "seconds"]
DRIFT_COLUMNS = ["stack", "resource", "type", "status", "property", "expected", "actual"]
DRIFT_DEADLINE_SECONDS = 600
NOT_CHECKED = "NOT_CHECKED"
USABLE = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE"}
# A stack that only holds its first change set.
SHELL = "REVIEW_IN_PROGRESS"
_MADE_BY = {
    "foundation": "wb.enable_cdc(), notebook 01_enable_cdc, or wb.adopt() for a table that exists",
    "access": "wb.deploy_firehose(), notebook 02_deploy_firehose",
    "delivery": "wb.deploy_firehose(), notebook 02_deploy_firehose",
    "observe": "wb.deploy_firehose(), notebook 02_deploy_firehose",
    "parquet": "the setting `raw_parquet`, then wb.deploy_firehose()",
    "schedule": "wb.schedule.start()",
}


def stack_name(settings: Settings, part: Part) -> str:
    """Name of a stack, such as `dynaberg-foundation`; of a further source `dynaberg--orders-foundation`."""
    return f"{settings.pipeline}-{part}"


def of_source(
    session: boto3.Session, settings: Settings, contract: Contract, *, first: Contract | None = None
) -> Settings:
    """The settings for one table: those of the project, and which source's stacks are meant.

    The first source is the one whose foundation holds what all sources share.

    Args:
        session: An open session.
        settings: The project.
        contract: The table.
        first: The table of the first source while there is no foundation; by default this one.
    """
    whole = replace(settings, source="", table_name=contract.table)
    found = stack_parameters(session, stack_name(whole, "foundation")).get("SourceTableName")
    is_first = (found or (first or contract).source_table) == contract.source_table
    return whole if is_first else replace(whole, source=contract.source_table)


def sources(session: boto3.Session, settings: Settings) -> list[Settings]:
    """The settings for each source of the project that has stacks, the first one at the beginning.

    Args:
        session: An open session.
        settings: The project.
    """
    first = replace(settings, source="")
    found = [first]
    # Names of other projects can begin alike; the tag tells them apart.
    for name in stack_names(session, settings.name[: LONGEST_NAME - 7], "-foundation"):
        stack = describe_stack(session, name) or {}
        given = {each["ParameterKey"]: each["ParameterValue"] for each in stack.get("Parameters", [])}
        tagged = {each["Key"]: each["Value"] for each in stack.get("Tags", [])}
        if tagged.get(TAG) == settings.name and given.get("Holds") == "source":
            found.append(replace(settings, source=given["SourceTableName"]))
    return found


def shared_topic(session: boto3.Session, settings: Settings) -> dict[str, str]:
    """The parameter by which a further source's alarms use the topic of the first one's; empty for that."""
    name = stack_name(replace(settings, source=""), "observe")
    if not settings.source or not stack_exists(session, name):
        return {}
    return {"AlarmTopicArn": stack_outputs(session, name)["AlarmTopicArn"]}


def watched_beside(session: boto3.Session, settings: Settings) -> list[dict[str, str]]:
    """The parameters of the observations that share the topic and the dashboard of the first source."""
    found = [
        stack_parameters(session, stack_name(source, "observe"))
        for source in sources(session, settings)
        if source.source
    ]
    return [given for given in found if given.get("AlarmTopicArn", "none") != "none"]


def deployed_template(session: boto3.Session, stack_name: str) -> Any:
    """The template of a stack as it was given: an object where it was JSON, else its text."""
    answer = aws.client(session, "cloudformation").get_template(StackName=stack_name)
    return answer["TemplateBody"]


def mask_key_version(session: boto3.Session, settings: Settings, contract: Contract) -> str:
    """The version of the key of the masks, also if none needs it any more: the tables hold what it masked."""
    before = stack_parameters(session, stack_name(settings, "access"))
    return before.get("MaskKeyVersion") or ("1" if contract.needs_mask_key else "")


def stack_exists(session: boto3.Session, stack_name: str) -> bool:
    """Whether a stack exists and is usable: created, with no operation in progress."""
    return stack_status(session, stack_name) in USABLE


def created_at(session: boto3.Session, settings: Settings, part: Part) -> datetime:
    """When a stack was created, in UTC.

    Raises:
        NotFoundError: It does not exist.
    """
    name = stack_name(settings, part)
    stack = describe_stack(session, name)
    if stack is None:
        raise NotFoundError(f"There is no stack {name!r} in {session.region_name}.")
    found: datetime = stack["CreationTime"].astimezone(UTC)
    return found


def stack_outputs(session: boto3.Session, stack_name: str) -> dict[str, str]:
    """The outputs of a stack by name.

    Raises:
        NotFoundError: The stack does not exist; the hint names the notebook that creates it.
    """
    stack = describe_stack(session, stack_name)
    if stack is None:
        maker = _MADE_BY.get(stack_name.rpartition("-")[2])
        msg = f"There is no stack {stack_name!r} in {session.region_name}."
        raise NotFoundError(msg, hint=f"Create it with {maker}." if maker else "")
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def stack_parameters(session: boto3.Session, stack_name: str) -> dict[str, str]:
    """The parameters that a stack was deployed with, by name; empty if it is not usable or does not exist."""
    stack = describe_stack(session, stack_name)
    if stack is None or stack["StackStatus"] not in USABLE:
        return {}
    return {given["ParameterKey"]: given["ParameterValue"] for given in stack.get("Parameters", [])}


def stack_names(session: boto3.Session, beginning: str, end: str) -> list[str]:
    """The names of the stacks that exist and begin and end like this, sorted."""
    pages = aws.client(session, "cloudformation").get_paginator("list_stacks").paginate()
    found = {
        stack["StackName"]
        for page in pages
        for stack in page["StackSummaries"]
        if stack["StackStatus"] != "DELETE_COMPLETE"
    }
    return sorted(name for name in found if name.startswith(beginning) and name.endswith(end))


def stack_resources(
    session: boto3.Session, stack_name: str, seconds: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """The resources of a stack, one row each: resource, type, name, status, seconds.

    Args:
        session: An open session.
        stack_name: Name of the stack.
        seconds: How long the last deployment took, by resource.
    """
    pager = aws.client(session, "cloudformation").get_paginator("list_stack_resources")
    rows = [
        (
            resource["LogicalResourceId"],
            resource["ResourceType"],
            resource.get("PhysicalResourceId", ""),
            resource["ResourceStatus"],
            (seconds or {}).get(resource["LogicalResourceId"], 0.0),
        )
        for page in pager.paginate(StackName=stack_name)
        for resource in page["StackResourceSummaries"]
        if resource["ResourceStatus"] != "DELETE_COMPLETE"
    ]
    return pd.DataFrame(rows, columns=RESOURCE_COLUMNS)


def settle(session: boto3.Session, stack_name: str) -> None:
    """Wait until no operation on a stack is in progress, such as an interrupted deployment."""

    def settled() -> bool:
        status = stack_status(session, stack_name)
        return status == SHELL or not status.endswith("_IN_PROGRESS")

    aws.wait_for(settled, timeout=DEADLINE_SECONDS, what=f"The end of what stack {stack_name!r} is doing")


def describe_stack(session: boto3.Session, stack_name: str) -> dict[str, Any] | None:
    """CloudFormation's description of a stack; None if there is none."""
    try:
        answer = aws.client(session, "cloudformation").describe_stacks(StackName=stack_name)
    except ClientError as error:
        if "does not exist" in error.response["Error"]["Message"]:
            return None
        raise
    stack: dict[str, Any] = answer["Stacks"][0]
    return None if stack["StackStatus"] == "DELETE_COMPLETE" else stack


def stack_status(session: boto3.Session, stack_name: str) -> str:
    """CloudFormation's status of a stack; empty if there is none."""
    return str((describe_stack(session, stack_name) or {}).get("StackStatus", ""))


def protect_stack(session: boto3.Session, stack_name: str, *, protect: bool) -> None:
    """Set whether CloudFormation refuses to delete a stack; nothing is changed if it already does as wanted.

    Args:
        session: An open session.
        stack_name: Name of a stack that exists.
        protect: Whether to refuse it.
    """
    if is_protected(session, stack_name) != protect:
        aws.client(session, "cloudformation").update_termination_protection(
            StackName=stack_name, EnableTerminationProtection=protect
        )


def is_protected(session: boto3.Session, stack_name: str) -> bool:
    """Whether CloudFormation refuses to delete a stack; one that does not exist is not protected."""
    return bool((describe_stack(session, stack_name) or {}).get("EnableTerminationProtection"))


def refuse_protected(session: boto3.Session, stack_name: str) -> None:
    """Refuse to start a removal that a protected stack would stop halfway.

    Raises:
        SettingsError: The stack is protected; nothing was removed.
    """
    if is_protected(session, stack_name):
        msg = f"Stack {stack_name!r} and its DynamoDB table are protected. Nothing was removed."
        raise SettingsError(msg, hint="Remove the protection first: `protect` false, then wb.enable_cdc().")


def stack_drift(session: boto3.Session, settings: Settings) -> pd.DataFrame:
    """Where the deployed resources differ from their templates because someone changed them by hand.

    Args:
        session: An open session.
        settings: The name.

    Returns:
        One row per resource: stack, resource, type, status (`IN_SYNC`, `MODIFIED`, `DELETED`, or
        `NOT_CHECKED` if CloudFormation does not compare it); or one per property that differs, with property,
        expected, actual.

    Raises:
        NotReadyError: CloudFormation took longer than ten minutes.
    """
    parts = [(source, part) for source in sources(session, settings) for part in ALL_PARTS]
    names = [
        stack_name(source, part) for source, part in parts if stack_exists(session, stack_name(source, part))
    ]
    found = [detect_drift(session, name) for name in names]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=DRIFT_COLUMNS)


def detect_drift(session: boto3.Session, stack_name: str) -> pd.DataFrame:
    """Compare what a stack created with what its template says.

    Args:
        session: An open session.
        stack_name: Name of a stack that exists.

    Returns:
        `DRIFT_COLUMNS`: one row per resource, or one per property if some differ. `NOT_CHECKED` means that
        CloudFormation cannot compare the resource, so it may or may not differ.

    Raises:
        DeploymentError: CloudFormation could not compare.
        NotReadyError: It took longer than ten minutes.
    """
    _detect(session, stack_name)
    cloudformation, arguments = aws.client(session, "cloudformation"), {"StackName": stack_name}
    found: dict[str, Mapping[str, Any]] = {}
    while True:
        page = cloudformation.describe_stack_resource_drifts(**arguments)
        found |= {drift["LogicalResourceId"]: drift for drift in page["StackResourceDrifts"]}
        if "NextToken" not in page:
            break
        arguments["NextToken"] = page["NextToken"]
    resources = stack_resources(session, stack_name)
    rows = [
        (stack_name, resource, kind, *row)
        for resource, kind in zip(resources["resource"], resources["type"], strict=True)
        for row in _differences(found.get(str(resource), {}))
    ]
    return pd.DataFrame(rows, columns=DRIFT_COLUMNS)


def _detect(session: boto3.Session, stack_name: str) -> None:
    """Have CloudFormation compare, and wait for the result."""
    cloudformation = aws.client(session, "cloudformation")
    detection = cloudformation.detect_stack_drift(StackName=stack_name)["StackDriftDetectionId"]

    def over() -> dict[str, Any] | None:
        answer: dict[str, Any] = cloudformation.describe_stack_drift_detection_status(
            StackDriftDetectionId=detection
        )
        return None if answer["DetectionStatus"] == "DETECTION_IN_PROGRESS" else answer

    what = f"The drift of stack {stack_name!r}"
    answer = aws.wait_for(over, timeout=DRIFT_DEADLINE_SECONDS, what=what)
    # A detection that failed for some resources still has results for the others.
    if answer["DetectionStatus"] == "DETECTION_FAILED" and "StackDriftStatus" not in answer:
        msg = f"{what} could not be detected: {answer.get('DetectionStatusReason', 'no reason given')}."
        raise DeploymentError(msg, hint="Comparing needs the permission to read each resource.")


def _differences(drift: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Status, property, expected, actual: one row, or one for each property that differs."""
    status = str(drift.get("StackResourceDriftStatus", NOT_CHECKED))
    rows = [
        (status, d["PropertyPath"], d.get("ExpectedValue", ""), d.get("ActualValue", ""))
        for d in drift.get("PropertyDifferences", [])
    ]
    return rows or [(status, "", "", "")]
