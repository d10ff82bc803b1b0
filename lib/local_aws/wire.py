"""What goes over the wire: a request that was read, a response to send, AWS's error shapes."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qsl

import orjson

ACCOUNT = "000000000000"
"""The account that it plays."""

MINIMAL = "return=minimal"
"""What the delivery worker prefers (RFC 7240): a commit answered without the history, which it knows."""

OWN_PATHS = "/_local_aws/"
"""How the paths start that AWS does not have."""
ENGINE_HEADER = "x-local-athena"
"""What marks the requests of Athena's engine."""
QUERY_PROPERTY = "trino_query_id"
"""Where Trino, and so Athena's engine 3, notes in a snapshot's summary which query made it."""


@dataclass(frozen=True)
class Request:
    """One HTTP request, its body read.

    Attributes:
        method: HTTP method, upper case.
        path: Path, percent-decoded.
        raw_path: Path as it came, percent-encoded.
        query: Query parameters; a repeated one keeps its last value.
        headers: Header values by lower-case name.
        body: The whole body.
    """

    method: str
    path: str
    raw_path: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def target(self) -> str:
        """The `X-Amz-Target` header, `Service_Version.Operation`, or an empty string."""
        return self.headers.get("x-amz-target", "")

    @property
    def operation(self) -> str:
        """The operation that the target names."""
        return self.target.rpartition(".")[2]

    def json(self) -> Any:
        """The body as JSON; an empty body is an empty object, and only the local AWS's own paths take others.

        Raises:
            AwsError: SerializationException, where the body is something else.
        """
        try:
            content = orjson.loads(self.body) if self.body else {}
        except orjson.JSONDecodeError as error:
            raise AwsError("SerializationException", f"The body is not JSON: {error}") from error
        if not isinstance(content, dict) and not self.path.startswith(OWN_PATHS):
            raise AwsError("SerializationException", f"The body is not a JSON object: {self.body[:80]!r}")
        return content


@dataclass(frozen=True)
class Response:
    """One HTTP response."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        """The body as JSON."""
        return orjson.loads(self.body) if self.body else {}


class AwsError(Exception):
    """An answer that AWS would give as an error; the gateway turns it into the response.

    Args:
        code: AWS's error code, such as `ResourceNotFoundException`.
        message: AWS's words, as near as they are known.
        status: HTTP status.
        **details: Further members of the error body.
    """

    def __init__(self, code: str, message: str, status: int = 400, **details: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status, self.details = code, message, status, details

    def response(self) -> Response:
        """The error in the shape of AWS's JSON protocols."""
        body = {"__type": self.code, "message": self.message, "Message": self.message, **self.details}
        return json_response(body, self.status, {"x-amzn-errortype": self.code})


class IcebergError(AwsError):
    """An error of the Iceberg REST catalog (Iceberg's REST specification, ErrorModel).

    Args:
        status: HTTP status.
        kind: Iceberg's exception name, such as `NoSuchTableException`.
        message: What happened.
    """

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(kind, message, status)

    def response(self) -> Response:
        """The error as the specification writes it."""
        error = {"message": self.message, "type": self.code, "code": self.status}
        return Response(self.status, orjson.dumps({"error": error}), {"content-type": "application/json"})


def json_response(payload: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response with a JSON body."""
    kind = {"content-type": "application/x-amz-json-1.1"}
    return Response(status, orjson.dumps(payload), kind | dict(headers or {}))


def succeeded(response: Response) -> Any:
    """The JSON of a response that is no error.

    Raises:
        AwsError: The error that it is.
    """
    answer = response.json()
    if response.status < 400:
        return answer
    code = str(answer.get("__type", "InternalFailure")).rpartition("#")[2]
    raise AwsError(code, answer.get("message") or answer.get("Message") or "", response.status)


def signature(service: str, region: str) -> str:
    """An `Authorization` header that names service and Region; ministack routes by it, checking no key."""
    scope = f"Credential=test/20260101/{region}/{service}/aws4_request"
    return f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"


def signed(
    service: str,
    region: str,
    method: str,
    path: str,
    *,
    raw_path: str = "",
    query: Mapping[str, str] | None = None,
    body: bytes = b"",
    kind: str = "application/json",
) -> Request:
    """A request of this process to a service of ministack.

    Args:
        service: The service, as signatures name it.
        region: AWS Region.
        method: HTTP method.
        path: Path.
        raw_path: Path, percent-encoded, where that differs.
        query: Query parameters.
        body: The body.
        kind: Its content type.
    """
    headers = {
        "host": "localhost",
        "authorization": signature(service, region),
        "content-type": kind,
        "content-length": str(len(body)),
    }
    return Request(method, path, raw_path, query or {}, headers, body)


class Upstream(Protocol):
    """ministack in this process, called as if over the wire."""

    async def __call__(self, request: Request) -> Response:
        """Hand a request to ministack and wait for the whole answer."""

    async def operation(self, target: str, payload: Mapping[str, Any]) -> Any:
        """Call an operation of a JSON service, `Firehose_20150804.DescribeDeliveryStream` for example.

        Raises:
            AwsError: What ministack refused, with its code.
        """


class Service(Protocol):
    """A part of AWS that is answered here and not by ministack."""

    def claims(self, method: str, path: str, target: str) -> bool:
        """Whether a request may be for this service; decided before the body is read."""

    async def handle(self, request: Request) -> Response | None:
        """Answer a claimed request, or None to let ministack answer it."""

    async def start(self) -> None:
        """Start background work, once ministack's state is restored."""

    async def stop(self) -> None:
        """End background work, before ministack saves its state."""


class AtRest:
    """A service without background work."""

    async def start(self) -> None:
        """Nothing starts."""

    async def stop(self) -> None:
        """Nothing ends."""


Parts = Mapping[str, str]
Handler = Callable[[Request, Parts], Awaitable[Response | None]]


class Routes:
    """Handlers by method and path.

    Args:
        routes: Method, pattern of the whole path, handler; the pattern's names are the handler's parts.
    """

    def __init__(self, routes: Iterable[tuple[str, str, Handler]]) -> None:
        self._routes = [(method, re.compile(path), handler) for method, path, handler in routes]

    def find(self, method: str, path: str) -> tuple[Handler, Parts] | None:
        """The handler of a request, with its parts of the path; None where there is none."""
        for verb, pattern, handler in self._routes:
            if verb == method and (match := pattern.fullmatch(path)):
                return handler, match.groupdict()
        return None


def bucket_and_key(location: str) -> tuple[str, str]:
    """The bucket and the key of an `s3://` address."""
    bucket, _, key = location.removeprefix("s3://").partition("/")
    return bucket, key


def request_from_scope(scope: Mapping[str, Any], body: bytes) -> Request:
    """The request that an ASGI scope and its body make."""
    return Request(
        method=scope["method"],
        path=scope["path"],
        raw_path=(scope.get("raw_path") or scope["path"].encode()).decode("latin-1"),
        query=dict(parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)),
        headers={name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]},
        body=body,
    )
