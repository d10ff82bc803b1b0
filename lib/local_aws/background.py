"""Work that the gateway repeats for as long as it runs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from local_aws.wire import Request

log = logging.getLogger(__name__)


class Repeated:
    """Repeats some work in the event loop, whether it succeeds or fails (a `Service` that claims nothing).

    Args:
        name: What the work is, for the log.
        work: Does it once.
        pause_seconds: How long to wait after each time.
        share: The largest share of the time that the work may take; the pause becomes longer where it must.
    """

    def __init__(
        self, name: str, work: Callable[[], Awaitable[None]], pause_seconds: float, share: float = 1.0
    ) -> None:
        self._name, self._work = name, work
        self._pause_seconds, self._share = pause_seconds, share
        self._task: asyncio.Task[None] | None = None

    def claims(self, method: str, path: str, target: str) -> bool:
        """Whether a request is for it: never."""
        return False

    async def handle(self, request: Request) -> None:
        """No request reaches it."""

    async def start(self) -> None:
        """Start to repeat the work."""
        self._task = asyncio.create_task(self._repeat())

    async def stop(self) -> None:
        """Stop, also in the middle of the work."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _repeat(self) -> None:
        while True:
            started = time.perf_counter()
            try:
                await self._work()
            except Exception:
                log.exception("%s failed", self._name)
            took_seconds = time.perf_counter() - started
            await asyncio.sleep(max(self._pause_seconds, took_seconds * (1 / self._share - 1)))
