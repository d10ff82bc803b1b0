"""What `seams.functions` relies on in ministack's Lambda."""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from local_aws.seams import functions as functions_seam
from local_aws.seams.functions import MappingPosition

ACCOUNT, REGION = "000000000000", "us-east-1"


@pytest.mark.parametrize("poller", ["_poll_sqs", "_poll_dynamodb_streams"])
def test_the_pollers_ask_for_the_mappings_where_ours_are_left_out(poller: str) -> None:
    assert "_iter_all_esms" in getattr(lambda_svc, poller).__code__.co_names


def test_our_mappings_are_left_out_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def every_mapping() -> Iterator[tuple[str, str, dict[str, str]]]:
        yield ACCOUNT, REGION, {"UUID": "ours"}
        yield ACCOUNT, REGION, {"UUID": "theirs"}

    monkeypatch.setattr(lambda_svc, "_iter_all_esms", every_mapping)
    functions_seam.leave_event_sources(lambda mapping: mapping["UUID"] == "ours")
    assert [mapping["UUID"] for _, _, mapping in lambda_svc._iter_all_esms()] == ["theirs"]


@pytest.mark.parametrize("event", [{"Records": [{"n": 1}]}, {"Records": [{"name": "Zoë"}]}])
def test_an_event_reaches_the_function_as_it_is(
    monkeypatch: pytest.MonkeyPatch, event: dict[str, Any]
) -> None:
    functions_seam.hand_on_events_as_they_are()
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:forward:live"
    invoked: list[tuple[str, str]] = []

    async def invoke(name: str, event: Any, headers: Any, path_qualifier: str) -> tuple[int, Any, bytes]:
        invoked.append((name, path_qualifier))
        return 200, {}, lambda_runtime.json.dumps({"event": event, "ctx": {}}).encode()

    assert list(inspect.signature(lambda_svc._invoke).parameters)[:4] == list(
        inspect.signature(invoke).parameters
    )
    monkeypatch.setattr(lambda_svc, "_invoke", invoke)
    response = asyncio.run(functions_seam.invoke_function(arn, orjson.dumps(event)))
    assert invoked == [("forward", "live")]
    assert response.json() == {"event": event, "ctx": {}}
    assert response.body.isascii()


def test_what_a_function_returns_is_not_read_where_its_event_was_not() -> None:
    functions_seam.hand_on_events_as_they_are()
    answer = json.dumps({"status": "ok", "result": {"records": [{"name": "Zoë"}]}})
    runtime = lambda_runtime.json
    runtime.dumps({"event": {"n": 1}})
    assert runtime.loads(answer)["result"] == {"records": [{"name": "Zoë"}]}
    runtime.dumps({"event": orjson.Fragment(b"{}")})
    assert json.loads(runtime.loads(answer)["result"]) == {"records": [{"name": "Zoë"}]}
    failed = {"status": "error", "error": "no"}
    assert runtime.loads(json.dumps(failed)) == failed


@pytest.mark.parametrize(
    ("body", "runtime", "invocation_type", "unread"),
    [
        (b'{"n":1}', "python3.12", "RequestResponse", True),
        (b'{"name":"Zo\xc3\xab"}', "python3.12", "RequestResponse", False),
        (b'{\n"n":1}', "python3.12", "RequestResponse", False),
        (b"no json", "python3.12", "RequestResponse", False),
        (b'{"n":1}', "java21", "RequestResponse", False),
        (b'{"n":1}', "python3.12", "Event", False),
    ],
)
def test_invoke_leaves_the_payload_of_a_python_function_unread(
    monkeypatch: pytest.MonkeyPatch, body: bytes, runtime: str, invocation_type: str, unread: bool
) -> None:
    events: list[Any] = []

    async def invoke(name: str, event: Any, *rest: Any) -> tuple[int, Any, bytes]:
        events.append((name, event))
        return 200, {}, b"{}"

    monkeypatch.setattr(lambda_svc, "_invoke", invoke)
    monkeypatch.setitem(lambda_svc._functions._data, (ACCOUNT, REGION, "f"), {"config": {"Runtime": runtime}})
    functions_seam.invoke_with_events_as_they_are()
    headers = {"x-amz-invocation-type": invocation_type}
    asyncio.run(lambda_svc.handle_request("POST", "/2015-03-31/functions/f/invocations", headers, body, {}))
    [(name, event)] = events
    assert (name, isinstance(event, orjson.Fragment)) == ("f", unread)


