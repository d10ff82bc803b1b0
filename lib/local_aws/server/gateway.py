"""The one ASGI application: it answers what ministack lacks and passes everything else through.

The order of the services in `create_app` is the order of asking. A service claims a request by its method,
path and `X-Amz-Target`, before the body is read; what no service claims reaches ministack unchanged, streams
included.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape

import orjson

from local_aws.athena import Athena
from local_aws.background import Repeated
from local_aws.cloudwatch import report_queues
from local_aws.environment import HEALTH_PATH
from local_aws.events import EventSources
from local_aws.faults import Faults
from local_aws.firehose.api import Firehose
from local_aws.kinesis import Kinesis
from local_aws.s3tables import AROUND_TABLES, GlueCatalogs, IcebergRest, IcebergTables, S3Tables
from local_aws.s3tables.maintenance import Maintenance
from local_aws.seams import (
    cloudformation,
    cloudwatch,
    dynamodb,
    dynamodb_changes,
    dynamodb_exports,
    functions,
    persistence,
)
from local_aws.server.guard import Guard
from local_aws.server.visitors import refusal, without_sharing
from local_aws.wire import (
    AwsError,
    Request,
    Response,
    Service,
    json_response,
    request_from_scope,
    signature,
    succeeded,
)

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger(__name__)

MOST_BYTES = {"PUT": 2**29, "POST": 2**27}
"""Of a body: 512 MiB of an object or a part of one, 128 MiB of all else. It is all held in memory."""
SIGNED_FOR = re.compile(rb"Credential=[^/]*/[^/]*/[^/]*/([a-z0-9-]+)/")
SPEAK_XML = {b"s3", b"sts", b"cloudformation", b"iam", b"sns", b"sqs", b"monitoring"}

_ICEBERG_BUCKET = re.compile(r"/(?!iceberg/v1/)(iceberg[a-z0-9.-]*)(/.*)?$", re.DOTALL)


class Ministack:
    """ministack's ASGI application, called in process (an `Upstream`)."""

    def __init__(self, app: App, region: str) -> None:
        self.app = app
        self._region = region

    async def __call__(self, request: Request) -> Response:
        """Hand one request to ministack and wait for the whole answer."""
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "http",
            "method": request.method,
            "path": request.path,
            "raw_path": (request.raw_path or request.path).encode("latin-1"),
            "query_string": urlencode(request.query).encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in request.headers.items()],
            "client": ("127.0.0.1", 0),
        }
        messages: list[Mapping[str, Any]] = []

        async def send(message: Mapping[str, Any]) -> None:
            messages.append(message)

        await self.app(scope, replay(request.body), send)
        head = next(m for m in messages if m["type"] == "http.response.start")
        body = b"".join(m.get("body", b"") for m in messages if m["type"] == "http.response.body")
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in head["headers"]}
        return Response(head["status"], body, headers)

    async def operation(self, target: str, payload: Mapping[str, Any]) -> Any:
        """Call an operation of a JSON service."""
        service = target.partition("_")[0].lower()
        headers = {
            "x-amz-target": target,
            "content-type": "application/x-amz-json-1.1",
            "authorization": signature(service, self._region),
        }
        return succeeded(await self(Request("POST", "/", headers=headers, body=orjson.dumps(payload))))


def by_host(app: App) -> App:
    """Let S3 buckets have names that start with `iceberg`.

    ministack takes such a path for its REST catalog, so they are addressed by host name, as S3 also allows.
    """

    async def addressed(scope: Scope, receive: Receive, send: Send) -> None:
        match = _ICEBERG_BUCKET.match(scope.get("path", ""))
        if match and scope["type"] == "http":
            bucket, path = match.groups()
            raw = scope.get("raw_path") or scope["path"].encode()
            host = (b"host", f"{bucket}.s3.localhost".encode())
            headers = [host, *((name, value) for name, value in scope["headers"] if name.lower() != b"host")]
            bare = {"path": path or "/", "raw_path": raw[len(bucket) + 1 :] or b"/", "headers": headers}
            scope = {**scope, **bare}
        await app(scope, receive, send)

    return addressed


