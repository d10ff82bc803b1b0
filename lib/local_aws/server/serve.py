"""The server process: `python -m local_aws.server.serve --state-dir DIR --port PORT`.

ministack reads its settings from the environment when it is imported, so they are set here first.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import logging
import os
import re
import signal
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local_aws.environment import DEFAULT_PORT, HOST, WithoutPandas, env
from local_aws.json_files import write_json
from local_aws.seams import persistence
from local_aws.server import process, saved_state

log = logging.getLogger(__name__)

SWITCH_SECONDS = 0.0005
"""How long a thread may hold the interpreter while another wants it. With Python's own 5 ms, what a function
returns, read by a thread in several pieces, waits that long for the event loop at each."""


def server_environment(state_dir: Path, port: int, region: str) -> dict[str, str]:
    """What ministack is set to: loopback only, everything kept under the state folder."""
    return env(f"http://{HOST}:{port}", region) | {
        "BIND_HOST": HOST,
        "MINISTACK_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "MINISTACK_REGION": region,
        "PERSIST_STATE": "1",
        "STATE_DIR": str(state_dir / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(state_dir / "s3"),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
    }


RECEIVED_BYTES = 2**18
"""How much of a request hypercorn takes from its socket at once: its own 64 KiB make four times the steps."""
KEEP_ALIVE_SECONDS = 3_600
"""How long a connection may be idle. Clients that send at the moment in which it is closed see an error, and
some of a room's are idle for minutes."""
DEPLOYMENT_SECONDS = 10.0
"""How long a checkpoint waits for CloudFormation."""
OLDEST_SECONDS = 3600.0
"""How old the last checkpoint may be: what a stream lets go of after a while must leave it, too."""
READS = re.compile(r"(?:^|\.)(?:BatchGet|Describe|Get|Head|List|Lookup|Query|Scan)[A-Za-z]*$")


class SaveErrors(logging.Handler):
    """Keeps what ministack could not save; it only logs that."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.last: str | None = None
        logging.getLogger("persistence").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.last = record.getMessage()


def may_write(scope: Mapping[str, Any]) -> bool:
    """Whether a request may change something."""
    if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
        return False
    targets = [value for name, value in scope["headers"] if name.lower() == b"x-amz-target"]
    return not (targets and READS.search(targets[0].decode("latin-1")))


class Checkpoints:
    """Keeps the state aside while it changes: twice after a change, then no place holds what was before."""

    def __init__(self, app: Any, state_dir: Path, about: dict[str, Any], errors: SaveErrors) -> None:
        self._app, self._state_dir, self._about, self._errors = app, state_dir, about, errors
        self._wanted, self._taken_at = len(saved_state.KEPT), time.monotonic()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one ASGI scope; a checkpoint that is taken at the same time may lack what it changes."""
        try:
            await self._app(scope, receive, send)
        finally:
            if may_write(scope):
                self._wanted = len(saved_state.KEPT)

    async def run(self, pause_seconds: float) -> None:
        """Keep the state aside again and again."""
        while True:
            await asyncio.sleep(pause_seconds)
            deadline = time.monotonic() + DEPLOYMENT_SECONDS
            while persistence.is_deploying() and time.monotonic() < deadline:
                await asyncio.sleep(0.1)
            if time.monotonic() > self._taken_at + OLDEST_SECONDS:
                self._wanted = len(saved_state.KEPT)
            if self._wanted:
                await self._take()

    async def _take(self) -> None:
        """Keep the state aside: all of it between two requests, then the waiting for the disk in a thread."""
        now, self._wanted = datetime.now(UTC), self._wanted - 1
        began, self._taken_at = time.perf_counter(), time.monotonic()
        try:
            checkpoint = self._begin(now)
            held_seconds = time.perf_counter() - began
            await asyncio.to_thread(checkpoint.finish)
        except OSError as error:
            self._missed(now, str(error))
        except Exception as error:
            log.exception("The checkpoint failed")
            self._missed(now, f"{type(error).__name__}: {error}")
        else:
            seconds = {"held": round(held_seconds, 3), "all": round(time.perf_counter() - began, 3)}
            took = {"checkpoint_at": now.isoformat(), "checkpoint_seconds": seconds}
            self._about.update(took, checkpoint_error=None)

    def _missed(self, now: datetime, reason: str) -> None:
        self._wanted = len(saved_state.KEPT)
        text = f"No checkpoint could be made at {now:%Y-%m-%d %H:%M:%S} UTC: {reason}."
        log.warning("%s The last one stays.", text)
        self._about["checkpoint_error"] = text

    def _begin(self, now: datetime) -> saved_state.Checkpoint:
        self._errors.last = None
        persistence.save_everything()
        if self._errors.last:
            raise OSError(self._errors.last)
        return saved_state.Checkpoint(self._state_dir, now)


