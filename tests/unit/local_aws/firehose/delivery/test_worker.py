"""When the delivery worker asks for the settings of its streams, and whom it wakes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from local_aws.firehose.delivery import worker
from local_aws.firehose.delivery.worker import DeliveryWorker
from local_aws.firehose.stream import FINISH, NEW_STREAM, WAKE


class Clients:
    """How often it was asked for the settings of a stream, after being away at first."""

    def __init__(self, away: int = 0) -> None:
        self.asked, self._away = 0, away

    def describe(self, name: str) -> Any:
        if name != "direct":
            return SimpleNamespace(folder_name=f"{name}@1", source_arn="arn")
        self.asked += 1
        if self.asked <= self._away:
            raise EndpointConnectionError(endpoint_url="x")
        return SimpleNamespace(folder_name=f"{name}@1", source_arn=None)


class Delivery:
    """Counts how often it was woken."""

    def __init__(self, config: Any) -> None:
        self.config, self.woken = config, 0

    def wake(self) -> None:
        self.woken += 1

    def is_alive(self) -> bool:
        return True

    def stop(self) -> None:
        pass

    join = stop


class Running:
    """A worker in a thread, and the gateway's end of its line."""

    def __init__(self, root: Path, clients: Clients) -> None:
        self.clients, self.deliveries = clients, dict[str, Delivery]()
        delivers = DeliveryWorker(root, clients)  # type: ignore[arg-type]
        for name in ("direct", "kinesis"):
            folder = root / f"{name}@1"
            folder.mkdir()
            self.deliveries[name] = Delivery(
                SimpleNamespace(folder_name=f"{name}@1", source_arn=None if name == "direct" else "arn")
            )
            delivers._deliveries[folder] = self.deliveries[name]  # type: ignore[assignment]
        self._line, self._ours = os.pipe()
        self._thread = threading.Thread(target=delivers.run, args=(self._line,))
        self._thread.start()

    def say(self, word: bytes, until: Callable[[], bool]) -> None:
        os.write(self._ours, word)
        self.wait(until)

    def wait(self, until: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not until():
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def end(self) -> None:
        os.write(self._ours, FINISH)
        self._thread.join()
        os.close(self._line)
        os.close(self._ours)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "AGAIN_SECONDS", 0.01)


def test_settings_are_asked_for_when_the_gateway_says_so_and_else_rarely(tmp_path: Path) -> None:
    running = Running(tmp_path, Clients())
    direct = running.deliveries["direct"]
    try:
        running.wait(lambda: direct.woken > 5)
        assert running.clients.asked == 1
        running.say(WAKE, lambda: direct.woken > 10)
        assert running.clients.asked == 1
        running.say(NEW_STREAM, lambda: running.clients.asked > 1)
        running.wait(lambda: direct.woken > 20)
        assert running.clients.asked == 2
        assert running.deliveries["kinesis"].woken == 0
    finally:
        running.end()


def test_settings_that_could_not_be_had_are_asked_for_again(tmp_path: Path) -> None:
    running = Running(tmp_path, Clients(away=3))
    direct = running.deliveries["direct"]
    try:
        running.wait(lambda: running.clients.asked == 4)
        before = direct.woken
        running.wait(lambda: direct.woken > before + 5)
        assert running.clients.asked == 4
    finally:
        running.end()
