"""Data files of an export: every item once, in however many invocations, and a broken file is never done."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dynaberg.contracts import Column, Contract
from dynaberg.functions import export_files
from dynaberg.functions.export_files import ExportFile, FileProgress, convert_file
from dynaberg.functions.snapshots import PlainItems

CONTRACT = Contract("t", "source", "pk", None, (Column("pk", "string", attribute="PK"), Column("n", "int")))
SECOND = 1_764_000_000


class Objects:
    """An S3 client over a dictionary."""

    def __init__(self, **objects: bytes) -> None:
        self.objects = objects
        self.saved: list[FileProgress] = []

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        if Key not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return {"Body": io.BytesIO(self.objects[Key])}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> None:  # noqa: N803
        self.objects[Key] = Body
        self.saved.append(FileProgress(**json.loads(Body)))


def lines(count: int) -> bytes:
    """Lines of items; one in three is written as DynamoDB does not, so that it is parsed."""
    items = [{"Item": {"PK": {"S": f"é{number}"}, "n": {"N": str(number)}}} for number in range(count)]
    spaces = [(", ", ": ") if number % 3 == 2 else (",", ":") for number in range(count)]
    texts = [json.dumps(i, ensure_ascii=False, separators=s) for i, s in zip(items, spaces, strict=True)]
    return b"".join(text.encode() + b"\n" for text in texts)


def plain_items() -> PlainItems:
    return PlainItems(json.loads(CONTRACT.to_lambda_json()), ("PK",), SECOND)


def file_of(body: bytes, items: int) -> ExportFile:
    md5 = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    return ExportFile("b", "file", md5, items, "progress", "source", ("PK",), SECOND)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_files, "CHUNK_LINES", 3)


def clock(chunks: int) -> Callable[[], bool]:
    """There is time for so many chunks."""
    left = iter([True] * (chunks - 1))
    return lambda: next(left, False)


def run(s3: Objects, file: ExportFile, chunks: int) -> tuple[list[str], FileProgress]:
    sent: list[str] = []

    def convert(rows: Any, records: Any) -> int:
        numbers = [str(json.loads(row)["n"]) for row in rows]
        numbers += [record["dynamodb"]["NewImage"]["n"]["N"] for record in records]
        sent.extend(sorted(numbers, key=int))
        return numbers.count("4")

    return sent, convert_file(s3, file, plain_items(), convert, has_time=clock(chunks))


@pytest.mark.parametrize("items", [0, 1, 3, 10])
@pytest.mark.parametrize("chunks", [1, 2, 100])
def test_every_item_is_sent_once_however_often_it_is_carried_on(items: int, chunks: int) -> None:
    body = gzip.compress(lines(items))
    s3, file, sent, done = Objects(file=body), file_of(body, items), [], False
    for _ in range(items + 2):
        some, progress = run(s3, ExportFile.from_body(file.to_body()), chunks)
        sent += some
        done = done or progress.done
    assert sent == [str(number) for number in range(items)]
    assert done
    assert (s3.saved[-1].lines, s3.saved[-1].unfit) == (items, int(items > 4))
    assert s3.saved[-1].bytes == len(lines(items))


def test_an_empty_partition_is_a_file_without_content() -> None:
    sent, progress = run(Objects(file=b""), file_of(b"", 0), 9)
    assert (sent, progress.done, progress.lines) == ([], True, 0)


def test_half_a_character_breaks_no_file() -> None:
    body = gzip.compress(lines(3).replace("é1".encode(), b"\xed\xa0\xbd"))
    sent, progress = run(Objects(file=body), file_of(body, 3), 9)
    assert (sent, progress.done) == (["0", "1", "2"], True)


def test_what_was_sent_and_not_noted_is_sent_again_with_the_same_id() -> None:
    body = gzip.compress(lines(5))
    ids: list[list[str]] = []
    for _ in range(2):
        seen: list[str] = []

        def convert(rows: Any, records: Any, seen: list[str] = seen) -> int:
            seen += [json.loads(row)["change_id"] for row in rows]
            seen += [record["eventID"] for record in records]
            return 0

        s3, file = Objects(file=body), file_of(body, 5)
        convert_file(s3, file, plain_items(), convert, has_time=lambda: True)
        ids.append(seen)
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 5


WHOLE = gzip.compress(lines(5), mtime=0)


@pytest.mark.parametrize(
    ("body", "changes", "reason"),
    [
        (WHOLE[:-12], {}, "end-of-stream"),
        (b"not gzip at all", {}, "Not a gzipped file"),
        (WHOLE[:30] + b"\0\0\0\0" + WHOLE[34:], {}, ""),
        (gzip.compress(b"{\n", mtime=0), {}, "no item in DynamoDB JSON"),
        (gzip.compress(lines(2).replace(b"}\n{", b"},{"), mtime=0), {}, "no item in DynamoDB JSON"),
        (gzip.compress(b'{"Item":{"n":{"N":"1"}}}\n', mtime=0), {}, "lacks the table's key"),
        (WHOLE, {"items": 6}, "it has 5 items, but the export's manifest says 6"),
        (WHOLE, {"md5": "AAAA"}, "but the export's manifest says AAAA"),
    ],
)
def test_a_broken_file_is_not_done_and_says_why(body: bytes, changes: dict[str, Any], reason: str) -> None:
    s3, file = Objects(file=body), replace(file_of(body, 5), **changes)
    _, progress = run(s3, file, 9)
    assert not progress.done
    assert progress.error.startswith("file: ")
    assert reason in progress.error
    # A second try begins anew with what the file is then.
    s3.objects["file"] = WHOLE
    sent, progress = run(s3, file_of(WHOLE, 5), 9)
    assert (len(sent), progress.done, progress.lines) == (5, True, 5)


def test_an_error_of_the_service_is_tried_again_by_the_queue() -> None:
    with pytest.raises(ClientError):
        run(Objects(), file_of(b"", 0), 9)
