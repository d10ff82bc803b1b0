"""Time to Live: expired items of DynamoDB tables are removed while the local AWS runs."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress

from local_aws.seams import dynamodb_changes

LOOK_SECONDS = 1.0
# Looking reads every item of a table, in the event loop.
SHARE_OF_TIME = 0.05

log = logging.getLogger(__name__)


class TimeToLive:
    """Removes expired items, about a second after they expire; AWS takes up to some days."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look for expired items."""
        self._task = asyncio.create_task(self._keep_looking())

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _keep_looking(self) -> None:
        while True:
            began = time.perf_counter()
            try:
                dynamodb_changes.expire_items()
            except Exception:
                log.exception("removing expired items failed")
            took_seconds = time.perf_counter() - began
            await asyncio.sleep(max(LOOK_SECONDS, took_seconds / SHARE_OF_TIME))
