"""Attacks by way of names, packages, bodies and SQL: only S3 is read and written, and nothing hangs."""

from __future__ import annotations

import gzip
import http.client
import io
import os
import socket
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import pyarrow as pa
import pyathena
import pytest
from botocore.exceptions import ClientError
from pyarrow import parquet
from pyathena.connection import Connection
from pyathena.error import Error
from pyiceberg.catalog import load_catalog

from local_aws import Status

SECRET = "hush-hush"
CODE = b"import os\ndef handler(event, context): return sorted(os.listdir('.'))"


def ask(
    port: int, method: str, path: str, body: bytes = b"", *, service: str = "s3", **headers: str
) -> tuple[int, bytes]:
    """The answer to a request that no client would send."""
    scope = f"Credential=test/20260101/us-east-1/{service}/aws4_request"
    given = {"Content-Length": str(len(body)), "Authorization": f"AWS4-HMAC-SHA256 {scope}, Signature=0"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in (
            given | {name.replace("_", "-"): value for name, value in headers.items()}
        ).items():
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def files_of(folder: Path) -> set[Path]:
    """All files of the state folder, but those of S3 itself, logs and what was kept aside."""
    return {
        path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] != "s3"
    }


@pytest.fixture(scope="module")
def bucket(local_aws: Status) -> str:
    boto3.client("s3").create_bucket(Bucket="attacked")
    return "attacked"


@pytest.mark.parametrize(
    "path",
    [
        "/attacked/../../escaped",
        "/attacked/%2e%2e/%2e%2e/escaped",
        "/attacked/..%2f..%2f..%2fescaped",
        "/attacked/%2Fescaped",
        "/attacked/a/../../../escaped",
        "/attacked/%00escaped",
        "/attacked/..%5c..%5cescaped",
        "/attacked/.ministack-keys/..%2f..%2fescaped",
        "/attacked/" + "e" * 1_000,
        "/../escaped",
        "/%2e%2e/escaped",
        "/..%2f..%2fescaped",
        "//escaped/x",
        "/./escaped",
    ],
)
def test_an_object_stays_in_its_bucket(local_aws: Status, bucket: str, path: str) -> None:
    objects = local_aws.state_dir / "s3" / "000000000000"
    before = files_of(local_aws.state_dir)
    status, _ = ask(local_aws.port, "PUT", path, b"content")
    assert (status == 200) == path.startswith("/attacked/")
    if status == 200:
        assert ask(local_aws.port, "GET", path) == (200, b"content")
        ask(local_aws.port, "DELETE", path)
    assert {path for path in files_of(local_aws.state_dir) - before if "escaped" in path.name} == set()
    assert not list(objects.glob("*escaped*"))


@pytest.mark.parametrize("name", ["..", ".", "a/../../b", "%2e%2e", "A", "a" * 64, "a\nb", "-", "\0"])
def test_a_bucket_has_the_name_of_a_bucket(local_aws: Status, name: str) -> None:
    before = set((local_aws.state_dir / "s3" / "000000000000").glob("*"))
    encoded = "".join(f"%{byte:02x}" for byte in name.encode())
    assert ask(local_aws.port, "PUT", f"/{encoded}")[0] in (400, 404)
    assert set((local_aws.state_dir / "s3" / "000000000000").glob("*")) == before


def package(*entries: tuple[str, bytes, int]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body, mode in (("index.py", CODE, 0o100644), *entries):
            entry = zipfile.ZipInfo(name)
            entry.external_attr, entry.compress_type = mode << 16, zipfile.ZIP_DEFLATED
            archive.writestr(entry, body)
    return content.getvalue()


def run(name: str, code: bytes) -> bytes:
    """What a function of this package answers."""
    client = boto3.client("lambda")
    role = "arn:aws:iam::000000000000:role/any"
    client.create_function(
        FunctionName=name, Runtime="python3.12", Role=role, Handler="index.handler", Code={"ZipFile": code}
    )
    return bytes(client.invoke(FunctionName=name)["Payload"].read())


@pytest.mark.parametrize("kind", ["up", "absolute", "link"])
def test_a_package_writes_nothing_but_its_own_folder(local_aws: Status, tmp_path: Path, kind: str) -> None:
    up = f"{'../' * 12}{tmp_path}/escaped"
    entries = {
        "up": [(up, b"x", 0o100644)],
        "absolute": [(f"{tmp_path}/escaped", b"x", 0o100644)],
        "link": [("link", str(tmp_path).encode(), 0o120777), ("link/escaped", b"x", 0o100644)],
    }
    run(f"package-{kind}", package(*entries[kind]))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["too large", "none"])