def replay(body: bytes) -> Receive:
    """An ASGI `receive` that hands out a body already read, then a disconnect."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


class Gateway:
    """The ASGI application of the local AWS."""

    def __init__(
        self,
        ministack: Ministack,
        services: Sequence[Service],
        about: Mapping[str, Any],
        on_started: Callable[[], None],
        on_saved: Callable[[], None],
    ) -> None:
        self._ministack = ministack
        self._services = services
        self._about = about
        self._on_started, self._on_saved = on_started, on_saved
        self._stopping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        refused = refusal(scope["headers"])
        if scope["type"] == "http":
            await (
                send_response(send, in_shape(refused, scope)) if refused else self._http(scope, receive, send)
            )
        elif refused:
            await send({"type": f"{scope['type']}.close", "code": 1008})
        else:
            await self._ministack.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent = Sent(send)
        try:
            await self._answer(scope, bounded(scope, receive), sent)
        except Exception as error:
            if not isinstance(error, AwsError):
                log.exception("%s %s failed", scope["method"], scope["path"])
                error = internal_failure(error)
            if not sent.started:
                await send_response(send, in_shape(error, scope))

    async def _answer(self, scope: Scope, receive: Receive, send: Sent) -> None:
        target = next((v for k, v in scope["headers"] if k.lower() == b"x-amz-target"), b"").decode("latin-1")
        method, path = scope["method"], scope["path"]
        if path == HEALTH_PATH:
            await send_response(send, self._health())
            return
        service = next((s for s in self._services if s.claims(method, path, target)), None)
        if service is None:
            await self._ministack.app(scope, receive, send.unshared)
            return
        body = await read_body(receive)
        response = await answer(service, request_from_scope(scope, body))
        if response is None:
            await self._ministack.app(scope, replay(body), send.unshared)
        else:
            await send_response(send, response)

    def _health(self) -> Response:
        names = [type(service).__name__ for service in self._services]
        state = {"services": names, "stopping": self._stopping, "memory_bytes": memory_bytes()}
        return json_response(dict(self._about) | state)

    async def _start_services(self) -> Mapping[str, Any]:
        try:
            for service in self._services:
                await service.start()
        except Exception as error:
            log.exception("The services did not start")
            return {"type": "lifespan.startup.failed", "message": str(error)}
        self._on_started()
        return {"type": "lifespan.startup.complete"}

    async def stop_services(self) -> None:
        """Stop the services while requests are still answered: their unfinished work may need that."""
        self._stopping = True
        for service in reversed(self._services):
            try:
                await service.stop()
            except Exception:
                # The others must still stop, and the state must be saved.
                log.exception("%s did not stop cleanly", type(service).__name__)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def services_start_last(message: Mapping[str, Any]) -> None:
            if message["type"] == "lifespan.startup.complete":
                message = await self._start_services()
            if message["type"] == "lifespan.shutdown.complete":
                self._on_saved()
            await send(message)

        await self._ministack.app(scope, receive, services_start_last)


class Sent:
    """What is sent for one request.

    Attributes:
        started: Whether the answer has started.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def __call__(self, message: Mapping[str, Any]) -> None:
        """Send a message."""
        self.started = True
        await self._send(message)

    async def unshared(self, message: Mapping[str, Any]) -> None:
        """Send a message, without what lets pages of other sites read the answer."""
        if message["type"] == "http.response.start":
            message = {**message, "headers": without_sharing(message.get("headers", ()))}
        await self(message)


