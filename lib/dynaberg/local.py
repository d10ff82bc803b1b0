"""The local AWS, as Dynaberg uses it: started, found and stopped through one entry point."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dynaberg.errors import DynabergError, LocalAwsError, SettingsError
from dynaberg.settings import Settings

if TYPE_CHECKING:
    from local_aws import Status

PORT = 4566
REGION = "us-east-1"
USERS = "users"
"""Folder of the processes that are connected, in that of the state."""


def start(settings: Settings, *, enforce_iam: bool = False) -> Status:
    """Start the local AWS, or find the one that is running on the settings' state folder.

    Args:
        settings: The folder of the state, and the Region.
        enforce_iam: Check calls with the keys of users and roles against their policies.

    Raises:
        LocalAwsError: It is not installed, its port is taken, or it does not come up.
        SettingsError: An invalid port, a Python that is not there, or another Region than that of the one
            that is running.
    """
    python = os.environ.get("LOCAL_AWS_PYTHON")
    if python and not shutil.which(python):
        msg = f"LOCAL_AWS_PYTHON is {python!r}, which is not a program."
        raise SettingsError(msg, hint="Name the Python of the local AWS's own environment, or unset it.")
    with _door() as local_aws:
        region = settings.region or REGION
        status: Status = local_aws.start(
            settings.local_state, port=port(), region=region, enforce_iam=enforce_iam
        )
    if settings.region not in (None, status.region):
        msg = f"`region` is {settings.region!r}, but the running local AWS uses {status.region!r}."
        raise SettingsError(
            msg, hint=advice("leave the Region out, or stop it first: {}", "wb.stop()", "dynaberg local stop")
        )
    return status


def stop(settings: Settings, *, force: bool = False) -> bool:
    """Stop the local AWS, keep its state, and return whether one was running.

    Args:
        settings: The folder of the state, and the name of who stops it.
        force: Stop it although somebody else is connected.

    Raises:
        LocalAwsError: It is in use by others, or it had to be killed.
    """
    others = [] if force else in_use_by(settings)
    if others:
        msg = f"The local AWS is in use by others: {', '.join(others)}. It was not stopped."
        raise LocalAwsError(
            msg, hint=advice("stop it anyway: {}", "wb.stop(force=True)", "dynaberg local stop --force")
        )
    with _door() as local_aws:
        return bool(local_aws.stop(settings.local_state))


def status(settings: Settings) -> Status | None:
    """The local AWS that is running on the settings' state folder, or None."""
    with _door() as local_aws:
        running: Status | None = local_aws.status(settings.local_state)
    return running


def reset(settings: Settings) -> None:
    """Stop the local AWS and delete its state."""
    shutil.rmtree(settings.local_state / USERS, ignore_errors=True)
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


# Who is connected ---------------------------------------------------------------------------------


def register(settings: Settings) -> None:
    """Note that this process is connected, under the first name that it used, until it ends."""
    note = settings.local_state / USERS / f"{os.getpid()}.json"
    if _name_in(note):
        return
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps({"name": settings.name, "began": _began(os.getpid())}), encoding="utf-8")
    atexit.register(note.unlink, missing_ok=True)


def in_use_by(settings: Settings) -> list[str]:
    """The names under which other people's processes are connected; one's own notebooks do not count."""
    names = {_name_in(note) for note in (settings.local_state / USERS).glob("*.json")}
    return sorted(
        name for name in names if name not in ("", settings.name) and not settings.name.startswith(f"{name}-")
    )


def _name_in(note: Path) -> str:
    """The name in the note of a process that still runs; empty if it has ended.

    A number that was given away again is another process.
    """
    try:
        noted, pid = json.loads(note.read_text(encoding="utf-8")), int(note.stem)
        with suppress(PermissionError):  # of another user, so it runs
            os.kill(pid, 0)
        return str(noted["name"]) if noted["began"] == _began(pid) else ""
    except (OSError, ValueError):
        return ""


def _began(pid: int) -> str:
    """When a process began, in the kernel's words; empty where there is no /proc."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except OSError:
        return ""


# Advice where it is read -------------------------------------------------------------------------


def advice(words: str, cell: str, command: str) -> str:
    """A hint for whoever reads it: a notebook's user is told to run a cell, a terminal's user a command.

    Args:
        words: The hint, with `{}` for what to run.
        cell: Python for a notebook.
        command: A command for a terminal.
    """
    hint = words.format(f"`{cell}`" if in_notebook() else f"`{command}`")
    return f"{hint[0].upper()}{hint[1:]}."


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    return _shell() is not None


def explain_silence_in_notebook(settings: Settings, endpoint: str) -> None:
    """Let a notebook show one clear error when the local AWS is gone, whatever client met that first.

    Native clients (PyAthena, pyiceberg, boto3 by itself) raise errors of their own, with long traces.

    Args:
        settings: The folder of the local AWS's state.
        endpoint: Its address.
    """
    shell = _shell()
    if shell is None:
        return

    def show(shell: Any, kind: type[Exception], error: Exception, trace: Any, tb_offset: int | None) -> None:
        if _names(error, urlsplit(endpoint).netloc) and status(settings) is None:
            gone = silence(endpoint)
            gone.__cause__ = error
            kind, error, trace = type(gone), gone, None
        shell.showtraceback((kind, error, trace), tb_offset=tb_offset, running_compiled_code=True)

    shell.set_custom_exc((Exception,), show)


def silence(endpoint: str) -> LocalAwsError:
    """The error of a local AWS that does not answer at an address."""
    parts = urlsplit(endpoint)
    msg = f"The local AWS at {parts.scheme}://{parts.netloc} does not answer."
    return LocalAwsError(msg, hint=start_hint())


def _names(error: BaseException | None, place: str) -> bool:
    """Whether an error of another library, or one of its causes, names an address."""
    while error is not None and not isinstance(error, DynabergError):
        if place in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _shell() -> Any:
    """The shell of the notebook whose kernel this process is, or None."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell if hasattr(shell, "kernel") else None


def start_hint() -> str:
    """How to start the local AWS again."""
    return advice("start it: {}", "wb = dynaberg.connect()", "dynaberg local start")


def restart_hint() -> str:
    """How to let the local AWS run code that has changed."""
    words = advice("stop it: {}", "wb.stop()", "dynaberg local stop")
    return f"{words} The next connect() runs the new code and keeps the state."


@contextmanager
def _door() -> Iterator[Any]:
    """The package `local_aws`, with its own error turned into ours: the two share nothing else."""
    if sys.platform == "win32":
        msg = "The local AWS does not run on Windows itself."
        raise LocalAwsError(msg, hint="Install WSL 2 (`wsl --install`), and run Dynaberg inside it.")
    try:
        import local_aws
    except ImportError as error:
        msg = f"The local AWS is not installed: {error}."
        raise LocalAwsError(msg, hint="pip install 'dynaberg[local]', or connect(target=\"aws\").") from error
    try:
        yield local_aws
    except local_aws.LocalAwsError as error:
        raise LocalAwsError(error.message, hint=error.hint) from error