def test_a_package_that_is_none_or_too_large_is_refused(local_aws: Status, kind: str) -> None:
    code = b"no zip" if kind == "none" else package(("large", bytes(300 * 2**20), 0o100644))
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        run("refused", code)


TEMPLATE_BOMB = "Metadata:\n  a0: &a0 [x, x]\n" + "".join(
    f"  a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 10)}]\n" for number in range(1, 12)
)
ENTITIES = "".join(
    f'<!ENTITY {"abcdefghij"[n]} "{("&" + "abcdefghij"[n - 1] + ";") * 10}">' for n in range(1, 10)
)
XML_BOMB = (
    f'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">{ENTITIES}]><Delete><Object><Key>&j;</Key></Object></Delete>'
)
XML_FILE = (
    '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&f;</Key></Object></Delete>'
)
LIST_TABLES = {"X_Amz_Target": "DynamoDB_20120810.ListTables", "service": "dynamodb"}
NEW_STREAM = {"X_Amz_Target": "Kinesis_20131202.CreateStream", "service": "kinesis"}


@pytest.mark.parametrize(
    ("method", "path", "body", "more", "statuses"),
    [
        ("PUT", "/attacked/x", b"", {"Content_Length": str(2**40)}, {413}),
        ("POST", "/", b"", LIST_TABLES | {"Content_Length": str(2**30)}, {413}),
        (
            "POST",
            "/",
            lambda: gzip.compress(bytes(200 * 2**20)),
            LIST_TABLES | {"Content_Encoding": "gzip"},
            {400, 500},
        ),
        ("POST", "/", b'{"StreamName": "x", "ShardCount": 9223372036854775808}', NEW_STREAM, {400, 500}),
        ("POST", "/attacked?delete", XML_BOMB.encode(), {}, {400}),
        ("POST", "/attacked?delete", XML_FILE.encode(), {}, {400}),
        (
            "PUT",
            "/attacked/x",
            b"ffffffffff\r\nabc",
            {"X_Amz_Content_Sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"},
            {400},
        ),
    ],
)
def test_a_body_is_bounded(
    local_aws: Status,
    bucket: str,
    method: str,
    path: str,
    body: bytes | Callable[[], bytes],
    more: dict[str, str],
    statuses: set[int],
) -> None:
    status, answer = ask(local_aws.port, method, path, body() if callable(body) else body, **more)
    assert status in statuses
    assert b"Code>" in answer or b"__type" in answer
    assert b"root:" not in answer
    assert psutil.Process(local_aws.pid).memory_info().rss < 2 * 2**30
    assert boto3.client("dynamodb").list_tables()["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_a_template_has_no_aliases(local_aws: Status) -> None:
    with pytest.raises(ClientError, match="YAML aliases are not allowed"):
        boto3.client("cloudformation").create_stack(StackName="bomb", TemplateBody=TEMPLATE_BOMB)


@pytest.mark.parametrize(
    "sent",
    [
        b"\0" * 100 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: " + b"b" * 200_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nabc\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        (
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"0\r\n\r\n"
        ),
    ],
)
def test_what_is_no_http_is_refused(local_aws: Status, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", local_aws.port), timeout=10) as connection:
        connection.sendall(sent)
        assert connection.recv(1_000).split(b" ")[1][:1] == b"4"


@pytest.fixture(scope="module")
def connection(local_aws: Status, bucket: str) -> Iterator[Connection[Any]]:
    client = boto3.client("s3tables")
    arn = client.create_table_bucket(name="attacked-lake")["arn"]
    client.create_namespace(tableBucketARN=arn, namespace=["plain"])
    with pyathena.connect(
        s3_staging_dir=f"s3://{bucket}/results/",
        catalog_name="s3tablescatalog/attacked-lake",
        schema_name="plain",
        poll_interval=0.01,
    ) as made:
        yield made


STATEMENTS = [
    "SELECT * FROM read_text('{file}')",
    "SELECT * FROM TABLE(read_text('{file}'))",
    "SELECT * FROM read_csv('{file}')",
    "SELECT * FROM system.read_parquet('{file}')",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM query('SELECT 1')",
    'SELECT * FROM "{file}"',
    "SELECT * FROM '{file}'",
    "SELECT * FROM `{file}`",
    'SELECT * FROM "s3://attacked/x.csv"',
    'SELECT * FROM "http://127.0.0.1:1/x.csv"',
    "SELECT * FROM \"read_text\"('{file}')",
    'SELECT * FROM memory.main."{file}"',
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM enable_logging(storage => 'file', storage_path => '{folder}/log')",
    "SELECT getenv('HOME')",
    "SELECT read_text('{file}')",
    "SELECT current_setting('allowed_directories')",
    "COPY (SELECT 1) TO '{folder}/out.csv'",
    "ATTACH '{folder}/out.db'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "PRAGMA database_list",
    "CALL enable_logging()",
    "CALL pragma_version()",
    "SET memory_limit = '1GB'",
    "EXPORT DATABASE '{folder}/out'",
    "SELECT 1; COPY (SELECT 1) TO '{folder}/out.csv'",
    "SELECT 1 /* */; ATTACH '{folder}/out.db'",
    "UNLOAD (SELECT 1 AS n) TO '{folder}/out' WITH (format = 'JSON')",
    "UNLOAD (SELECT 1 AS n) TO 'file://{folder}/out' WITH (format = 'JSON')",
    "UNLOAD (SELECT 1 AS n) TO 'http://127.0.0.1:1/out' WITH (format = 'JSON')",
    "UNLOAD (SELECT 1 AS n) TO 's3://../../out' WITH (format = 'JSON')",
    "UNLOAD (SELECT * FROM read_text('{file}')) TO 's3://attacked/out/' WITH (format = 'JSON')",
    "CREATE TABLE stolen AS SELECT * FROM read_text('{file}')",
    "CREATE EXTERNAL TABLE stolen (a string) LOCATION '{folder}/'",
    "INSERT INTO stolen SELECT * FROM read_text('{file}')",
    "EXPLAIN SELECT * FROM read_text('{file}')",
    "DESCRIBE read_text('{file}')",
]


@pytest.mark.parametrize("sql", STATEMENTS)
def test_no_statement_reaches_files_hosts_or_settings(
    local_aws: Status, connection: Connection[Any], tmp_path: Path, sql: str
) -> None:
    (tmp_path / "secret.csv").write_text(f"a\n{SECRET}\n")
    statement = sql.format(file=tmp_path / "secret.csv", folder=tmp_path)
    with pytest.raises((Error, ClientError)) as refused:
        connection.cursor().execute(statement)
    assert SECRET not in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]


