"""AWS on this machine: DynamoDB, Lambda, Firehose, S3 Tables, Athena and more, on one loopback port.

    import local_aws

    status = local_aws.start(Path("data/local"))
    os.environ.update(local_aws.env(status.endpoint, status.region))
    boto3.client("dynamodb").list_tables()

This is the door: it starts, finds and stops the server process and imports the standard library only.
Everything else goes over HTTP. IAM is enforced
on request, Lake Formation is not.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from local_aws.environment import DEFAULT_PORT, HEALTH_PATH, HOST, env
from local_aws.json_files import read_json
from local_aws.server import process, saved_state

__all__ = ["LocalAwsError", "Status", "env", "reset", "start", "status", "stop"]

_OURS = (
    *("state", "s3", "firehose", "glue", "maintenance", "duckdb", "athena"),
    *("clean", "clean.new", "checkpoint"),
)
_OUR_FILES = (
    "clean.json",
    "gateway.json",
    "local-aws.log",
    "local-aws.previous.log",
    "start.lock",
    "server.lock",
)


class LocalAwsError(Exception):
    """The local AWS cannot be started, stopped or reset.

    Args:
        message: What happened, with the value, as a sentence.
        hint: What to do about it.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True)
class Status:
    """A local AWS that runs.

    Attributes:
        endpoint: Its address, such as `http://127.0.0.1:4566`.
        port: TCP port, bound on 127.0.0.1 only.
        pid: Process id of the server.
        region: AWS Region that it plays.
        state_dir: Folder of its state.
        started_at: When it started.
        restored: What it started from: `empty`, `clean` (all that was there when it stopped) or `unclean`
            (it had not been stopped cleanly; what happened after `restored_from` is lost).
        restored_from: When the state it started from was saved.
        memory_bytes: Resident memory of all its processes.
        code: Digest of the code that it runs; empty if it is too old to say.
        damaged: A file of a newer checkpoint, which was passed over for `restored_from`.
        checkpoint_at: When its state was last kept aside since; a kill goes back to that.
        checkpoint_error: Why the last attempt at that failed, in a sentence.
        enforces_iam: Whether calls are checked against the policies of their callers.
    """

    endpoint: str
    port: int
    pid: int
    region: str
    state_dir: Path
    started_at: datetime
    restored: str
    restored_from: datetime | None
    memory_bytes: int
    code: str
    damaged: str | None = None
    checkpoint_at: datetime | None = None
    checkpoint_error: str | None = None
    enforces_iam: bool = False

    @property
    def is_current(self) -> bool:
        """Whether it runs the code that is here now."""
        return self.code == process.code_digest()


def start(
    state_dir: Path,
    *,
    port: int = DEFAULT_PORT,
    region: str = "us-east-1",
    checkpoint_seconds: float = 45,
    enforce_iam: bool = False,
    timeout_seconds: float = 30,
) -> Status:
    """Start the local AWS, or find the one that runs on this state folder.

    It runs in a process of its own that outlives this one, by `sys.executable` or, so that it can live in
    an environment of its own, by the interpreter that `LOCAL_AWS_PYTHON` names.

    Args:
        state_dir: Folder of its state; made where it is missing.
        port: TCP port on 127.0.0.1.
        region: AWS Region to play.
        checkpoint_seconds: How often its state is kept aside while it changes: what a kill may cost.
        enforce_iam: Whether calls with the keys of users and roles are checked against their policies; the
            account's own keys, those of `env`, may do everything.
        timeout_seconds: How long to wait for it, in seconds.

    Returns:
        Where it is, and what it started from.

    Raises:
        LocalAwsError: The port is taken, a state file is damaged, the extra is not installed, or the
            process ended or stayed silent.
    """
    state_dir = state_dir.resolve()
    state_dir.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout_seconds
    with _only_one(state_dir, deadline):
        running = status(state_dir)
        if running and enforce_iam and not running.enforces_iam:
            msg = f"The local AWS that runs on {state_dir} does not enforce IAM."
            raise LocalAwsError(msg, hint="Stop it first; it keeps its state.")
        if running:
            return running
        _wait_for_end(state_dir, deadline)
        _check_state(state_dir)
        _check_port(port)
        options = ["--state-dir", str(state_dir), "--port", str(port), "--region", region]
        options += ["--checkpoint-seconds", str(checkpoint_seconds)]
        options += ["--enforce-iam"] if enforce_iam else []
        pid = process.spawn(options, state_dir / "local-aws.log")
        return _wait_for_health(state_dir, pid, deadline)


def stop(state_dir: Path, *, timeout_seconds: float = 60) -> bool:
    """Stop the local AWS and wait until it has saved its state.

    Args:
        state_dir: Folder of its state.
        timeout_seconds: How long to wait before it is killed, in seconds.

    Returns:
        Whether one was running.

    Raises:
        LocalAwsError: It had to be killed.
    """
    state_dir = state_dir.resolve()
    pid = _recorded(state_dir).get("pid")
    if pid is None or not process.is_server(pid):
        return False
    os.kill(pid, signal.SIGTERM)
    if process.ends(pid, time.monotonic() + timeout_seconds):
        return True
    os.kill(pid, signal.SIGKILL)
    process.ends(pid, time.monotonic() + 10)
    msg = f"The local AWS (process {pid}) did not stop within {timeout_seconds:g} s and was killed."
    raise LocalAwsError(msg, hint="Start it again: it starts from its last checkpoint and says so.")


