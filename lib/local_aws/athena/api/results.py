"""Results: objects on S3, through ministack in this process, and the pages of `GetQueryResults`.

Records of a CSV become rows of JSON. A record without NULLs, inner quotes and characters that JSON escapes is
copied. Most are like that, and a page has a thousand of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import orjson

from local_aws.athena.dialect import QueryError
from local_aws.wire import Upstream, signed

FIELD = re.compile(r'"((?:[^"]|"")*)"|([^",\n]*)')
PLAIN = rb'"(?!,")[^"\\\x00-\x1f]*"'  # a value that is a comma looks like the mark between two values
PLAIN_RECORD = re.compile(PLAIN + rb"(?:," + PLAIN + rb")*")


class Page(NamedTuple):
    """Some rows of a result.

    Attributes:
        rows: Each as `Row`, in JSON.
        following: Where the next row starts in the result: the byte, or the line of a text; None at the end.
    """

    rows: list[bytes]
    following: int | None


def read_page(path: Path, offset: int, count: int) -> Page:
    """Some rows of a CSV result."""
    rows: list[bytes] = []
    with path.open("rb") as file:
        file.seek(offset)
        for record in records(file):
            if len(rows) == count:
                return Page(rows, offset)
            rows.append(row_of_record(record.removesuffix(b"\n")))
            offset += len(record)
    return Page(rows, None)


def row_of_record(record: bytes) -> bytes:
    """One record of the file as `Row`."""
    if PLAIN_RECORD.fullmatch(record):
        data = record.replace(b'","', b'"},{"VarCharValue":"')
        return b'{"Data":[{"VarCharValue":' + data + b"}]}"
    return row_of(list(fields(record.decode())))


def row_of(values: Sequence[str | None]) -> bytes:
    """Values as `Row`; a NULL is a datum without a value."""
    return orjson.dumps({"Data": [{} if value is None else {"VarCharValue": value} for value in values]})


def joined(rows: Sequence[bytes]) -> orjson.Fragment:
    """Rows as the list that goes into an answer."""
    return orjson.Fragment(b"[" + b",".join(rows) + b"]")


def records(lines: Iterator[bytes]) -> Iterator[bytes]:
    """The lines of a CSV, joined where a line break stands inside quotes."""
    record = b""
    for line in lines:
        record += line
        if record.count(b'"') % 2 == 0:
            yield record
            record = b""


def fields(record: str) -> Iterator[str | None]:
    """The values of a record; nothing between commas is a NULL, two quotes an empty text."""
    position = 0
    while position <= len(record):
        found = FIELD.match(record, position)
        assert found is not None  # noqa: S101 - the pattern matches nothing, too
        yield found[1].replace('""', '"') if found[1] is not None else None
        position = found.end() + 1


async def put_object(upstream: Upstream, region: str, address: str, body: bytes, kind: str) -> None:
    """Writes an object."""
    path = f"/{address.removeprefix('s3://')}"
    request = signed("s3", region, "PUT", path, raw_path=quote(path), body=body, kind=kind)
    response = await upstream(request)
    if response.status >= 300:
        code = re.search(rb"<Code>(.*?)</Code>", response.body)
        reason = code[1].decode() if code else str(response.status)
        raise QueryError("INVALID_OUTPUT_LOCATION", f"Unable to write the result to {address}: {reason}")
