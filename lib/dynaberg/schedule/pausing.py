"""Scheduled runs that wait while a person changes what they read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

from dynaberg import aws, deploy
from dynaberg.errors import NotReadyError
from dynaberg.functions.schedule import lock, records

if TYPE_CHECKING:
    import boto3

    from dynaberg.settings import Settings

# As long as a statement of the run before may take, which has to end first.
_WAIT_SECONDS = 1_800.0
# A process that is killed meanwhile holds up the schedule for no longer.
_HELD_SECONDS = 1_800.0


@contextmanager
def runs_paused(session: boto3.Session, settings: Settings) -> Iterator[None]:
    """Let no scheduled run work meanwhile: one that begins ends as `busy`, and the next one catches up.

    Args:
        session: An open session.
        settings: The project.

    Raises:
        NotReadyError: A run works, and has not ended within half an hour.
    """
    if not deploy.stack_parameters(session, deploy.stack_name(settings, "schedule")):
        yield
        return
    s3, owner = aws.client(session, "s3"), f"notebook-{uuid4()}"
    bucket = deploy.outputs(session, settings, "foundation")["ErrorBucketName"]

    def take() -> bool:
        return lock.take(s3, bucket, records.LOCK, owner, _HELD_SECONDS)

    try:
        aws.wait_for(take, timeout=_WAIT_SECONDS, what="The end of a scheduled run")
    except NotReadyError as error:
        hint = "See wb.schedule.runs(), and call it again after that run."
        raise NotReadyError(f"No table was changed. {error.message}", hint=hint) from error
    try:
        yield
    finally:
        lock.release(s3, bucket, records.LOCK, owner)
