"""What the deployer makes of CloudFormation's events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dynaberg import deploy
from dynaberg.deploy import deployer
from dynaberg.errors import DeploymentError, SettingsError
from dynaberg.settings import Settings

NO_SESSION: Any = None
START = datetime(2026, 11, 23, 9, tzinfo=UTC)


def event(resource: str, status: str, reason: str = "", second: float = 0) -> dict[str, Any]:
    return {
        "LogicalResourceId": resource,
        "ResourceType": "AWS::S3::Bucket",
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
        "Timestamp": START + timedelta(seconds=second),
    }


def test_the_first_failure_is_named_and_not_what_it_cancelled() -> None:
    events = [
        event("Errors", "CREATE_IN_PROGRESS"),
        event("Results", "CREATE_FAILED", "Resource creation cancelled"),
        event("Errors", "CREATE_FAILED", "errors-1 already exists"),
        event("Code", "CREATE_FAILED", "Access denied"),
    ]
    with pytest.raises(DeploymentError) as caught:
        deployer._check(NO_SESSION, events, "demo-foundation")
    assert (
        "'demo-foundation': Errors (AWS::S3::Bucket) failed: errors-1 already exists" in caught.value.message
    )


def test_no_failure_is_no_error() -> None:
    deployer._check(NO_SESSION, [event("Errors", "CREATE_COMPLETE")], "demo")


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("streambucket-errors already exists in stack x", "The name is taken"),
        ("User: arn:x is not authorized to perform: s3:CreateBucket", "Ask for the permission"),
        ("AccessDenied when calling CreateRole", "Ask for the permission"),
        ("You have reached the limit of table buckets", "Service Quotas"),
        ("EntityNotFoundException: Database analytics not found", "wb.integrate_analytics()"),
        ("Firehose is unable to assume role arn:x", "Run it again"),
        ("Internal Failure", "after the fix, run it again"),
    ],
)
def test_the_hint_fits_the_reason(reason: str, hint: str) -> None:
    assert hint in deployer._explained("demo", "Errors", reason).hint


def test_the_seconds_run_from_the_first_event_to_the_last() -> None:
    events = [event("A", "CREATE_IN_PROGRESS", second=1), event("A", "CREATE_COMPLETE", second=3.5)]
    assert deployer._seconds(events) == {"A": 2.5}


@pytest.mark.parametrize(
    ("status", "is_over"),
    [
        ("CREATE_COMPLETE", True),
        ("UPDATE_ROLLBACK_COMPLETE", True),
        ("DELETE_FAILED", True),
        ("UPDATE_IN_PROGRESS", False),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", False),
    ],
)
def test_what_ends_an_operation(status: str, is_over: bool) -> None:
    assert deployer._is_over(event("stack", status)) is is_over


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"buffer_seconds": 901}, "`buffer_seconds` is 901; it can be 0 to 900"),
        ({"buffer_seconds": -1}, "is -1"),
        ({"redrive_attempts": 0}, "`redrive_attempts` is 0; it can be 1 to 50"),
        ({"redrive_seconds": 1_000}, "`redrive_seconds` is 1000"),
    ],
)
def test_what_the_delivery_cannot_be_is_refused_before_anything_is_done(
    limits: dict[str, int], message: str
) -> None:
    nothing: Any = None
    with pytest.raises(SettingsError, match=message):
        deploy.deploy_firehose(nothing, Settings(), nothing, **limits)