async def serve(state_dir: Path, about: dict[str, Any], checkpoint_seconds: float) -> None:
    """Serve until SIGTERM or SIGINT, then save the state."""
    from hypercorn.asyncio import serve as hypercorn_serve
    from hypercorn.asyncio import tcp_server
    from hypercorn.config import Config

    from local_aws.server.gateway import create_app

    tcp_server.MAX_RECV = RECEIVED_BYTES
    config = Config()
    config.bind = [f"{HOST}:{about['port']}"]
    config.loglevel = "WARNING"
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    config.graceful_timeout = 3
    config.startup_timeout = 60
    config.shutdown_timeout = 120
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)

    errors = SaveErrors()

    def on_saved() -> None:
        if not errors.last:
            saved_state.mark_saved(state_dir)

    app = create_app(state_dir, about, lambda: saved_state.mark_running(state_dir), on_saved)
    checkpoints = Checkpoints(app, state_dir, about, errors)
    taking = asyncio.create_task(checkpoints.run(checkpoint_seconds))

    async def wait_for_stop() -> None:
        await stopping.wait()
        await app.stop_services()
        taking.cancel()
        errors.last = None

    await hypercorn_serve(checkpoints, config, shutdown_trigger=wait_for_stop)


def run(
    state_dir: Path, port: int, region: str, checkpoint_seconds: float, *, enforce_iam: bool = False
) -> None:
    """Restore the state, then serve; one server at a time on a state folder."""
    started_at = datetime.now(UTC)
    sys.setswitchinterval(SWITCH_SECONDS)
    sys.meta_path.insert(0, WithoutPandas())
    os.environ.pop("AWS_PROFILE", None)
    os.environ.pop("AWS_SESSION_TOKEN", None)
    os.environ.update(server_environment(state_dir, port, region))
    state_dir.mkdir(parents=True, exist_ok=True)
    lock = (state_dir / "server.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit(f"A local AWS runs on {state_dir} already.")
    try:
        restored = saved_state.restore(state_dir)
    except (OSError, ValueError) as error:
        sys.exit(f"The local AWS cannot start from what is in {state_dir}: {error}.")
    about: dict[str, Any] = {
        "pid": os.getpid(),
        "port": port,
        "endpoint": f"http://{HOST}:{port}",
        "region": region,
        "started_at": started_at.isoformat(),
        "restored": restored.kind,
        "restored_from": restored.saved_at and restored.saved_at.isoformat(),
        "damaged": restored.damaged and str(restored.damaged),
        "code": process.code_digest(),
        "enforces_iam": enforce_iam,
    }
    record = state_dir / "gateway.json"
    write_json(record, about)
    try:
        asyncio.run(serve(state_dir, about, checkpoint_seconds))
    finally:
        record.unlink(missing_ok=True)


def main() -> None:
    """Run the server process."""
    parser = argparse.ArgumentParser(prog="python -m local_aws.server.serve")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--checkpoint-seconds", type=float, default=45)
    parser.add_argument("--enforce-iam", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    run(
        options.state_dir.resolve(),
        options.port,
        options.region,
        options.checkpoint_seconds,
        enforce_iam=options.enforce_iam,
    )


if __name__ == "__main__":
    main()
