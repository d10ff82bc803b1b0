"""The server process: `python -m local_aws.serve --state-dir DIR --port PORT`.

ministack reads its settings from the environment when it is imported, so they are set here first.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
from pathlib import Path

HOST = "127.0.0.1"


def client_environment(endpoint: str, region: str) -> dict[str, str]:
    """What any AWS client needs in its environment to reach the local AWS and nothing else."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def server_environment(state_dir: Path, port: int, region: str) -> dict[str, str]:
    """ministack's settings: loopback only, everything kept under the state folder."""
    return client_environment(f"http://{HOST}:{port}", region) | {
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


async def serve(state_dir: Path, port: int) -> None:
    """Serve until SIGTERM or SIGINT, then save the state."""
    from hypercorn.asyncio import serve as hypercorn_serve
    from hypercorn.config import Config

    from local_aws.gateway import create_app

    config = Config()
    config.bind = [f"{HOST}:{port}"]
    config.keep_alive_timeout = 75
    config.shutdown_timeout = 120
    config.startup_timeout = 60
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)

    async def wait_for_stop() -> None:
        await stopping.wait()

    app = create_app(state_dir, on_saved=lambda: None)
    await hypercorn_serve(app, config, shutdown_trigger=wait_for_stop)  # type: ignore[arg-type]


def main() -> None:
    """Run the server process."""
    parser = argparse.ArgumentParser(prog="python -m local_aws.serve")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, default=4566)
    parser.add_argument("--region", default="us-east-1")
    options = parser.parse_args()
    os.environ.update(server_environment(options.state_dir, options.port, options.region))
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    asyncio.run(serve(options.state_dir, options.port))


if __name__ == "__main__":
    main()
