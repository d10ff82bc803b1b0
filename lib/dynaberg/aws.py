"""Sessions, clients and waits: the only module that knows whether AWS is the local one.

For the target `local` the process's environment is pointed at the local AWS, so that everything else, plain
boto3, PyAthena and pyiceberg included, reaches it without knowing.
"""

from __future__ import annotations

import ipaddress
import os
import time
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from dynaberg import local
from dynaberg.errors import CredentialsError, NotReadyError, SettingsError
from dynaberg.settings import Settings

# "Using and configuring retries": standard mode backs off with jitter and retries throttling.
_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 6},
    connect_timeout=5,
    read_timeout=60,
    max_pool_connections=32,
)
_CREDENTIALS_CODES = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_SIGN_IN = "Sign in (`aws sso login`), choose a profile (AWS_PROFILE), or stay local: dynaberg.connect()."

_clients: WeakKeyDictionary[boto3.Session, dict[str, Any]] = WeakKeyDictionary()
_accounts: WeakKeyDictionary[boto3.Session, str] = WeakKeyDictionary()
_environment_before: dict[str, str | None] = {}

T = TypeVar("T")


def open_session(settings: Settings) -> boto3.Session:
    """Open a boto3 session on the settings' target.

    With the target `local`, the local AWS is started if it is not running, and the process's environment
    points to it; a later call with the target `aws` restores the environment.

    Args:
        settings: The target, the Region and the folder of the local state.

    Returns:
        A session that has a Region and tested credentials.

    Raises:
        LocalAwsError: The local AWS is not installed or cannot be started.
        SettingsError: No Region, or an endpoint that does not belong to AWS.
        CredentialsError: AWS cannot identify the caller.
    """
    return _open_local(settings) if settings.target == "local" else _open_aws(settings)


def client(session: boto3.Session, name: str) -> Any:
    """A native boto3 client of the session, made once and kept.

    Args:
        session: An open session.
        name: Service, such as `firehose`.
    """
    kept = _clients.setdefault(session, {})
    if name not in kept:
        kept[name] = new_client(session, name)
    return kept[name]


def new_client(session: boto3.Session, name: str, **options: Any) -> Any:
    """A boto3 client of its own, with the time-outs and retries of all clients.

    Args:
        session: An open session.
        name: Service, such as `firehose`.
        **options: More options of botocore's `Config`.
    """
    make: Any = session.client
    return make(name, config=client_config(**options))


def client_config(**options: Any) -> Config:
    """The time-outs and retries of all clients, with more options of botocore's `Config`."""
    return _CONFIG.merge(Config(**options))


def account_id(session: boto3.Session) -> str:
    """The twelve digits of the session's account."""
    if session not in _accounts:
        _accounts[session] = str(client(session, "sts").get_caller_identity()["Account"])
    return _accounts[session]


def now(session: boto3.Session) -> datetime:
    """The moment, by AWS's clock if this machine's is ahead of it.

    What AWS dates from then on is dated no earlier.

    Args:
        session: An open session.
    """
    here = datetime.now(UTC)
    answer = client(session, "sts").get_caller_identity()
    there = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    # An answer is dated to the second that has begun.
    return here if here - there < timedelta(seconds=1) else there


def wait_for(check: Callable[[], T | None], *, timeout: float, what: str, hint: str = "") -> T:
    """Call a check at growing intervals until it returns an answer.

    Args:
        check: Returns the answer, or something false to be called again.
        timeout: Deadline in seconds.
        what: What is awaited, as the subject of "… is not there after 30 s".
        hint: What to do when the deadline passes.

    Returns:
        The first answer that is not false.

    Raises:
        NotReadyError: The deadline passed.
    """
    started, pause = time.monotonic(), 0.05
    while not (answer := check()):
        if time.monotonic() - started + pause > timeout:
            msg = f"{what} is not there after {timeout:g} s."
            raise NotReadyError(msg, hint=hint)
        time.sleep(pause)
        pause = min(pause * 1.5, 2.0)
    return answer


# The local AWS ----------------------------------------------------------------------------------


def stop_local(settings: Settings, *, force: bool = False) -> bool:
    """Stop the local AWS, keep its state, and return whether it was running; the target `aws` has none."""
    return settings.target == "local" and local.stop(settings, force=force)


def _open_local(settings: Settings) -> boto3.Session:
    status = local.start(settings)
    if status.restored == "unclean":
        saved = f"the state saved at {status.restored_from}" if status.restored_from else "nothing"
        warnings.warn(f"The local AWS had not been stopped cleanly; it started from {saved}.", stacklevel=4)
    if not status.is_current:
        warnings.warn(f"The local AWS is running old code. {local.restart_hint()}", stacklevel=4)
    local.register(settings)
    _enter(local.environment(status))
    local.explain_silence_in_notebook(settings, status.endpoint)
    session = boto3.Session()
    session.events.register_first("needs-retry", _explain)
    return session


def _enter(environment: Mapping[str, str]) -> None:
    """Point the process at the local AWS and remember what was there."""
    in_the_way = [n for n in os.environ if n.startswith("AWS_ENDPOINT_URL_")]
    in_the_way += [
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_SESSION_TOKEN",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    ]
    for name in {*environment, *in_the_way}:
        _environment_before.setdefault(name, os.environ.pop(name, None))
    os.environ.update(environment)


def _leave() -> None:
    """Restore the process's environment to what it was before the local AWS."""
    for name, value in _environment_before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    _environment_before.clear()


# AWS --------------------------------------------------------------------------------------------


def _open_aws(settings: Settings) -> boto3.Session:
    _leave()
    try:
        session = boto3.Session(region_name=settings.region or os.environ.get("AWS_REGION"))
    except BotoCoreError as error:
        raise CredentialsError(f"AWS's configuration cannot be used: {error}.", hint=_SIGN_IN) from error
    if not session.region_name:
        msg = "No AWS Region is set."
        raise SettingsError(
            msg, hint='Set AWS_REGION, or pass it: connect(target="aws", region="eu-central-1").'
        )
    session.events.register_first("needs-retry", _explain)
    _refuse_loopback(client(session, "sts").meta.endpoint_url)
    try:
        account_id(session)
    except (BotoCoreError, ClientError) as error:
        raise CredentialsError(f"AWS cannot identify the caller: {error}.", hint=_SIGN_IN) from error
    return session


def _refuse_loopback(endpoint: str) -> None:
    if is_loopback(endpoint):
        msg = f"The target is `aws`, but AWS's address is set to {endpoint}, which is this machine."
        raise SettingsError(msg, hint="Unset AWS_ENDPOINT_URL (and the keys that `dynaberg local env` set).")


def is_loopback(endpoint: str) -> bool:
    """Whether an address is on this machine."""
    host = urlsplit(endpoint).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def explain_silence(endpoint: str, cause: Exception) -> None:
    """Raise the error of a local AWS that is gone, if a silent address is on this machine."""
    if is_loopback(endpoint):
        raise local.silence(endpoint) from cause


def _explain(
    response: tuple[Any, Mapping[str, Any]] | None, caught_exception: Exception | None, **_: Any
) -> None:
    """Raise the errors that no retry can fix: a local AWS that is gone, credentials that have expired."""
    if isinstance(caught_exception, EndpointConnectionError):
        explain_silence(str(caught_exception.kwargs["endpoint_url"]), caught_exception)
    error = response[1].get("Error", {}) if response else {}
    if error.get("Code") in _CREDENTIALS_CODES:
        msg = f"AWS does not accept the credentials: {error.get('Message', error['Code'])}."
        raise CredentialsError(msg, hint=_SIGN_IN)