def status(state_dir: Path) -> Status | None:
    """The local AWS that runs on a state folder, or None.

    Args:
        state_dir: Folder of its state.
    """
    state_dir = state_dir.resolve()
    recorded = _recorded(state_dir)
    if not recorded or not process.is_alive(recorded["pid"]):
        return None
    health = _health(recorded["port"])
    if health is None or health.get("pid") != recorded["pid"] or health["stopping"]:
        return None
    known: dict[str, Any] = {"code": ""} | recorded | health | {"state_dir": state_dir}
    for name in ("started_at", "restored_from", "checkpoint_at"):
        known[name] = datetime.fromisoformat(known[name]) if known.get(name) else None
    return Status(**{field.name: known[field.name] for field in fields(Status) if field.name in known})


def reset(state_dir: Path) -> None:
    """Stop the local AWS and delete all its state.

    Args:
        state_dir: Folder of its state; other files in it are kept.

    Raises:
        LocalAwsError: The folder is not one that the local AWS has used.
    """
    state_dir = state_dir.resolve()
    if not state_dir.exists():
        return
    if not any((state_dir / name).exists() for name in ("clean", *_OUR_FILES)) and any(state_dir.iterdir()):
        msg = f"{state_dir} is not a state folder of the local AWS; nothing was deleted."
        raise LocalAwsError(msg, hint="Name the folder that `status` shows, `data/local` by default.")
    stop(state_dir)
    for name in _OURS:
        shutil.rmtree(state_dir / name, ignore_errors=True)
    for name in _OUR_FILES:
        (state_dir / name).unlink(missing_ok=True)


@contextmanager
def _only_one(state_dir: Path, deadline: float) -> Iterator[None]:
    with (state_dir / "start.lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    msg = f"Another process has been starting the local AWS on {state_dir} all the time."
                    raise LocalAwsError(msg, hint="Look at its local-aws.log, and start it again.") from error
                time.sleep(0.05)
        yield


def _check_state(state_dir: Path) -> None:
    damaged = saved_state.damaged_file(state_dir)
    if damaged:
        try:
            flaw = "not as it was saved" if read_json(damaged) else "missing"
        except ValueError:
            flaw = "not JSON"
        msg = f"The state of the local AWS is damaged: {damaged} is {flaw}. Nothing was deleted."
        hint = "Put the file back from a copy, or delete all state with `python -m local_aws reset`."
        if earlier := saved_state.earlier(state_dir):
            hint += f" Or go back to what it was at {earlier}: delete {state_dir / saved_state.MARK}."
        raise LocalAwsError(msg, hint=hint)


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            msg = f"Port {port} is in use{_listener(port)}, so the local AWS cannot listen on it."
            hint = "Use another port (`--port`, or DYNABERG_LOCAL_PORT), or stop the process that has it."
            raise LocalAwsError(msg, hint=hint) from error


def _listener(port: int) -> str:
    try:
        import psutil

        pids = {
            c.pid
            for c in psutil.net_connections("tcp")
            if c.laddr and c.laddr.port == port and c.status == "LISTEN"
        }
        names = [f"{psutil.Process(pid).name()}, process {pid}" for pid in pids if pid]
    except (ImportError, PermissionError, OSError, RuntimeError):
        return ""
    return f" ({names[0]})" if names else ""


def _wait_for_health(state_dir: Path, pid: int, deadline: float) -> Status:
    while True:
        found = status(state_dir)
        if found and found.pid == pid:
            return found
        if not process.is_alive(pid):
            raise _died(state_dir)
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGTERM)
            msg = f"The local AWS did not answer in time. Its log:\n{_log_tail(state_dir)}"
            raise LocalAwsError(msg, hint="Start it again, with more time where the machine is busy.")
        time.sleep(0.03)


def _died(state_dir: Path) -> LocalAwsError:
    tail = _log_tail(state_dir)
    if "ModuleNotFoundError" in tail:
        python = process.interpreter()
        missing = tail.rpartition("No module named")[2].strip()
        msg = f"The local AWS is not installed for {python}: there is no module {missing}."
        hint = "pip install 'dynaberg[local]'; in SageMaker Studio, elsewhere, and set LOCAL_AWS_PYTHON."
        return LocalAwsError(msg, hint=hint)
    msg = f"The local AWS ended while it started. The end of {state_dir / 'local-aws.log'}:\n{tail}"
    return LocalAwsError(msg, hint="Fix what the log says, or start again with `python -m local_aws reset`.")


def _log_tail(state_dir: Path, lines: int = 15) -> str:
    text = (state_dir / "local-aws.log").read_text(encoding="utf-8", errors="replace")
    return "\n".join(text.splitlines()[-lines:])


def _wait_for_end(state_dir: Path, deadline: float) -> None:
    pid = _recorded(state_dir).get("pid")
    if pid is not None and process.is_server(pid) and not process.ends(pid, deadline):
        msg = f"The local AWS (process {pid}) neither answers nor ends."
        raise LocalAwsError(msg, hint="Stop it: `python -m local_aws stop`.")


def _recorded(state_dir: Path) -> dict[str, Any]:
    try:
        return dict(read_json(state_dir / "gateway.json"))
    except ValueError:
        return {}


def _health(port: int) -> dict[str, Any] | None:
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request("GET", HEALTH_PATH)
        return dict(json.loads(connection.getresponse().read()))
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
