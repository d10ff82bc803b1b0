"""The manifest of a backfill: how far a scan, or the work on an export, has come; kept in the error bucket.

A conditional write makes sure that only one backfill of a table is at work: each save names the version that
it follows ("Conditional writes", Amazon S3 User Guide).
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from dynaberg import aws
from dynaberg.errors import NotReadyError

if TYPE_CHECKING:
    import boto3

PREFIX = "backfills/"
# A backfill that has not saved for so long was killed.
_STALE = timedelta(seconds=30)
_SAVE_SECONDS = 10.0
SCAN, EXPORT = "scan", "export"
METHODS = (SCAN, EXPORT)
_CONFLICTS = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


@dataclass(frozen=True)
class Progress:
    """What was read.

    Attributes:
        items: Items read.
        unfit: Those of them that do not fit the contract.
        bytes: Their size on the wire.
        read_units: What DynamoDB billed.
    """

    items: int = 0
    unfit: int = 0
    bytes: int = 0
    read_units: float = 0.0

    def __add__(self, other: Progress) -> Progress:
        return Progress(
            self.items + other.items,
            self.unfit + other.unfit,
            self.bytes + other.bytes,
            self.read_units + other.read_units,
        )


class SavedManifest:
    """What a backfill has done, in an object that only one backfill writes.

    Args:
        session: Open boto3 session.
        bucket: The error bucket.
        key: Key of the object.
        document: Its content.
        etag: Version of the object that the content comes from; empty if there is none.
    """

    def __init__(
        self, session: boto3.Session, bucket: str, key: str, document: dict[str, Any], etag: str
    ) -> None:
        self._session, self._bucket, self._key = session, bucket, key
        self._document, self._etag = document, etag
        self._lock = threading.Lock()
        self._saved = 0.0
        self.resumed = False

    @property
    def moment(self) -> datetime:
        """The whole second to which the rows are dated, in UTC."""
        return datetime.fromisoformat(self._document["moment"])

    @contextmanager
    def held(self) -> Iterator[None]:
        """Show that this backfill is at work, and at the end, however it ends, that it is not any more."""
        self.save()
        try:
            yield
        finally:
            self._write(at_work=False)

    def save(self) -> None:
        """Keep the progress.

        Raises:
            NotReadyError: Another backfill of the table has taken over.
        """
        self._write(at_work=True)

    def stay(self) -> None:
        """Show now and then that this backfill is still at work, while it waits."""
        if time.monotonic() - self._saved > _SAVE_SECONDS:
            self.save()

    def finish(self) -> None:
        """Note that everything was delivered; the next backfill begins anew."""
        self._document["finished"] = True

    def _write(self, *, at_work: bool) -> None:
        with self._lock:
            document = self._document | {"at_work": at_work, "saved_at": datetime.now(UTC).isoformat()}
            body = json.dumps(document).encode()
        condition = {"IfMatch": self._etag} if self._etag else {"IfNoneMatch": "*"}
        s3: Any = aws.client(self._session, "s3")
        try:
            answer = s3.put_object(Bucket=self._bucket, Key=self._key, Body=body, **condition)
        except ClientError as error:
            if error.response["Error"]["Code"] in _CONFLICTS:
                raise _busy(self._document["source_table"], 0.0) from error
            raise
        self._etag, self._saved = answer["ETag"], time.monotonic()


class Manifest(SavedManifest):
    """How far a scan has come; from several threads."""

    @classmethod
    def open(
        cls, session: boto3.Session, bucket: str, source_table: str, moment: datetime, segments: int
    ) -> Manifest:
        """The manifest of the scan that was interrupted, or that of a new one.

        Args:
            session: Open boto3 session.
            bucket: The error bucket.
            source_table: Name of the DynamoDB table.
            moment: The whole second to which a new backfill's rows are dated, in UTC.
            segments: Into how many segments a new backfill's scan is divided.

        Raises:
            NotReadyError: Another backfill of the table is at work.
        """
        found, etag = unfinished(session, bucket, source_table)
        if found is None or method_of(found) != SCAN:
            found = {
                "source_table": source_table,
                "moment": moment.isoformat(),
                "segments": [
                    {"next_key": None, "done": False, **asdict(Progress())} for _ in range(segments)
                ],
                "finished": False,
            }
        manifest = cls(session, bucket, manifest_key(source_table), found, etag)
        manifest.resumed = any(segment["items"] for segment in found["segments"])
        return manifest

    @property
    def segments(self) -> int:
        """Into how many segments the scan is divided."""
        return len(self._document["segments"])

    def open_segments(self) -> list[int]:
        """The segments that are not done."""
        return [n for n, segment in enumerate(self._document["segments"]) if not segment["done"]]

    def next_key(self, segment: int) -> Mapping[str, Any] | None:
        """Where a segment continues; None for its beginning."""
        found: Mapping[str, Any] | None = self._document["segments"][segment]["next_key"]
        return found

    def note(self, segment: int, progress: Progress, *, next_key: Mapping[str, Any] | None) -> None:
        """Note a page whose rows were acknowledged, and where its segment continues."""
        with self._lock:
            kept = self._document["segments"][segment]
            names = asdict(progress)
            total = Progress(**{name: kept[name] for name in names}) + progress
            kept |= {**asdict(total), "next_key": next_key, "done": next_key is None}

    def total(self) -> Progress:
        """What all segments have read."""
        with self._lock:
            parts = [{n: s[n] for n in asdict(Progress())} for s in self._document["segments"]]
        return sum((Progress(**part) for part in parts), Progress())


class ExportManifest(SavedManifest):
    """How far the work on an export has come: which export it is, and which files were sent to the queue."""

    @classmethod
    def open(cls, session: boto3.Session, bucket: str, source_table: str, name: str) -> ExportManifest:
        """The manifest of the backfill that was interrupted, or that of a new one.

        Args:
            session: Open boto3 session.
            bucket: The error bucket.
            source_table: Name of the DynamoDB table.
            name: The export that somebody named; empty to make one, or to go on with that of before.

        Raises:
            NotReadyError: Another backfill of the table is at work.
        """
        found, etag = unfinished(session, bucket, source_table)
        resumed = found is not None and method_of(found) == EXPORT and name in ("", found["name"])
        if found is None or not resumed:
            token = uuid.uuid4().hex
            found = {"source_table": source_table, "method": EXPORT, "name": name, "token": token}
            found |= {"arn": "", "moment": "", "sent": [], "finished": False}
        manifest = cls(session, bucket, manifest_key(source_table), found, etag)
        manifest.resumed = resumed
        return manifest

    @property
    def name(self) -> str:
        """The export that somebody named; empty for an own one."""
        return str(self._document["name"])

    @property
    def token(self) -> str:
        """Makes a repeated request the same export, and tells this backfill's progress from others'."""
        return str(self._document["token"])

    @property
    def arn(self) -> str:
        """The ARN of the own export; empty before it was started."""
        return str(self._document["arn"])

    def started(self, arn: str) -> None:
        """Note that the export was started."""
        self._document["arn"] = arn
        self.save()

    def dated(self, moment: datetime) -> None:
        """Note to which whole second the rows are dated, in UTC."""
        self._document["moment"] = moment.isoformat()

    def sent(self) -> set[str]:
        """The keys of the files that were sent to the queue."""
        return set(self._document["sent"])

    def note_sent(self, keys: Sequence[str]) -> None:
        """Note files that were sent to the queue."""
        self._document["sent"] = sorted(self.sent() | set(keys))
        self.save()


def manifest_key(source_table: str) -> str:
    """The key of the manifest of a DynamoDB table's backfill."""
    return f"{PREFIX}{source_table}.json"


