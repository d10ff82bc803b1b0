"""The local AWS, as Dynaberg uses it: started, found and stopped through one entry point."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dynaberg.errors import LocalAwsError, SettingsError
from dynaberg.settings import Settings

if TYPE_CHECKING:
    from local_aws import Status

PORT = 4566
REGION = "us-east-1"
START = "Start it with `dynaberg local start`."
RESTART = "Stop it with `dynaberg local stop`; the next connect() runs the new code and keeps the state."


def start(settings: Settings) -> Status:
    """Start the local AWS, or find the one that is running on the settings' state folder.

    Raises:
        LocalAwsError: It is not installed, its port is taken, or it does not come up.
        SettingsError: An invalid port, or another Region than that of the one that is running.
    """
    with _door() as local_aws:
        status: Status = local_aws.start(settings.local_state, port=port(), region=settings.region or REGION)
    if settings.region not in (None, status.region):
        msg = f"`region` is {settings.region!r}, but the running local AWS uses {status.region!r}."
        raise SettingsError(msg, hint="Leave the Region out, or stop it first: `dynaberg local stop`.")
    return status


def stop(settings: Settings) -> bool:
    """Stop the local AWS, keep its state, and return whether one was running.

    Raises:
        LocalAwsError: It had to be killed.
    """
    with _door() as local_aws:
        return bool(local_aws.stop(settings.local_state))


def status(settings: Settings) -> Status | None:
    """The local AWS that is running on the settings' state folder, or None."""
    with _door() as local_aws:
        running: Status | None = local_aws.status(settings.local_state)
    return running


def reset(settings: Settings) -> None:
    """Stop the local AWS and delete its state."""
    with _door() as local_aws:
        local_aws.reset(settings.local_state)


def environment(running: Status) -> Mapping[str, str]:
    """What any AWS client needs in its environment to reach a local AWS and nothing else."""
    with _door() as local_aws:
        variables: Mapping[str, str] = local_aws.env(running.endpoint, running.region)
    return variables


def port() -> int:
    """The local AWS's port: `DYNABERG_LOCAL_PORT`, or 4566.

    Raises:
        SettingsError: It is not a port.
    """
    text = os.environ.get("DYNABERG_LOCAL_PORT", str(PORT))
    if not (text.isascii() and text.isdigit() and 1024 <= int(text) <= 65535):
        msg = f"DYNABERG_LOCAL_PORT is {text!r}, which is not a port."
        raise SettingsError(msg, hint="Use a number from 1024 to 65535, or unset it.")
    return int(text)


@contextmanager
def _door() -> Iterator[Any]:
    """The package `local_aws`, with its own error turned into ours: the two share nothing else."""
    try:
        import local_aws
    except ImportError as error:
        msg = f"The local AWS is not installed: {error}."
        raise LocalAwsError(msg, hint="pip install 'dynaberg[local]', or connect(target=\"aws\").") from error
    try:
        yield local_aws
    except local_aws.LocalAwsError as error:
        raise LocalAwsError(error.message, hint=error.hint) from error
