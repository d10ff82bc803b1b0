"""Private parts of ministack that are read or replaced, for want of a public way.

Each function closes one gap and says which. `tests/unit/local_aws/test_ministack_gaps.py` holds ministack
to what is relied on here, and fails when the pinned version changes.
"""

from __future__ import annotations

import fcntl
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any
from urllib.parse import unquote

import orjson

from local_aws.wire import Response

ACCOUNT = "000000000000"
PIPE_BYTES = 2**20
SHARED_VALUES = 20_000
_SHARED_KINDS = ("S", "N")
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


def share_equal_values() -> None:
    """Let the items of tables share what is equal in them, which takes half the memory.

    An attribute such as `{"S": "APPROVED"}` is a mapping of its own in every item of ministack, five times
    its text. Texts and numbers are never changed in place: an update replaces them.
    """
    from ministack.services import dynamodb

    set_item = dynamodb._set_item
    shared: dict[tuple[str, Any], Mapping[str, Any]] = {}

    def set_shared(table: Any, partition: Any, sort: Any, item: dict[str, Any]) -> Any:
        for name, value in item.items():
            ((kind, content),) = value.items()
            if kind in _SHARED_KINDS:
                item[name] = shared.setdefault((kind, content), value)
        if len(shared) > SHARED_VALUES:
            shared.clear()
        return set_item(table, partition, sort, item)

    dynamodb._set_item = set_shared


def write_state_files_quickly() -> None:
    """Write ministack's state with orjson, where that writes the same; a stop would take half a minute."""
    from ministack.core import persistence

    options = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS

    def dump(state: Any, file: IO[str], default: Callable[[Any], Any]) -> None:
        try:
            text = orjson.dumps(state, default=default, option=options).decode()
        except TypeError:
            json.dump(state, file, default=default)
        else:
            file.write(text)

    persistence.json = SimpleNamespace(dump=dump, load=json.load, JSONDecodeError=json.JSONDecodeError)


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
    """An event that needs not be read; one that is no line of ASCII is read all the same."""
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
    the event was not read, so that whoever waits takes bytes.
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


def object_file(bucket: str, key: str) -> Path:
    """The file in which ministack keeps an object; S3 itself reads the whole object for every range of it."""
    from ministack.services import s3

    return Path(s3._object_disk_path(bucket, key, ACCOUNT))


def objects_folder() -> Path:
    """The folder in which ministack keeps every bucket."""
    from ministack.services import s3

    return Path(s3.DATA_DIR).resolve() / ACCOUNT


@dataclass(frozen=True)
class QueueDepth:
    """What is in an SQS queue.

    Attributes:
        name: The queue.
        visible: Messages that can be received.
        in_flight: Messages that were received and not deleted.
        delayed: Messages that nobody could receive yet.
        oldest_seconds: Age of the oldest message that is not deleted; 0 where there is none.
    """

    name: str
    visible: int
    in_flight: int
    delayed: int
    oldest_seconds: float


def queue_depths(region: str) -> list[QueueDepth]:
    """The depth of every queue of a Region; the age of its messages has no public way."""
    from ministack.services import sqs

    now = time.time()
    depths = []
    for (_, queue_region, _), queue in sqs._queues.all_items():
        if queue_region != region:
            continue
        messages = list(queue["messages"])
        hidden = [message for message in messages if message["visible_at"] > now]
        in_flight = sum(message["receive_count"] > 0 for message in hidden)
        depths.append(
            QueueDepth(
                name=queue["name"],
                visible=len(messages) - len(hidden),
                in_flight=in_flight,
                delayed=len(hidden) - in_flight,
                oldest_seconds=max((now - message["sent_at"] for message in messages), default=0.0),
            )
        )
    return depths
