"""The deployer: change set, execution, stack events as progress, outputs.

"CloudFormation stack creation events" and "Create a stack from change sets" describe the statuses used here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pandas as pd
from botocore.exceptions import ClientError
from tqdm.auto import tqdm

from dynaberg import aws
from dynaberg.deploy.packaging import upload_template
from dynaberg.deploy.stack_state import (
    DEADLINE_SECONDS,
    SHELL,
    deployed_template,
    describe_stack,
    settle,
    stack_outputs,
    stack_parameters,
    stack_resources,
    stack_status,
)
from dynaberg.errors import DeploymentError

_NEVER_CREATED = {"ROLLBACK_COMPLETE", "CREATE_FAILED", "ROLLBACK_FAILED"}
_PREFIX = "dynaberg-"
MOST_BODY_BYTES = 51_200
"""What CloudFormation takes of a template in a call ("Quotas", AWS CloudFormation User Guide)."""
_NOTHING_TO_DO = re.compile(r"didn't contain changes|No updates are to be performed", re.IGNORECASE)
# What CloudFormation's reason looks like, and the hint for it; the first match counts.
_HINTS = (
    (
        r"already exists|AlreadyExists|name exists",
        "The name is taken: choose another; a table can be adopted: wb.adopt(). clean_up() removes old runs.",
    ),
    (
        r"[Nn]ot authorized|AccessDenied|[Ff]orbidden",
        "Ask for the permission that the reason names, or deploy with a role that has it.",
    ),
    (
        r"[Ll]imit|[Qq]uota",
        "Ask for a higher quota in the Service Quotas console, or remove what is not needed.",
    ),
    (
        r"s3tablescatalog|EntityNotFound",
        "Integrate S3 Tables with analytics, once per account and Region: wb.integrate_analytics().",
    ),
    (r"DELETE_FAILED", "A clean-up did not finish. Run clean_up() again, then this."),
    (
        r"UPDATE_ROLLBACK_FAILED",
        "Its rollback was continued and failed again: fix what the events name, then run this again.",
    ),
    (r"assume|Role", "A new role takes some seconds to be visible everywhere. Run it again."),
)


@dataclass(frozen=True)
class StackResult:
    """What a deployment did.

    Attributes:
        name: Name of the stack.
        changed: Whether anything was created, updated or removed.
        outputs: The stack's outputs by name.
        resources: One row per resource: resource, type, name, status, seconds.
    """

    name: str
    changed: bool
    outputs: dict[str, str]
    resources: pd.DataFrame


def deploy_stack(
    session: boto3.Session,
    stack_name: str,
    template: Path | str,
    parameters: Mapping[str, str],
    *,
    tags: Mapping[str, str] | None = None,
    bucket: str = "",
    progress: bool = True,
) -> StackResult:
    """Create or update a stack; if nothing has changed, do nothing.

    Args:
        session: An open session.
        stack_name: Name of the stack.
        template: The template: a file, or its text.
        parameters: The template's parameters.
        tags: Tags that CloudFormation puts on every resource that supports tags.
        bucket: The code bucket, for a template that is too large for a call.
        progress: Whether stack events are shown as they come.

    Raises:
        DeploymentError: The first resource that failed, with CloudFormation's reason and a hint.

    Example:
        >>> deploy_stack(session, "dynaberg-foundation", TEMPLATES / "foundation.yaml", parameters).outputs
    """
    _recover(session, stack_name)
    change_set = _make_change_set(session, stack_name, template, parameters, tags or {}, bucket)
    events: list[dict[str, Any]] = []
    if change_set["Changes"]:
        token = f"dynaberg-{uuid4()}"
        cloudformation = aws.client(session, "cloudformation")
        cloudformation.execute_change_set(ChangeSetName=change_set["ChangeSetId"], ClientRequestToken=token)
        total = len(change_set["Changes"])
        events = _follow(session, change_set["StackId"], token, total, "Deploying", progress)
        _check(session, events, stack_name)
    else:
        _discard(session, change_set)
        _discard_abandoned(session, stack_name)
    outputs, resources = (
        stack_outputs(session, stack_name),
        stack_resources(session, stack_name, _seconds(events)),
    )
    return StackResult(stack_name, bool(events), outputs, resources)


def preview_stack(
    session: boto3.Session,
    stack_name: str,
    template: Path | str,
    parameters: Mapping[str, str],
    *,
    tags: Mapping[str, str] | None = None,
    bucket: str = "",
) -> pd.DataFrame:
    """What a deployment would do, without doing it: action, resource, type, replacement.

    Args:
        session: An open session.
        stack_name: Name of the stack.
        template: The template: a file, or its text.
        parameters: The template's parameters.
        tags: The tags that the deployment would have.
        bucket: The code bucket, for a template that is too large for a call.

    Raises:
        DeploymentError: CloudFormation does not accept the template or the parameters.
    """
    change_set = _make_change_set(session, stack_name, template, parameters, tags or {}, bucket)
    _discard(session, change_set)
    changes = [change["ResourceChange"] for change in change_set["Changes"]]
    rows = [
        (c["Action"], c["LogicalResourceId"], c["ResourceType"], c.get("Replacement", "")) for c in changes
    ]
    return pd.DataFrame(rows, columns=["action", "resource", "type", "replacement"])


def delete_stack(session: boto3.Session, stack_name: str, *, progress: bool = True) -> None:
    """Delete a stack and wait until it is gone; a stack that does not exist counts as gone.

    Raises:
        DeploymentError: The first resource that could not be deleted, with the reason.
    """
    settle(session, stack_name)
    stack = describe_stack(session, stack_name)
    if stack is None:
        return
    token = f"dynaberg-{uuid4()}"
    cloudformation = aws.client(session, "cloudformation")
    if stack["StackStatus"] == SHELL:
        cloudformation.delete_stack(StackName=stack["StackId"])
        what = f"The end of stack {stack_name!r}, which was never created,"
        aws.wait_for(lambda: describe_stack(session, stack_name) is None, timeout=DEADLINE_SECONDS, what=what)
        return
    total = len(stack_resources(session, stack_name))
    cloudformation.delete_stack(StackName=stack["StackId"], ClientRequestToken=token)
    _check(session, _follow(session, stack["StackId"], token, total, "Removing", progress), stack_name)


def _recover(session: boto3.Session, stack_name: str) -> None:
    """Bring a stack that an interruption or a failure left unfinished into a deployable state.

    Raises:
        DeploymentError: A clean-up of it did not finish.
    """
    settle(session, stack_name)
    status = stack_status(session, stack_name)
    if status in _NEVER_CREATED:
        delete_stack(session, stack_name, progress=False)
    if status == "UPDATE_ROLLBACK_FAILED":
        aws.client(session, "cloudformation").continue_update_rollback(StackName=stack_name)
        settle(session, stack_name)
        status = stack_status(session, stack_name)
    if status in ("UPDATE_ROLLBACK_FAILED", "DELETE_FAILED"):
        raise _explained(stack_name, "the stack", f"it is in {status}.")


def change_parameters(
    session: boto3.Session,
    stack_name: str,
    changes: Mapping[str, str],
    *,
    tags: Mapping[str, str],
    bucket: str = "",
) -> StackResult:
    """Deploy a stack again, with the template that it has and some other parameters.

    Args:
        session: An open session.
        stack_name: Name of the stack.
        changes: The parameters that change.
        tags: Tags that CloudFormation puts on every resource that supports tags.
        bucket: The code bucket, for a template that is too large for a call.

    Raises:
        DeploymentError: As `deploy_stack`.
    """
    found = deployed_template(session, stack_name)
    text = found if isinstance(found, str) else json.dumps(found)
    parameters = stack_parameters(session, stack_name) | dict(changes)
    return deploy_stack(session, stack_name, text, parameters, tags=tags, bucket=bucket)


def _make_change_set(
    session: boto3.Session,
    stack_name: str,
    template: Path | str,
    parameters: Mapping[str, str],
    tags: Mapping[str, str],
    bucket: str,
) -> dict[str, Any]:
    """A change set to execute or to discard; if nothing would change, its `Changes` are empty."""
    cloudformation = aws.client(session, "cloudformation")
    is_new = stack_status(session, stack_name) in ("", SHELL)
    given = _template_argument(session, stack_name, template, bucket)
    try:
        made = cloudformation.create_change_set(
            StackName=stack_name,
            ChangeSetName=f"{_PREFIX}{uuid4()}",
            ChangeSetType="CREATE" if is_new else "UPDATE",
            **given,
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
            Tags=[{"Key": k, "Value": v} for k, v in tags.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
    except ClientError as error:
        raise _explained(stack_name, "the template", error.response["Error"]["Message"]) from error

    def ready() -> dict[str, Any] | None:
        answer: dict[str, Any] = cloudformation.describe_change_set(ChangeSetName=made["Id"])
        return answer if answer["Status"] in ("CREATE_COMPLETE", "FAILED") else None

    change_set = aws.wait_for(ready, timeout=300, what=f"The change set of stack {stack_name!r}")
    if change_set["Status"] == "FAILED" and not _NOTHING_TO_DO.search(change_set["StatusReason"]):
        found = _invalid(session, ChangeSetName=made["Id"])
        _discard(session, change_set)
        raise _explained(stack_name, *(found or ("the change set", change_set["StatusReason"])))
    return change_set


def _template_argument(
    session: boto3.Session, stack_name: str, template: Path | str, bucket: str
) -> dict[str, str]:
    """The template as CloudFormation takes it: its text, or where that is if it is too large for a call."""
    text = template if isinstance(template, str) else template.read_text(encoding="utf-8")
    size = len(text.encode())
    if size <= MOST_BODY_BYTES:
        return {"TemplateBody": text}
    if not bucket:
        msg = f"The template of stack {stack_name!r} has {size:,} bytes, and there is no code bucket for it."
        raise DeploymentError(msg, hint="Deploy the foundation first: wb.adopt() or wb.enable_cdc().")
    return {"TemplateURL": upload_template(session, bucket, text)}


def _discard(session: boto3.Session, change_set: Mapping[str, Any]) -> None:
    """Delete a change set, and its stack if that was created only for it."""
    cloudformation = aws.client(session, "cloudformation")
    cloudformation.delete_change_set(ChangeSetName=change_set["ChangeSetId"])
    if stack_status(session, change_set["StackId"]) == SHELL:
        cloudformation.delete_stack(StackName=change_set["StackId"])


def _discard_abandoned(session: boto3.Session, stack_name: str) -> None:
    """Delete the change sets that an interruption left; executing one would have removed the others."""
    cloudformation = aws.client(session, "cloudformation")
    for page in cloudformation.get_paginator("list_change_sets").paginate(StackName=stack_name):
        for found in page["Summaries"]:
            if found["ChangeSetName"].startswith(_PREFIX) and found.get("ExecutionStatus") == "AVAILABLE":
                cloudformation.delete_change_set(ChangeSetName=found["ChangeSetId"])


def _follow(
    session: boto3.Session, stack_id: str, token: str, total: int, verb: str, progress: bool
) -> list[dict[str, Any]]:
    """Show a stack's events as they come, until the operation ends; returns all of them, oldest first."""
    stack_name = stack_id.split("/")[1]
    with tqdm(total=total, desc=f"{verb} {stack_name}", unit="resource", disable=not progress) as bar:

        def over() -> list[dict[str, Any]] | None:
            events = _events(session, stack_id, token)
            done = {e["LogicalResourceId"] for e in events if _is_over(e)}
            bar.set_postfix_str(events[-1]["LogicalResourceId"] if events else "")
            bar.update(len(done - {stack_name}) - bar.n)
            return events if stack_name in done else None

        hint = "Run it again: it waits for the operation in progress and continues from there."
        events = aws.wait_for(
            over, timeout=DEADLINE_SECONDS, what=f"The end of stack {stack_name!r}'s change", hint=hint
        )
        # A change set also lists what a false condition excludes; only `reset` tells a notebook's bar, too.
        done = bar.n
        bar.reset(total=done)
        bar.update(done)
        bar.set_postfix_str("")
    return events


