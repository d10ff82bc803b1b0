"""The data files of an export of a DynamoDB table: read, converted, and carried on where one stopped.

How far a file has come, in lines, is in an object of the error bucket: the next invocation continues there.
What was sent twice has the same change id.
Source of the format: "DynamoDB table export output format", Amazon DynamoDB Developer Guide.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from botocore.exceptions import ClientError

from .snapshots import PlainItems, snapshot_record

CHUNK_LINES = 2_000
SAVE_SECONDS = 5.0
_READ_BYTES = 2**20
# Half a character is refused later, by the conversion, with its reason.
_ENCODING = ("utf-8", "surrogatepass")
_BEFORE_ITEM, _AFTER_ITEM = '{"Item":', "}\n"
_GONE = ("404", "NoSuchKey")


@dataclass(frozen=True)
class ExportFile:
    """A data file that waits to be converted: what a message of the backfill's queue says.

    Attributes:
        bucket: Its bucket, in which its progress is kept, too.
        key: Its key.
        md5: Its checksum, in base64; empty if it is not known.
        items: How many items it holds.
        progress_key: Key of the object that says how far it has come.
        source_table: Name of the DynamoDB table.
        key_attributes: Names of the table's key attributes.
        second: To which second since 1970 its items are dated.
    """

    bucket: str
    key: str
    md5: str
    items: int
    progress_key: str
    source_table: str
    key_attributes: tuple[str, ...]
    second: int

    def to_body(self) -> str:
        """The message."""
        return json.dumps(asdict(self))

    @classmethod
    def from_body(cls, body: str) -> ExportFile:
        """The file that a message is about."""
        found = json.loads(body)
        return cls(**{**found, "key_attributes": tuple(found["key_attributes"])})


@dataclass(frozen=True)
class FileProgress:
    """How far a file has come.

    Attributes:
        lines: Lines that were read; each is an item.
        unfit: Those that do not fit the contract.
        bytes: Their size, uncompressed.
        done: Whether all rows of the file were accepted.
        error: Why it cannot be finished; empty if it can.
        saved_at: When this was saved, in seconds since 1970.
    """

    lines: int = 0
    unfit: int = 0
    bytes: int = 0
    done: bool = False
    error: str = ""
    saved_at: float = field(default_factory=time.time)


class BrokenFileError(Exception):
    """A file that is not what the export's manifest says."""


Convert = Callable[[list[bytes], Sequence[Any]], int]
"""Sends change rows, and converts and sends change records; returns how many of these did not fit."""


def convert_file(
    s3: Any, file: ExportFile, plain: PlainItems, convert: Convert, *, has_time: Callable[[], bool]
) -> FileProgress:
    """Convert a file from where it stopped, until its end or until the time is up.

    Args:
        s3: A boto3 S3 client.
        file: The file.
        plain: Makes change rows of plain items.
        convert: Sends these, and converts and sends the records of all other items.
        has_time: Whether there is time for another chunk.

    Returns:
        How far it has come; it was saved.
    """
    progress = load_progress(s3, file)
    if progress.done:
        return progress
    # What was read of a broken file may have been wrong.
    progress, saved = FileProgress() if progress.error else progress, time.monotonic()
    try:
        content = _Content(s3.get_object(Bucket=file.bucket, Key=file.key)["Body"])
        for chunk in _chunks(plain, content.texts(), progress.lines):
            progress = replace(
                progress,
                lines=progress.lines + chunk.lines,
                unfit=progress.unfit + convert(chunk.rows, _records(file, chunk.others)),
                bytes=progress.bytes + chunk.bytes,
            )
            if not has_time():
                return save_progress(s3, file, progress)
            if time.monotonic() - saved > SAVE_SECONDS:
                save_progress(s3, file, progress)
                saved = time.monotonic()
        content.check(file, progress.lines)
    except (BrokenFileError, EOFError, UnicodeDecodeError, gzip.BadGzipFile, zlib.error) as error:
        return save_progress(s3, file, replace(progress, error=f"{file.key}: {error}"))
    return save_progress(s3, file, replace(progress, done=True))


def load_progress(s3: Any, file: ExportFile) -> FileProgress:
    """How far a file has come."""
    try:
        found = json.loads(s3.get_object(Bucket=file.bucket, Key=file.progress_key)["Body"].read())
    except ClientError as error:
        if error.response["Error"]["Code"] not in _GONE:
            raise
        return FileProgress()
    return FileProgress(**found)


