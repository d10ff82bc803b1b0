"""The gateway with a ministack and services of our own making."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import orjson
import pytest

from local_aws.server import gateway as gateway_module
from local_aws.server.gateway import Gateway, Ministack, by_host, read_body, replay, send_response
from local_aws.wire import AwsError, Request, Response, json_response, signature


class Echo:
    """An ASGI application that answers with what it was asked, and notes its life."""

    def __init__(self) -> None:
        self.life: list[str] = []

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            self.life.append("ministack restored")
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.life.append("ministack saved")
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = (await receive())["body"]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        seen = {"path": scope["path"], "body": body.decode(), "host": headers.get("host")}
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"Content-Type", b"text/x"), (b"Access-Control-Allow-Origin", b"*")],
            }
        )
        await send({"type": "http.response.body", "body": orjson.dumps(seen)})


class Parrot:
    """A service that claims /parrot."""

    def __init__(self, life: list[str], *, fails: bool = False) -> None:
        self.life, self.fails = life, fails

    def claims(self, method: str, path: str, target: str) -> bool:
        return path.startswith("/parrot") or target == "Parrot.Speak"

    async def handle(self, request: Request) -> Response | None:
        answers: dict[str, Any] = {
            "/parrot/error": AwsError("Squawk", "No.", 418),
            "/parrot/bug": ValueError("moult"),
        }
        if request.path in answers:
            raise answers[request.path]
        return None if request.path == "/parrot/pass" else json_response({"said": request.body.decode()})

    async def start(self) -> None:
        if self.fails:
            msg = "no perch"
            raise RuntimeError(msg)
        self.life.append("parrot started")

    async def stop(self) -> None:
        self.life.append("parrot stopped")
        if self.fails:
            msg = "no rest"
            raise RuntimeError(msg)


def gateway(*services: Parrot, echo: Echo | None = None) -> Gateway:
    echo = echo or Echo()
    about = {"pid": 1, "restored": "empty"}
    life = echo.life
    return Gateway(
        Ministack(echo, "us-east-1"), services, about, lambda: life.append("up"), lambda: life.append("down")
    )


def ask(
    app: Any, path: str, body: bytes = b"", *, target: str = "", given: Mapping[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    sent = messages(app, path, body, {"x-amz-target": target} | dict(given or {"host": "127.0.0.1:4566"}))
    return sent[0]["status"], orjson.loads(sent[1]["body"])


def messages(
    app: Any, path: str, body: bytes, given: Mapping[str, str], kind: str = "http"
) -> list[Mapping[str, Any]]:
    """What the gateway sends to a request with such headers."""
    sent: list[Mapping[str, Any]] = []

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    headers = [(name.encode(), value.encode("latin-1")) for name, value in given.items()]
    scope = {"type": kind, "method": "POST", "path": path, "raw_path": path.encode(), "headers": headers}
    asyncio.run(app(scope, replay(body), send))
    return sent


@pytest.mark.parametrize("path", ["/elsewhere", "/parrot/pass"])
def test_what_no_service_answers_reaches_ministack_with_its_body(path: str) -> None:
    assert ask(gateway(Parrot([])), path, b"hello") == (
        200,
        {"path": path, "body": "hello", "host": "127.0.0.1:4566"},
    )


@pytest.mark.parametrize(("path", "target"), [("/parrot", ""), ("/", "Parrot.Speak")])
def test_a_service_answers_by_path_or_target(path: str, target: str) -> None:
    assert ask(gateway(Parrot([])), path, b"hello", target=target) == (200, {"said": "hello"})


def test_an_error_has_the_shape_of_aws() -> None:
    status, answer = ask(gateway(Parrot([])), "/parrot/error")
    assert (status, answer["__type"], answer["message"]) == (418, "Squawk", "No.")


def test_a_bug_is_an_internal_failure_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    status, answer = ask(gateway(Parrot([])), "/parrot/bug")
    assert (status, answer["__type"]) == (500, "InternalFailure")
    assert "POST /parrot/bug" in caplog.text


def test_health_tells_who_it_is() -> None:
    status, answer = ask(gateway(Parrot([])), "/_local_aws/health")
    assert (status, answer["pid"], answer["services"], answer["stopping"]) == (200, 1, ["Parrot"], False)
    assert answer["memory_bytes"] > 2**20


def live(app: Gateway) -> list[str]:
    """Start and stop an application as hypercorn does; the messages that it sent."""
    sent: list[str] = []

    async def run() -> None:
        up, down = asyncio.Event(), asyncio.Event()

        async def receive() -> dict[str, Any]:
            if not up.is_set():
                return {"type": "lifespan.startup"}
            await down.wait()
            return {"type": "lifespan.shutdown"}

        async def send(message: Mapping[str, Any]) -> None:
            sent.append(message["type"])
            up.set()

        lifespan = asyncio.create_task(app({"type": "lifespan"}, receive, send))
        await up.wait()
        await app.stop_services()
        down.set()
        await lifespan

    asyncio.run(run())
    return sent


def test_services_start_after_ministack_and_stop_before_it() -> None:
    echo = Echo()
    sent = live(gateway(Parrot(echo.life), echo=echo))
    assert echo.life == [
        "ministack restored",
        "parrot started",
        "up",
        "parrot stopped",
        "ministack saved",
        "down",
    ]
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_a_service_that_fails_neither_hides_nor_spreads() -> None:
    echo = Echo()
    sent = live(gateway(Parrot(echo.life), Parrot(echo.life, fails=True), echo=echo))
    assert sent[0] == "lifespan.startup.failed"
    assert "up" not in echo.life
    assert echo.life[-4:] == ["parrot stopped", "parrot stopped", "ministack saved", "down"]


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/iceberg-lake/a/b", ("/a/b", "iceberg-lake.s3.localhost")),
        ("/icebergs", ("/", "icebergs.s3.localhost")),
        ("/iceberg/v2", ("/v2", "iceberg.s3.localhost")),
        ("/iceberg-lake/v1/x", ("/v1/x", "iceberg-lake.s3.localhost")),
        ("/iceberg/v1/config", ("/iceberg/v1/config", "127.0.0.1:4566")),
        ("/other/iceberg-x", ("/other/iceberg-x", "127.0.0.1:4566")),
    ],
)
def test_buckets_called_iceberg_something_are_addressed_by_host(path: str, seen: tuple[str, str]) -> None:
    _, answer = ask(by_host(Echo()), path)
    assert (answer["path"], answer["host"]) == seen


HERE = {"host": "127.0.0.1:4566"}
PROGRAMS = [
    HERE,
    {"host": "localhost:4566"},
    {"host": "LOCALHOST"},
    {"host": "[::1]:4566"},
    {"host": "my.bucket-1.s3.localhost:4566"},
    {"user-agent": "a client of HTTP/1.0 names no host"},
    HERE | {"user-agent": "Boto3/1.40.0 md/Botocore#1.40.0 ua/2.1 os/linux lang/python#3.11"},
    HERE | {"user-agent": "aws-sdk-js/3.600.0 ua/2.0 os/linux lang/js md/nodejs#20"},
    HERE | {"user-agent": "node", "sec-fetch-mode": "cors"},
    HERE | {"user-agent": "PyIceberg/0.12", "x-note": "Mozilla/5.0"},
    HERE | {"user-agent": "duckdb/v1.5.5(linux_amd64)"},
]
BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120.0.0.0 Safari/537.36"}
PAGES = [
    {"host": "evil.example"},
    {"host": "evil.example:4566"},
    {"host": "127.0.0.1.evil.example"},
    {"host": "localhost.evil.example:4566"},
    {"host": "evillocalhost"},
    {"host": "localhost@evil.example"},
    {"host": "localhost:4566\n"},
    {"host": ""},
    {"host": "10.0.0.7:4566"},
    {"host": "0.0.0.0:4566"},
    {"host": "[::ffff:127.0.0.1]:4566"},
    HERE | {"origin": "https://evil.example"},
    HERE | {"origin": "null"},
    HERE | {"origin": ""},
    HERE | {"origin": "http://["},
    HERE | {"origin": "http://localhost:4566"},
    HERE | {"origin": "http://127.0.0.1:8888"},
    HERE | {"Origin": "https://EVIL.example"},
    HERE | {"sec-fetch-site": "cross-site"},
    HERE | {"sec-fetch-site": "same-site"},
    # A page that lies in a bucket.
    HERE | {"sec-fetch-site": "same-origin"},
    HERE | {"origin": "http://127.0.0.1:4566", "sec-fetch-site": "same-origin"},
    # An address bar that follows a redirect, a link in a mail.
    HERE | {"sec-fetch-site": "none", "sec-fetch-mode": "navigate", "sec-fetch-user": "?1"},
    HERE | {"sec-fetch-dest": "image"},
    # An image or a form of a page, in a browser that sends neither.
    HERE | BROWSER,
    HERE | {"User-Agent": "MOZILLA/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/15.6 Safari/605.1.15"},
    {"origin": "http://127.0.0.1:4566"},
]


@pytest.mark.parametrize("given", PROGRAMS)
def test_programs_of_this_machine_pass(given: dict[str, str]) -> None:
    assert ask(gateway(), "/elsewhere", given=given)[0] == 200


@pytest.mark.parametrize("path", ["/elsewhere", "/parrot", "/_local_aws/health"])
@pytest.mark.parametrize("given", PAGES)
def test_pages_of_other_sites_are_refused_at_every_path(given: dict[str, str], path: str) -> None:
    status, answer = ask(gateway(Parrot([])), path, b"hello", given=given)
    assert (status, answer["__type"]) == (403, "AccessDeniedException")
    assert "hello" not in str(answer)


@pytest.mark.parametrize("given", PAGES)
def test_nor_do_they_get_a_connection_of_another_kind(given: dict[str, str]) -> None:
    assert messages(gateway(), "/", b"", given, "websocket") == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize("path", ["/elsewhere", "/parrot", "/parrot/pass"])
def test_no_answer_lets_another_site_read_it(path: str) -> None:
    start = messages(gateway(Parrot([])), path, b"", HERE)[0]
    assert not [name for name, _ in start["headers"] if name.lower().startswith(b"access-control-")]


class Reader:
    """An application that reads the whole body, then says how long it was."""

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        length = len(await read_body(receive))
        if scope["path"] == "/bug":
            msg = "moult <b>"
            raise ValueError(msg)
        await send_response(send, json_response({"length": length}))


def reading(path: str, pieces: list[bytes], **headers: str) -> tuple[int, bytes]:
    """The answer of an application that reads, to a body that comes in pieces."""
    about: dict[str, Any] = {}
    app = Gateway(Ministack(Reader(), "us-east-1"), [Parrot([])], about, lambda: None, lambda: None)
    sent: list[Mapping[str, Any]] = []
    coming = iter(pieces)

    async def receive() -> dict[str, Any]:
        piece = next(coming, None)
        return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    asyncio.run(app({"type": "http", "method": "POST", "path": path, "headers": given}, receive, send))
    return sent[0]["status"], sent[1]["body"]


@pytest.mark.parametrize("path", ["/elsewhere", "/parrot", "/parrot/pass"])
@pytest.mark.parametrize(
    ("sizes", "headers", "status"),
    [
        ([60, 40], {}, 200),
        ([60, 41], {}, 413),
        ([101], {}, 413),
        ([], {"content_length": "101"}, 413),
        ([60, 41], {"content_length": "10"}, 413),
    ],
)
def test_a_body_is_no_larger_than_any_request_needs(
    monkeypatch: pytest.MonkeyPatch, path: str, sizes: list[int], headers: dict[str, str], status: int
) -> None:
    monkeypatch.setitem(gateway_module.MOST_BYTES, "POST", 100)
    assert reading(path, [bytes(size) for size in sizes], **headers)[0] == status


def signed(service: str) -> dict[str, str]:
    return {"authorization": signature(service, "us-east-1")}


@pytest.mark.parametrize("service", ["s3", "sts", "cloudformation", "sqs"])
def test_a_service_that_speaks_xml_fails_in_xml(service: str) -> None:
    status, body = reading("/bug", [], **signed(service))
    error = ElementTree.fromstring(body).find("Error")
    assert error is not None
    assert (status, error.findtext("Code")) == (500, "InternalFailure")
    assert error.findtext("Message") == "ValueError: moult <b>"


@pytest.mark.parametrize(
    "headers",
    [{}, signed("lambda"), signed("dynamodb"), signed("sqs") | {"x_amz_target": "AmazonSQS.SendMessage"}],
)
def test_the_others_fail_in_json(headers: dict[str, str]) -> None:
    status, body = reading("/bug", [], **headers)
    assert (status, orjson.loads(body)["__type"]) == (500, "InternalFailure")
