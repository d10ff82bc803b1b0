"""The server process: `python -m local_aws.server.serve --state-dir DIR --port PORT`.

ministack reads its settings from the environment when it is imported, so they are set here first.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import logging
import os
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local_aws.environment import DEFAULT_PORT, HOST, env
from local_aws.json_files import write_json
from local_aws.server import process, saved_state

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


class SaveErrors(logging.Handler):
    """Counts what ministack could not save; it only logs that."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.count = 0
        logging.getLogger("persistence").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Count one."""
        self.count += 1


async def serve(state_dir: Path, about: Mapping[str, Any]) -> None:
    """Serve until SIGTERM or SIGINT, then save the state."""
    from hypercorn.asyncio import serve as hypercorn_serve
    from hypercorn.config import Config

    from local_aws.server.gateway import create_app

    config = Config()
    config.bind = [f"{HOST}:{about['port']}"]
    config.loglevel = "WARNING"
    config.keep_alive_timeout = 75
    config.graceful_timeout = 3
    config.startup_timeout = 60
    config.shutdown_timeout = 120
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)

    errors = SaveErrors()

    def on_saved() -> None:
        if not errors.count:
            saved_state.mark_saved(state_dir)

    app = create_app(state_dir, about, lambda: saved_state.mark_running(state_dir), on_saved)

    async def wait_for_stop() -> None:
        await stopping.wait()
        await app.stop_services()

    await hypercorn_serve(app, config, shutdown_trigger=wait_for_stop)  # type: ignore[arg-type]


def run(state_dir: Path, port: int, region: str) -> None:
    """Restore the state, then serve; one server at a time on a state folder."""
    started_at = datetime.now(UTC)
    sys.setswitchinterval(SWITCH_SECONDS)
    os.environ.pop("AWS_PROFILE", None)
    os.environ.pop("AWS_SESSION_TOKEN", None)
    os.environ.update(server_environment(state_dir, port, region))
    state_dir.mkdir(parents=True, exist_ok=True)
    lock = (state_dir / "server.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit(f"A local AWS runs on {state_dir} already.")
    restored = saved_state.restore(state_dir)
    about = {
        "pid": os.getpid(),
        "port": port,
        "endpoint": f"http://{HOST}:{port}",
        "region": region,
        "started_at": started_at.isoformat(),
        "restored": restored.kind,
        "restored_from": restored.saved_at and restored.saved_at.isoformat(),
        "code": process.code_digest(),
    }
    record = state_dir / "gateway.json"
    write_json(record, about)
    try:
        asyncio.run(serve(state_dir, about))
    finally:
        record.unlink(missing_ok=True)


def main() -> None:
    """Run the server process."""
    parser = argparse.ArgumentParser(prog="python -m local_aws.server.serve")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    parser.add_argument("--region", default="us-east-1")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    run(options.state_dir.resolve(), options.port, options.region)


if __name__ == "__main__":
    main()
