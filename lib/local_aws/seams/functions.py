"""Private parts of ministack's Lambda that are read or replaced, because there is no public way."""

from __future__ import annotations

import fcntl
import io
import json
import re
import threading
import time
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import orjson

from local_aws.wire import Response

BLOCK_BYTES = 4096
PIPE_BYTES = 2**20
IDLE_KEPT, IDLE_SECONDS = 6, 10
_INVOKE = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")
_RETURNED = '{"status": "ok", "result": '


def leave_event_sources(ours: Callable[[Mapping[str, Any]], bool]) -> None:
    """Keep ministack's pollers from the event source mappings that are served here.

    Args:
        ours: Whether a mapping, in ministack's own form, is served here.
    """
    from ministack.services import lambda_svc

    every_mapping = lambda_svc._iter_all_esms

    def not_ours() -> Any:
        return (entry for entry in every_mapping() if not ours(entry[2]))

    lambda_svc._iter_all_esms = not_ours


def mappings_as_text() -> str:
    """Every event source mapping as it is: another text after any change."""
    from ministack.services import lambda_svc

    return repr(lambda_svc._esms.all_items())


async def invoke_function(function_arn: str, event: bytes) -> Response:
    """Invoke a function with an event that is JSON already, as the public Invoke does otherwise.

    Invoke would read the event and write it again for the function's process.
    """
    from ministack.services import lambda_svc

    name, qualifier = lambda_svc._resolve_name_and_qualifier(function_arn)
    payload = as_it_is(event)
    status, headers, body = await lambda_svc._invoke(name, payload, {}, qualifier)
    return Response(status, body if isinstance(body, bytes) else body.encode(), headers)


def as_it_is(event: bytes) -> Any:
    """An event that is passed on unread, if it is one line of ASCII."""
    return orjson.Fragment(event) if event.isascii() and b"\n" not in event else orjson.loads(event)


def invoke_with_events_as_they_are() -> None:
    """Let the public Invoke of a Python function hand on its payload as `invoke_function` does."""
    from ministack.services import lambda_svc

    theirs = lambda_svc.handle_request

    def takes_it(name: str) -> bool:
        config = lambda_svc._functions[name]["config"] if name in lambda_svc._functions else {}
        durable = (config.get("DurableConfig") or {}).get("Enabled")
        return str(config.get("Runtime")).startswith("python") and not durable

    async def handle_request(
        method: str, path: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]
    ) -> Any:
        match = _INVOKE.fullmatch(path)
        waits = headers.get("x-amz-invocation-type", "RequestResponse") == "RequestResponse"
        if method == "POST" and match and waits and is_json(body):
            name, qualifier = lambda_svc._resolve_request_scoped_name_and_qualifier(unquote(match[1]))
            if takes_it(name):
                lambda_svc._request_access_key.set(lambda_svc.extract_access_key_id(headers, query))
                return await lambda_svc._invoke(name, as_it_is(body), headers, qualifier, query)
        return await theirs(method, path, headers, body, query)

    lambda_svc.handle_request = handle_request


def is_json(body: bytes) -> bool:
    """Whether a body is JSON."""
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True


def hand_on_events_as_they_are() -> None:
    """Let a function's process be sent the events of `invoke_function`, and hand on what it returns unread.

    ministack writes an event and reads the answer to it in one thread; `unread` remembers in between that
    the event was not read, so that the waiting caller gets bytes.
    """
    from ministack.core import lambda_runtime

    unread = threading.local()

    def dumps(value: Any, **options: Any) -> str:
        unread.event = isinstance(value, dict) and isinstance(value.get("event"), orjson.Fragment)
        return orjson.dumps(value).decode() if unread.event else json.dumps(value, **options)

    def loads(text: str | bytes) -> Any:
        if getattr(unread, "event", False) and isinstance(text, str) and text.startswith(_RETURNED):
            return {"status": "ok", "result": text[len(_RETURNED) : -1].encode()}
        return json.loads(text)

    lambda_runtime.json = SimpleNamespace(dumps=dumps, loads=loads, JSONDecodeError=json.JSONDecodeError)


def count_the_files_of_packages() -> None:
    """Let each file of a package count for a block of the disk, so that a package has at most 64,000."""
    from ministack.services import lambda_svc

    def unzipped_size(zip_data: bytes | None) -> int:
        try:
            with zipfile.ZipFile(io.BytesIO(zip_data or b"")) as package:
                sizes = [file.file_size for file in package.infolist()]
        except (zipfile.BadZipFile, NotImplementedError):
            return 0
        return max(sum(sizes), len(sizes) * BLOCK_BYTES)

    lambda_svc._unzipped_size = unzipped_size


def widen_the_pipes_of_functions() -> None:
    """Read the answer of a function in a few large pieces, not in pieces of 8 KiB.

    Each piece has to wait for the interpreter, which the event loop holds.
    """
    from ministack.core import lambda_runtime

    spawn = lambda_runtime.Worker._spawn

    def spawn_wide(worker: Any) -> None:
        spawn(worker)
        worker._proc.stdout._CHUNK_SIZE = PIPE_BYTES
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            for pipe in (worker._proc.stdin, worker._proc.stdout):
                with suppress(OSError):
                    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    lambda_runtime.Worker._spawn = spawn_wide


def end_idle_functions() -> None:
    """End the processes of functions that have been idle for longest, where many are idle, as AWS does.

    Each has 50 MiB, and ministack keeps one of every function for ever: a GiB in a room of twenty people.
    """
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc

    release = lambda_svc.release_worker

    def release_worker(worker: Any) -> None:
        release(worker)
        now = time.time()
        if worker is not None:  # ministack has dropped one that failed
            worker.last_used = now
        with lambda_runtime._lock:
            pools = lambda_runtime._workers.values()
            idle = [(each.last_used, pool, each) for pool in pools for each in pool if not each.in_use]
            idle.sort(key=lambda found: found[0])
            ended = [
                (pool, each) for last_used, pool, each in idle[:-IDLE_KEPT] if last_used < now - IDLE_SECONDS
            ]
            for pool, each in ended:
                pool.remove(each)
        lambda_runtime.kill_workers([each for _, each in ended])

    lambda_svc.release_worker = release_worker


class MappingPosition:
    """How far an event source mapping has come, where ministack keeps and saves it.

    ministack sets it when the mapping is created, to the stream's end or beginning.

    Args:
        uuid: The mapping.
        account: Its account.
        region: Its Region.
    """

    def __init__(self, uuid: str, account: str, region: str) -> None:
        self._key = (account, region, uuid)

    def get(self) -> int | None:
        """The position, None where there is none."""
        from ministack.services import lambda_svc

        position: int | None = lambda_svc._dynamodb_stream_positions.get_scoped(*self._key)
        return position

    def set(self, position: int) -> None:
        """Keep a position."""
        from ministack.services import lambda_svc

        lambda_svc._dynamodb_stream_positions.set_scoped(*self._key, position)