def test_the_pipes_of_a_function_are_read_in_large_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    def spawn(worker: Any) -> None:
        command = [sys.executable, "-c", "print('x' * 300_000)"]
        worker._proc = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    monkeypatch.setattr(lambda_runtime.Worker, "_spawn", spawn)
    functions_seam.widen_the_pipes_of_functions()
    worker = SimpleNamespace()
    lambda_runtime.Worker._spawn(worker)
    assert len(worker._proc.communicate()[0]) == 300_001


def test_a_position_is_kept_where_ministack_saves_it() -> None:
    position = MappingPosition("a-mapping", ACCOUNT, REGION)
    assert position.get() is None
    position.set(12)
    assert lambda_svc.get_state()["dynamodb_stream_positions"].get_scoped(ACCOUNT, REGION, "a-mapping") == 12
    lambda_svc._dynamodb_stream_positions.pop_scoped(ACCOUNT, REGION, "a-mapping")


@pytest.mark.parametrize(
    ("files", "refused"),
    [
        ({"index.py": 1, "large": 200 * 2**20}, False),
        ({"index.py": 1, "large": 251 * 2**20}, True),
        ({f"{number}.py": 0 for number in range(60_000)}, False),
        ({f"{number}.py": 0 for number in range(70_000)}, True),
    ],
)
def test_a_package_is_as_large_as_lambda_allows_and_has_no_endless_number_of_files(
    monkeypatch: pytest.MonkeyPatch, files: dict[str, int], refused: bool
) -> None:
    class Package:
        def __init__(self, file: object) -> None:
            self.files = [SimpleNamespace(filename=name, file_size=size) for name, size in files.items()]

        def infolist(self) -> list[Any]:
            return self.files

        def __enter__(self) -> Package:
            return self

        def __exit__(self, *_: object) -> None:
            """Nothing was opened."""

    monkeypatch.setattr(lambda_svc, "_unzipped_size", lambda_svc._unzipped_size)
    functions_seam.count_the_files_of_packages()
    monkeypatch.setattr(zipfile, "ZipFile", Package)
    answer = lambda_svc._validate_total_unzipped_size(b"a package", [])
    assert (answer is not None and answer[0] == 400) == refused


def test_what_is_no_package_has_no_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lambda_svc, "_unzipped_size", lambda_svc._unzipped_size)
    functions_seam.count_the_files_of_packages()
    assert [lambda_svc._unzipped_size(package) for package in (None, b"", b"PK\x05\x06")] == [0, 0, 0]


def test_the_longest_idle_functions_end_where_many_are_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    now, ended = time.time(), []

    def worker(name: str, idle_seconds: float, *, in_use: bool = False) -> Any:
        return SimpleNamespace(name=name, in_use=in_use, last_used=now - idle_seconds)

    old = [worker(f"old {n}", 1000 - n) for n in range(functions_seam.IDLE_KEPT + 2)]
    recent = [worker("recent", 1), worker("at work", 2000, in_use=True)]
    pools = {each.name: [each] for each in (*old, *recent)}
    monkeypatch.setattr(lambda_runtime, "_workers", pools)
    monkeypatch.setattr(lambda_runtime, "kill_workers", ended.extend)
    monkeypatch.setattr(lambda_svc, "release_worker", lambda_runtime.release_worker)
    functions_seam.end_idle_functions()
    lambda_svc.release_worker(recent[1])
    assert [each.name for each in ended] == ["old 0", "old 1", "old 2", "old 3"]
    assert not any(each in pool for each in ended for pool in pools.values())
    ended.clear()
    lambda_svc.release_worker(None)
    lambda_svc.release_worker(recent[0])
    assert ended == []