def save_progress(s3: Any, file: ExportFile, progress: FileProgress) -> FileProgress:
    """Keep how far a file has come; returns it."""
    body = json.dumps({**asdict(progress), "saved_at": time.time()}).encode()
    s3.put_object(Bucket=file.bucket, Key=file.progress_key, Body=body)
    return progress


class _Content:
    """The lines of a file, and the checksum of what was read of it."""

    def __init__(self, body: Any) -> None:
        self._body = body
        self._md5 = hashlib.md5(usedforsecurity=False)

    def read(self, size: int = -1) -> bytes:
        """Read compressed bytes."""
        found: bytes = self._body.read(size if size >= 0 else None)
        self._md5.update(found)
        return found

    def texts(self) -> Iterator[str]:
        """The lines, in texts of about a MiB that end where a line ends."""
        with gzip.GzipFile(fileobj=self) as lines:  # type: ignore[call-overload]
            rest = b""
            while block := lines.read(_READ_BYTES):
                whole, newline, begun = block.rpartition(b"\n")
                if newline:
                    yield (rest + whole + newline).decode(*_ENCODING)
                    rest = begun
                else:
                    rest += block
            if rest:
                yield rest.decode(*_ENCODING)

    def check(self, file: ExportFile, lines: int) -> None:
        """Check that all was read, and that it is what the manifest says."""
        while self.read(_READ_BYTES):
            pass
        found = base64.b64encode(self._md5.digest()).decode()
        if file.md5 and found != file.md5:
            message = f"its MD5 is {found}, but the export's manifest says {file.md5}"
            raise BrokenFileError(message)
        if lines != file.items:
            message = f"it has {lines:,} items, but the export's manifest says {file.items:,}"
            raise BrokenFileError(message)


@dataclass
class _Chunk:
    """Some lines: change rows of those that are plain, the others as text, and the size of all of them."""

    rows: list[bytes] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    bytes: int = 0

    @property
    def lines(self) -> int:
        return len(self.rows) + len(self.others)


def _chunks(plain: PlainItems, texts: Iterator[str], done: int) -> Iterator[_Chunk]:
    """The lines of texts that are not done yet, some thousands at a time."""
    chunk = _Chunk()
    for text in texts:
        position = 0
        while done and position < len(text):
            position, done = _end_of_line(text, position), done - 1
        while position < len(text):
            begin, position = position, _add_lines(plain, text, position, chunk)
            chunk.bytes += len(text[begin:position].encode(*_ENCODING))
            if chunk.lines == CHUNK_LINES:
                yield chunk
                chunk = _Chunk()
    if chunk.lines:
        yield chunk


def _add_lines(plain: PlainItems, text: str, position: int, chunk: _Chunk) -> int:
    """Add lines to a chunk until it is full or the text is over; returns where the next one begins."""
    received_at_us = time.time_ns() // 1_000
    for _ in range(CHUNK_LINES - chunk.lines):
        if position == len(text):
            break
        found = _plain_row(plain, text, position, received_at_us)
        if found is None:
            end = _end_of_line(text, position)
            if plain.wants() and plain.learn(_items([text[position:end]])[0]):
                found = _plain_row(plain, text, position, received_at_us)
        if found is None:
            chunk.others.append(text[position:end])
            position = end
        else:
            row, position = found
            chunk.rows.append(row)
    return position


def _plain_row(plain: PlainItems, text: str, position: int, received_at_us: int) -> tuple[bytes, int] | None:
    """The change row of a line whose item is plain, and where the next line begins."""
    if not text.startswith(_BEFORE_ITEM, position):
        return None
    found = plain.row(text, position + len(_BEFORE_ITEM), received_at_us)
    if found is None or not text.startswith(_AFTER_ITEM, found[1]):
        return None
    return found[0], found[1] + len(_AFTER_ITEM)


def _end_of_line(text: str, position: int) -> int:
    return text.find("\n", position) + 1 or len(text)


def _items(lines: Sequence[str]) -> list[Any]:
    """The items of lines; parsed together, which takes less than half the time."""
    try:
        parsed = zip(json.loads(f"[{','.join(lines)}]"), lines, strict=True)
        return [line["Item"] for line, _ in parsed]
    except (KeyError, TypeError, ValueError) as error:
        message = "a line is no item in DynamoDB JSON"
        raise BrokenFileError(message) from error


def _records(file: ExportFile, lines: Sequence[str]) -> list[Any]:
    """The change records of lines."""
    items = _items(lines)
    try:
        return [snapshot_record(file.source_table, file.key_attributes, item, file.second) for item in items]
    except (KeyError, TypeError) as error:
        message = "an item lacks the table's key"
        raise BrokenFileError(message) from error
