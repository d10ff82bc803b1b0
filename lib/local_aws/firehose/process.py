"""The delivery worker's process: started, woken, started again when it dies, ended."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path

from local_aws.environment import WITHOUT_CHECKSUMS, env
from local_aws.firehose.stream import FINISH, WAKE

LONGEST_PAUSE_SECONDS = 1.0

log = logging.getLogger(__name__)


class DeliveryProcess:
    """Keeps one delivery worker running.

    The worker's standard input connects the two: words of one byte say what happened, and if the input closes
    without a `FINISH`, the worker ends at once. So a worker never outlives its gateway.
    """

    def __init__(self, state_dir: Path, endpoint: str, region: str) -> None:
        self._command = [sys.executable, "-m", "local_aws.firehose.delivery"]
        self._command += ["--state-dir", str(state_dir), "--endpoint", endpoint]
        self._environment = os.environ | env(endpoint, region) | WITHOUT_CHECKSUMS
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def started(self) -> bool:
        """Whether there is to be a worker."""
        return self._keeper is not None

    def start(self) -> None:
        """Start the worker and keep it running."""
        self._keeper = asyncio.create_task(self._keep())

    def notify(self, word: bytes) -> None:
        """Notify the worker that a journal grew (`WAKE`), or that streams came or went (`NEW_STREAM`)."""
        pipe = self._process.stdin if self._process else None
        if pipe is not None and (word != WAKE or pipe.transport.get_write_buffer_size() == 0):
            with suppress(OSError):
                pipe.write(word)

    async def stop(self, timeout_seconds: float) -> None:
        """Let the worker finish its current flush, and kill it if that takes longer than the time-out."""
        if self._keeper is not None:
            self._keeper.cancel()
        process = self._process
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.write(FINISH)
        try:
            await asyncio.wait_for(process.wait(), timeout_seconds)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _keep(self) -> None:
        pause_seconds = 0.1
        while True:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.PIPE, env=self._environment
            )
            started = asyncio.get_running_loop().time()
            code = await self._process.wait()
            lasted_seconds = asyncio.get_running_loop().time() - started
            pause_seconds = 0.1 if lasted_seconds > 10 else min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
            log.warning("the delivery worker ended with code %s; it starts again", code)
            await asyncio.sleep(pause_seconds)
