"""Sessions and waits, without a network."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
import requests
from botocore.awsrequest import AWSResponse
from botocore.credentials import RefreshableCredentials
from botocore.session import get_session
from pyiceberg.catalog.rest import RestCatalog

import dynaberg
from dynaberg import aws, catalog, local
from dynaberg.errors import CredentialsError, LocalAwsError, NotReadyError, SettingsError
from dynaberg.functions.handlers import resources
from dynaberg.functions.schedule.lake import Lake
from dynaberg.settings import Settings
from dynaberg.sql.query import open_connection, query


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which nobody has signed in to AWS."""
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


@pytest.fixture
def left() -> Iterator[None]:
    """Whatever a test enters is left again."""
    yield
    aws._leave()


@pytest.mark.usefixtures("nobody")
def test_without_a_region_the_hint_names_where_to_set_it() -> None:
    with pytest.raises(SettingsError, match="No AWS Region") as caught:
        aws.open_session(Settings(target="aws"))
    assert "AWS_REGION" in caught.value.hint


@pytest.mark.usefixtures("nobody")
def test_without_credentials_the_hint_names_how_to_sign_in() -> None:
    with pytest.raises(CredentialsError, match="cannot identify the caller") as caught:
        aws.open_session(Settings(target="aws", region="eu-central-1"))
    assert "aws sso login" in caught.value.hint
    assert caught.value.__cause__ is not None


