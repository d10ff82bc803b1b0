"""Looking for expired items goes on, whatever one look comes to."""

from __future__ import annotations

import asyncio

import pytest

from local_aws.kinesis import time_to_live
from local_aws.kinesis.time_to_live import TimeToLive


def test_it_looks_again_after_a_failure_and_not_after_its_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    def look() -> None:
        looks.append(len(looks))
        if len(looks) == 1:
            raise RuntimeError("once")

    async def run() -> int:
        service = TimeToLive()
        service.start()
        while len(looks) < 3:
            await asyncio.sleep(0.001)
        await service.stop()
        return len(looks)

    monkeypatch.setattr(time_to_live, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(time_to_live.dynamodb_changes, "expire_items", look)
    assert asyncio.run(run()) == len(looks)
