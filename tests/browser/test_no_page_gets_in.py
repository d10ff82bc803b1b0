"""A page of another site, in a real browser, against the local AWS: it reads nothing and changes nothing."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import boto3
import pytest

from local_aws import Status

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is missing: make browser")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="There is no chromium; on Debian: apt install chromium")

SECRET = "the-secret-of-the-table"
PAGE = (Path(__file__).parent / "attack.html").read_bytes()
# The names of other sites lead to this machine, as in DNS rebinding.
RULES = "--host-resolver-rules=MAP *.example 127.0.0.1"
# What a page can send without asking first, and the first question of the rest.
ATTACKS = {
    *(f"GET {way}" for way in ("fetch-get", "img", "iframe", "sandbox", "form-get", "window", "address-bar")),
    *(
        f"POST {way}"
        for way in ("/?post", "/form", "/lake", "/_ministack/config", "/_ministack/reset", "/beacon")
    ),
    *(f"GET /lake/secret.js{way}" for way in ("", "?no-cors", "?script", "?style", "?events")),
    "GET /_aws/execute-api/abcdef12/prod",
    "OPTIONS /",
    "OPTIONS /lake/planted",
    "OPTIONS /lake/secret.js",
}


class Site(BaseHTTPRequestHandler):
    """Another site: its page, a redirect to wherever it is told, and a note of every other request."""

    noted: set[str]

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        if address.path == "/attack":
            self.answer(200, PAGE, {"Content-Type": "text/html"})
        elif address.path == "/redirect":
            self.answer(302, b"", {"Location": query["to"]})
        else:
            self.note(query.get("StackName") or self.path)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.note(self.path)

    do_OPTIONS = do_PUT = do_DELETE = do_POST  # noqa: N815

    def note(self, what: str) -> None:
        self.noted.add(f"{self.command} {what}")
        self.answer(200, b"", {})

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""


@contextmanager
def site() -> Iterator[tuple[int, set[str]]]:
    """The port of such a site, and what it notes."""
    handler = type("NotingSite", (Site,), {"noted": set()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1], handler.noted
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def other_site() -> Iterator[int]:
    with site() as (port, _):
        yield port


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", RULES])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def kept(local_aws: Status) -> dict[str, Any]:
    """What is there to be read and changed."""
    boto3.client("s3").create_bucket(Bucket="lake")
    body = f"window.secret = '{SECRET}'"
    boto3.client("s3").put_object(Bucket="lake", Key="secret.js", Body=body, ContentType="text/javascript")
    boto3.client("dynamodb").create_table(
        TableName="secrets",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    boto3.client("dynamodb").put_item(TableName="secrets", Item={"id": {"S": SECRET}})
    return what_is_there()


def what_is_there() -> dict[str, Any]:
    s3 = boto3.client("s3")
    buckets = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    stacks = boto3.client("cloudformation").describe_stacks()["Stacks"]
    return {
        "items": boto3.client("dynamodb").scan(TableName="secrets")["Items"],
        "objects": {name: s3.list_objects_v2(Bucket=name).get("KeyCount") for name in buckets},
        "stacks": [stack["StackName"] for stack in stacks],
        "functions": boto3.client("lambda").list_functions()["Functions"],
    }


def template(mark: Path) -> str:
    """A stack that runs code: a function and a custom resource that calls it."""
    code = f"def handler(event, context):\n    open({str(mark)!r}, 'w')"
    properties = {"Runtime": "python3.12", "Handler": "index.handler", "Code": {"ZipFile": code}}
    properties["Role"] = "arn:aws:iam::000000000000:role/any"
    function = {"Type": "AWS::Lambda::Function", "Properties": properties}
    called = {"Type": "Custom::Called", "Properties": {"ServiceToken": {"Fn::GetAtt": ["F", "Arn"]}}}
    return json.dumps({"Resources": {"F": function, "Called": called}})


def attack(browser: Any, page_at: str, target: str, mark: Path, *, rebound: bool = False) -> str:
    """Let a page attack; all that it, its frames and its windows could read."""
    context = browser.new_context()
    page = context.new_page()
    address = f"{page_at}/attack?" + urlencode(
        {"target": target, "template": template(mark)}, quote_via=quote
    )
    if rebound:
        # The page came before its name led here.
        page.route("**/attack?*", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
    page.goto(address)
    seen = page.evaluate("attack()")
    page.wait_for_timeout(300)
    stack = {"Action": "CreateStack", "Version": "2010-05-15", "TemplateBody": template(mark)}
    by_redirect = f"{target}/?" + urlencode(stack | {"StackName": "address-bar"})
    last = context.new_page()
    with suppress(playwright.Error):  # a refusal is JSON, which it downloads
        last.goto(by_redirect if rebound else f"{page_at}/redirect?" + urlencode({"to": by_redirect}))
    frames = [
        frame.content() for opened in context.pages for frame in opened.frames if frame != page.main_frame
    ]
    context.close()
    return "\n".join([*seen, *frames])


def test_the_attacks_reach_a_server_that_refuses_nobody(
    chromium: Any, other_site: int, tmp_path: Path
) -> None:
    with site() as (port, noted):
        attack(chromium, f"http://evil.example:{other_site}", f"http://127.0.0.1:{port}", tmp_path / "ran")
    assert noted >= ATTACKS


@pytest.mark.parametrize(
    ("page", "host"),
    [
        ("evil.example", "127.0.0.1"),
        ("evil.example", "localhost"),
        ("evil.example", "lake.s3.localhost"),
        ("evil.example", "rebound.example"),
        ("localhost", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),  # JupyterLab, at another port
    ],
)
def test_a_page_of_another_site_reads_and_changes_nothing(
    chromium: Any,
    other_site: int,
    local_aws: Status,
    kept: dict[str, Any],
    page: str,
    host: str,
    tmp_path: Path,
) -> None:
    mark = tmp_path / "ran"
    seen = attack(chromium, f"http://{page}:{other_site}", f"http://{host}:{local_aws.port}", mark)
    assert SECRET not in seen
    assert what_is_there() == kept
    assert not mark.exists()


def test_nor_does_a_page_whose_own_name_leads_here(
    chromium: Any, local_aws: Status, kept: dict[str, Any], tmp_path: Path
) -> None:
    here = f"http://rebound.example:{local_aws.port}"
    assert SECRET not in attack(chromium, here, here, tmp_path / "ran", rebound=True)
    assert what_is_there() == kept
    assert not (tmp_path / "ran").exists()


def test_nor_does_a_page_that_lies_in_a_bucket(
    chromium: Any, local_aws: Status, kept: dict[str, Any], tmp_path: Path
) -> None:
    here = f"http://127.0.0.1:{local_aws.port}"
    assert SECRET not in attack(chromium, here, here, tmp_path / "ran", rebound=True)
    assert what_is_there() == kept
    assert not (tmp_path / "ran").exists()