def bounded(scope: Scope, receive: Receive) -> Receive:
    """A `receive` that refuses bodies that are larger than any request of AWS needs, before they are read."""
    most = MOST_BYTES.get(scope["method"], MOST_BYTES["POST"])
    length = next((value for name, value in scope["headers"] if name.lower() == b"content-length"), b"0")
    taken = 0

    async def taken_in() -> dict[str, Any]:
        nonlocal taken
        message = await receive() if int(length) <= most else {}
        taken += len(message.get("body", b""))
        if int(length) > most or taken > most:
            hint = "Send it in parts, as S3's multipart upload does."
            raise AwsError("EntityTooLarge", f"The body has more than {most} bytes. Hint: {hint}", 413)
        return message

    return taken_in


def in_shape(error: AwsError, scope: Scope) -> Response:
    """An error as the client of the service reads it: as XML if that is the protocol of the service."""
    headers = {name.lower(): value for name, value in scope["headers"]}
    signed_for = SIGNED_FOR.search(headers.get(b"authorization", b""))
    if b"x-amz-target" in headers or not signed_for or signed_for[1] not in SPEAK_XML:
        return error.response()
    text = f"<Code>{error.code}</Code><Message>{escape(error.message)}</Message>"
    body = f"<ErrorResponse><Error>{text}</Error></ErrorResponse>".encode()
    return Response(error.status, body, {"content-type": "application/xml"})


def internal_failure(error: Exception) -> AwsError:
    """What a bug is answered with."""
    return AwsError("InternalFailure", f"{type(error).__name__}: {error}", 500)


def memory_bytes() -> int:
    """Resident memory of this process and all that it started."""
    import psutil

    here = psutil.Process()
    total = 0
    for process in (here, *here.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total


async def answer(service: Service, request: Request) -> Response | None:
    """A service's answer, with its errors in AWS's shape."""
    try:
        return await service.handle(request)
    except AwsError as error:
        return error.response()
    except Exception as error:
        log.exception("%s %s %s failed", request.method, request.path, request.target)
        return internal_failure(error).response()


async def read_body(receive: Receive) -> bytes:
    """The whole body of an ASGI request."""
    chunks = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(chunks)


async def send_response(send: Send, response: Response) -> None:
    """Send a response over ASGI."""
    headers = {"content-length": str(len(response.body))} | dict(response.headers)
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": response.status, "headers": pairs})
    await send({"type": "http.response.body", "body": response.body})


def create_app(
    state_dir: Path, about: Mapping[str, Any], on_started: Callable[[], None], on_saved: Callable[[], None]
) -> Gateway:
    """The gateway with all its services; ministack's environment must be set before (see `serve`)."""
    region, endpoint = os.environ["AWS_REGION"], os.environ["AWS_ENDPOINT_URL"]
    ministack = Ministack(by_host(persistence.application()), region)
    persistence.write_state_files_quickly()
    persistence.inflate_no_more_than(MOST_BYTES["POST"])
    dynamodb.share_equal_values()
    dynamodb_exports.write_exports()
    functions.count_the_files_of_packages()
    faults, tables = Faults(ministack), IcebergTables(ministack)
    services: list[Service] = [
        IcebergRest(tables, region, endpoint),
        Maintenance(ministack, tables, state_dir, endpoint),
        S3Tables(tables),
        cloudformation.CloudFormationGaps(AROUND_TABLES),
        GlueCatalogs(ministack, state_dir, region),
        Firehose(ministack, state_dir, endpoint),
        Kinesis(ministack),
        EventSources(faults, region),
        # Looking for expired items reads every item of a table, in the event loop.
        Repeated("removing expired items", dynamodb_changes.expire_items, 1.0, share=0.05),
        Repeated("reporting the queues", partial(report_queues, ministack, region), 10.0),
        Repeated("evaluating the alarms", cloudwatch.put_off_alarms(), 10.0),
        Athena(ministack, tables, state_dir, endpoint),
    ]
    services = faults.before(services)
    if about.get("enforces_iam"):
        services = Guard().before(services)
    return Gateway(ministack, services, about, on_started, on_saved)