def method_of(document: Mapping[str, Any]) -> str:
    """How a backfill reads its items: `scan` or `export`."""
    return str(document.get("method", SCAN))


def unfinished(session: boto3.Session, bucket: str, source_table: str) -> tuple[dict[str, Any] | None, str]:
    """What a backfill left that did not finish, None if none did, and the version of the manifest.

    Raises:
        NotReadyError: It is at work.
    """
    found, etag = _load(session, bucket, manifest_key(source_table))
    if not found or found["finished"]:
        return None, etag
    silent = datetime.now(UTC) - datetime.fromisoformat(found["saved_at"])
    if found["at_work"] and silent < _STALE:
        raise _busy(source_table, silent.total_seconds())
    return found, etag


def _load(session: boto3.Session, bucket: str, key: str) -> tuple[dict[str, Any] | None, str]:
    s3 = aws.client(session, "s3")
    try:
        answer = s3.get_object(Bucket=bucket, Key=key)
    except s3.exceptions.NoSuchKey:
        return None, ""
    return json.loads(answer["Body"].read()), answer["ETag"]


def _busy(source_table: str, silent_seconds: float) -> NotReadyError:
    msg = (
        f"Another backfill of {source_table!r} is at work; it saved its progress {silent_seconds:.0f} s ago."
    )
    hint = f"Wait for it. If it was killed, run this again {_STALE.total_seconds():.0f} s after that."
    return NotReadyError(msg, hint=hint)
