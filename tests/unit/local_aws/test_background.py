"""Work in the background goes on whatever one run of it ends with, and leaves time for the rest."""

from __future__ import annotations

import asyncio
import time

import pytest

from local_aws.background import Repeated


def test_it_goes_on_after_a_failure_and_not_after_its_stop(caplog: pytest.LogCaptureFixture) -> None:
    runs: list[int] = []

    async def work() -> None:
        runs.append(len(runs))
        if len(runs) == 1:
            raise RuntimeError("once")

    async def run() -> int:
        repeated = Repeated("counting", work, 0.001)
        await repeated.start()
        while len(runs) < 3:
            await asyncio.sleep(0.001)
        await repeated.stop()
        return len(runs)

    assert asyncio.run(run()) == len(runs)
    assert "counting failed" in caplog.text


def test_it_takes_no_more_than_its_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 2.0, 10.0, 10.1])
    pauses: list[float] = []

    async def work() -> None:
        pass

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            raise asyncio.CancelledError

    async def run() -> None:
        monkeypatch.setattr(asyncio, "sleep", sleep)
        monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
        await Repeated("looking", work, 1.0, share=0.25)._repeat()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())
    assert pauses == pytest.approx([6.0, 1.0])