def _events(session: boto3.Session, stack_id: str, token: str) -> list[dict[str, Any]]:
    """The events of one operation, oldest first; CloudFormation gives the newest first."""
    pager = aws.client(session, "cloudformation").get_paginator("describe_stack_events")
    found: list[dict[str, Any]] = []
    for page in pager.paginate(StackName=stack_id):
        ours = [event for event in page["StackEvents"] if event.get("ClientRequestToken") == token]
        found += ours
        if len(ours) < len(page["StackEvents"]):
            break
    return found[::-1]


def _is_over(event: Mapping[str, Any]) -> bool:
    status = event["ResourceStatus"]
    return status.endswith(("_COMPLETE", "_FAILED")) and "CLEANUP" not in status


def _seconds(events: list[dict[str, Any]]) -> dict[str, float]:
    """How long each resource took, from its first event to its last."""
    times = pd.DataFrame(
        [(e["LogicalResourceId"], e["Timestamp"]) for e in events], columns=["resource", "at"]
    ).groupby("resource")["at"]
    return {str(k): v.total_seconds() for k, v in (times.max() - times.min()).items()}


def _check(session: boto3.Session, events: list[dict[str, Any]], stack_name: str) -> None:
    """Raise the first failure of an operation, if there was one."""
    failed = [e for e in events if e["ResourceStatus"].endswith("FAILED")]
    causes = [e for e in failed if "cancelled" not in e.get("ResourceStatusReason", "").lower()]
    if not causes:
        return
    reason = causes[0].get("ResourceStatusReason", causes[0]["ResourceStatus"])
    found = _invalid(session, StackName=causes[0]["StackId"]) if "DescribeEvents" in reason else None
    what = f"{causes[0]['LogicalResourceId']} ({causes[0]['ResourceType']})"
    raise _explained(stack_name, *(found or (what, reason)))


def _invalid(session: boto3.Session, **where: str) -> tuple[str, str] | None:
    """The resource that CloudFormation refused before it started, and why; an old boto3 cannot ask for it."""
    ask = getattr(aws.client(session, "cloudformation"), "describe_events", None)
    answer = ask(**where, Filters={"FailedEvents": True}) if ask else {"OperationEvents": []}
    for event in answer["OperationEvents"]:
        if event["EventType"] == "VALIDATION_ERROR" and event.get("ValidationFailureMode") == "FAIL":
            return f"{event['LogicalResourceId']} ({event['ResourceType']})", event["ValidationStatusReason"]
    return None


def _explained(stack_name: str, what: str, reason: str) -> DeploymentError:
    default = "CloudFormation's console shows the stack's events; after the fix, run it again."
    hint = next((words for pattern, words in _HINTS if re.search(pattern, reason)), default)
    return DeploymentError(f"Stack {stack_name!r}: {what} failed: {reason}", hint=hint)