@pytest.mark.usefixtures("nobody")
def test_a_profile_that_does_not_exist_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(CredentialsError, match="nobody"):
        aws.open_session(Settings(target="aws", region="eu-central-1"))


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS"])
def test_the_target_aws_is_never_this_machine(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:4566")
    with pytest.raises(SettingsError, match=r"127\.0\.0\.1:4566, which is this machine") as caught:
        aws.open_session(Settings(target="aws", region="eu-central-1"))
    assert "AWS_ENDPOINT_URL" in caught.value.hint


@pytest.mark.parametrize(
    ("endpoint", "is_ours"),
    [
        ("http://127.0.0.1:4566", True),
        ("http://127.8.8.8", True),
        ("http://[::1]:4566", True),
        ("http://localhost:4566", True),
        ("http://s3.localhost:4566", True),
        ("https://sts.eu-central-1.amazonaws.com", False),
        ("https://10.0.0.7", False),
        ("", False),
    ],
)
def test_loopback(endpoint: str, is_ours: bool) -> None:
    assert aws.is_loopback(endpoint) is is_ours


@pytest.mark.usefixtures("nobody", "left")
def test_the_environment_is_put_back_when_the_local_aws_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {"AWS_PROFILE": "work", "AWS_ACCESS_KEY_ID": "mine", "AWS_ENDPOINT_URL_S3": "https://s3.example"}
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    for port in ("1", "2"):
        aws._enter({"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "test"})
    assert os.environ["AWS_ENDPOINT_URL"] == "http://127.0.0.1:2"
    assert os.environ["AWS_ACCESS_KEY_ID"] == "test"
    assert not {"AWS_PROFILE", "AWS_ENDPOINT_URL_S3"} & os.environ.keys()
    aws._leave()
    assert {name: os.environ.get(name) for name in before} == before
    assert "AWS_ENDPOINT_URL" not in os.environ


def test_a_local_aws_that_is_gone_is_explained_at_once() -> None:
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
    session.events.register_first("needs-retry", aws._explain)
    with pytest.raises(LocalAwsError, match=r"at http://127\.0\.0\.1:1/? does not answer") as caught:
        session.client("sqs", endpoint_url="http://127.0.0.1:1").list_queues()
    assert "dynaberg local start" in caught.value.hint


def test_a_query_on_a_local_aws_that_is_gone_is_explained_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
    session.events.register_first("needs-retry", aws._explain)
    with pytest.raises(LocalAwsError, match="does not answer"):
        query(session, Settings(), "SELECT 1")


def test_silence_elsewhere_is_not_the_local_aws() -> None:
    aws.explain_silence("https://s3tables.eu-central-1.amazonaws.com/iceberg", OSError("no route"))
    with pytest.raises(LocalAwsError, match=r"at http://127\.0\.0\.1:4566 does not answer"):
        aws.explain_silence("http://127.0.0.1:4566/iceberg", OSError("refused"))


def test_expired_credentials_are_explained() -> None:
    answer = (None, {"Error": {"Code": "ExpiredTokenException", "Message": "The security token has expired"}})
    with pytest.raises(CredentialsError, match="has expired"):
        aws._explain(answer, None)


def test_other_answers_are_left_to_botocore() -> None:
    aws._explain((None, {"Error": {"Code": "ThrottlingException"}}), None)
    aws._explain((None, {}), None)
    aws._explain(None, ConnectionResetError())


def test_a_wait_gives_the_first_answer() -> None:
    asked = count()
    assert aws.wait_for(lambda: "there" if next(asked) == 2 else None, timeout=5, what="It") == "there"


def test_a_wait_that_passes_its_deadline_says_what_was_waited_for() -> None:
    with pytest.raises(NotReadyError, match=r"The table is not there after 0\.1 s") as caught:
        aws.wait_for(lambda: None, timeout=0.1, what="The table", hint="Look at the events.")
    assert caught.value.hint == "Look at the events."


@pytest.mark.parametrize("text", ["eighty", "80", "70000", "", "४५६६"])
def test_a_port_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("DYNABERG_LOCAL_PORT", text)
    with pytest.raises(SettingsError, match="not a port"):
        local.port()


def test_without_the_extra_the_hint_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "local_aws", None)
    with pytest.raises(LocalAwsError, match="not installed") as caught:
        aws.open_session(Settings(root=tmp_path))
    assert "pip install 'dynaberg[local]'" in caught.value.hint


def test_a_python_of_the_local_aws_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_AWS_PYTHON", str(tmp_path / "bin" / "python"))
    with pytest.raises(
        SettingsError, match=r"LOCAL_AWS_PYTHON is '.*python', which is not a program"
    ) as caught:
        aws.open_session(Settings(root=tmp_path))
    assert "unset" in caught.value.hint


def test_on_aws_there_is_nothing_to_stop(tmp_path: Path) -> None:
    assert aws.stop_local(Settings(target="aws", root=tmp_path)) is False


@pytest.mark.parametrize(
    ("ahead_seconds", "is_ours"), [(0, True), (0.9, True), (2, False), (600, False), (-600, True)]
)
def test_the_moment_is_no_later_than_what_aws_dates_from_then_on(
    monkeypatch: pytest.MonkeyPatch, ahead_seconds: float, is_ours: bool
) -> None:
    there = datetime(2026, 1, 31, 12, tzinfo=UTC)
    here = there + timedelta(seconds=ahead_seconds)
    answer = {"ResponseMetadata": {"HTTPHeaders": {"date": format_datetime(there, usegmt=True)}}}
    sts = SimpleNamespace(get_caller_identity=lambda: answer)
    monkeypatch.setattr(aws, "client", lambda *_: sts)
    monkeypatch.setattr(aws, "datetime", SimpleNamespace(now=lambda _: here))
    session: Any = None
    assert aws.now(session) == (here if is_ours else there)


# Time-outs and renewed keys -----------------------------------------------------------------------

# The only places that make clients; everything else asks them for one.
FACTORIES = {"aws.py", "functions/handlers/resources.py", "functions/schedule/lake.py"}
LIBRARY = Path(dynaberg.__file__).parent


def made_clients(tree: ast.AST) -> Iterator[str]:
    """Calls that make a client by themselves: of boto3 or of a session, by service."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        first = node.args[0] if node.args else None
        is_name = isinstance(first, ast.Constant) and isinstance(first.value, str)
        owner = ast.unparse(node.func.value)
        if node.func.attr in ("client", "resource") and (is_name or owner in ("boto3", "session")):
            yield ast.unparse(node)


def test_clients_are_made_in_few_places_only() -> None:
    found = {
        path.relative_to(LIBRARY).as_posix(): list(made_clients(ast.parse(path.read_text())))
        for path in LIBRARY.rglob("*.py")
    }
    assert {place for place, calls in found.items() if calls} - FACTORIES == set()


@pytest.fixture
def session() -> boto3.Session:
    return boto3.Session("a", "b", region_name="eu-central-1")


def test_every_client_gives_up_waiting(session: boto3.Session) -> None:
    athena = open_connection(session, Settings()).client
    resources.client.cache_clear()
    made = [
        Lake("arn", "n", session)._s3,
        aws.client(session, "s3"),
        aws.new_client(session, "sqs", max_pool_connections=1),
        athena,
    ]
    for client in [*made, resources.client("sqs")]:
        assert 0 < client.meta.config.connect_timeout <= 5
        assert 0 < client.meta.config.read_timeout <= 60
        assert client.meta.config.retries["mode"] == "standard"


def test_the_catalog_gives_up_waiting(session: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []

    def send(self: Any, request: Any, **options: Any) -> Any:
        sent.append(options["timeout"])
        return SimpleNamespace(status_code=503 if len(sent) < 3 else 200)

    monkeypatch.setattr("requests.Session.send", send)
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(RestCatalog, "_create_session", lambda _: requests.Session())
    kept = catalog._explained(RestCatalog, session)
    opened: Any = kept._create_session(kept.__new__(kept))
    assert opened.send(SimpleNamespace(copy=lambda: None, url="https://s3tables")).status_code == 200
    assert sent == [(5, 60)] * 3


def test_keys_that_expire_in_a_wait_are_renewed() -> None:
    """A session of a role, of which each key lives for less than one look at the log."""
    made = count(1)

    def renewed() -> dict[str, str]:
        expiry = datetime.now(UTC) + timedelta(seconds=1)
        return {
            "access_key": f"key-{next(made)}",
            "secret_key": "b",
            "token": "c",
            "expiry_time": expiry.isoformat(),
        }

    core = get_session()
    core._credentials = RefreshableCredentials.create_from_metadata(renewed(), renewed, "assume-role")
    session = boto3.Session(botocore_session=core, region_name="eu-central-1")
    kept = catalog._explained(RestCatalog, session)
    opened: Any = kept.__new__(kept)
    opened.properties, opened._auth_manager = {"py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO"}, None
    seen = [opened._load_file_io().properties["s3.access-key-id"] for _ in range(3)]
    assert len(set(seen)) == 3

    signed: list[str] = []
    client = aws.client(session, "sts")

    def keep(request: Any, **_: Any) -> Any:
        signed.append(request.headers["Authorization"].decode().partition("Credential=")[2].partition("/")[0])
        body = b"<GetCallerIdentityResponse><GetCallerIdentityResult/></GetCallerIdentityResponse>"
        return AWSResponse(request.url, 200, {}, SimpleNamespace(stream=lambda: iter([body])))

    client.meta.events.register("before-send.sts", keep)
    looks = iter([False, False, True])
    aws.wait_for(lambda: (client.get_caller_identity(), next(looks))[1], timeout=60, what="it")
    assert len(set(signed)) == 3
