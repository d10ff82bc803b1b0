"""The maintenance jobs' process: started when there is work, kept for a while, ended."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson

from local_aws.environment import WITHOUT_CHECKSUMS, env

IDLE_SECONDS = 20.0
LONGEST_LINE_BYTES = 2**26


class MaintenanceProcess:
    """Runs jobs, a JSON line each way; the caller makes one request at a time."""

    def __init__(self, endpoint: str, region: str) -> None:
        self._command = [sys.executable, "-m", "local_aws.s3tables.maintenance"]
        self._command += ["--endpoint", endpoint, "--region", region]
        self._environment = os.environ | env(endpoint, region) | WITHOUT_CHECKSUMS
        self._process: asyncio.subprocess.Process | None = None
        self._ending: asyncio.TimerHandle | None = None

    async def run(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Run the jobs of one table."""
        if self._ending is not None:
            self._ending.cancel()
        process = await self._running()
        if process.stdin is None or process.stdout is None:
            raise AssertionError("it was started with pipes")
        process.stdin.write(orjson.dumps(request) + b"\n")
        await process.stdin.drain()
        line = await process.stdout.readline()
        if not line:
            raise OSError(f"The maintenance process ended with code {await process.wait()}.")
        self._ending = asyncio.get_running_loop().call_later(IDLE_SECONDS, process.stdin.close)
        return dict(orjson.loads(line))

    async def stop(self) -> None:
        """End the process; what it commits, it commits whole or not at all."""
        if self._ending is not None:
            self._ending.cancel()
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def _running(self) -> asyncio.subprocess.Process:
        process = self._process
        usable = process is not None and process.returncode is None
        if process is None or not usable or process.stdin is None or process.stdin.is_closing():
            pipe = asyncio.subprocess.PIPE
            process = self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=pipe, stdout=pipe, env=self._environment, limit=LONGEST_LINE_BYTES
            )
        return process