def test_a_table_whose_metadata_names_other_files_is_not_read(
    local_aws: Status, connection: Connection[Any], tmp_path: Path
) -> None:
    file = tmp_path / "private.parquet"
    rows = pa.table({"word": [SECRET]})
    parquet.write_table(rows, file)
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    arn = "arn:aws:s3tables:us-east-1:000000000000:bucket/attacked-lake"
    settings = {"uri": f"{endpoint}/iceberg", "warehouse": arn, "s3.endpoint": endpoint}
    signing = {"rest.sigv4-enabled": "true", "rest.signing-name": "s3tables"}
    catalog = load_catalog("attacked", type="rest", **settings, **signing)
    table = catalog.create_table(("plain", "pointing"), rows.schema)
    table.add_files([str(file)])
    with pytest.raises(Error) as refused:
        connection.cursor().execute("SELECT * FROM pointing").fetchall()
    assert SECRET not in str(refused.value)


NAMES = [
    'a"; DROP TABLE x; --',
    "a' OR 1=1 --",
    "a;b",
    "../x",
    "a b",
    "é",
    "a\nb",
    'a"."b',
    "<script>",
    "%s",
    "{0}",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_sql_stays_a_name(connection: Connection[Any], name: str) -> None:
    escaped = name.replace('"', '""')
    for sql in (f'SELECT * FROM "{escaped}"', f'SELECT 1 AS "{escaped}"', f"DROP TABLE `{name}`"):
        try:
            found = connection.cursor().execute(sql)
        except (Error, ClientError):
            continue
        assert [column[0] for column in found.description or ()] == [name]
        assert found.fetchall() == [(1,)]
