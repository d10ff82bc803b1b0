"""Drift of a stack: what someone changed by hand, by CloudFormation's own comparison.

Source: "Detect drift on an entire CloudFormation stack", AWS CloudFormation User Guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import boto3
import pandas as pd

from dynaberg import aws
from dynaberg.deploy.deployer import stack_resources
from dynaberg.errors import DeploymentError

DRIFT_COLUMNS = ["stack", "resource", "type", "status", "property", "expected", "actual"]
DEADLINE_SECONDS = 600
NOT_CHECKED = "NOT_CHECKED"


def detect_drift(session: boto3.Session, stack_name: str) -> pd.DataFrame:
    """Compare what a stack made with what its template says.

    Args:
        session: An open session.
        stack_name: Name of a stack that exists.

    Returns:
        `DRIFT_COLUMNS`: one row per resource, or one per property where some differ. `NOT_CHECKED` is what
        CloudFormation cannot compare; that says nothing about it.

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
    """Have CloudFormation compare, and wait until it has."""
    cloudformation = aws.client(session, "cloudformation")
    detection = cloudformation.detect_stack_drift(StackName=stack_name)["StackDriftDetectionId"]

    def over() -> dict[str, Any] | None:
        answer: dict[str, Any] = cloudformation.describe_stack_drift_detection_status(
            StackDriftDetectionId=detection
        )
        return None if answer["DetectionStatus"] == "DETECTION_IN_PROGRESS" else answer

    what = f"The drift of stack {stack_name!r}"
    answer = aws.wait_for(over, timeout=DEADLINE_SECONDS, what=what)
    # A detection that failed for some of the resources has its answer for the others all the same.
    if answer["DetectionStatus"] == "DETECTION_FAILED" and "StackDriftStatus" not in answer:
        msg = f"{what} could not be told: {answer.get('DetectionStatusReason', 'no reason given')}."
        raise DeploymentError(msg, hint="Comparing needs the permission to read each resource.")


def _differences(drift: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Status, property, expected, actual: one row, or one for each property that differs."""
    status = str(drift.get("StackResourceDriftStatus", NOT_CHECKED))
    rows = [
        (status, d["PropertyPath"], d.get("ExpectedValue", ""), d.get("ActualValue", ""))
        for d in drift.get("PropertyDifferences", [])
    ]
    return rows or [(status, "", "", "")]
