"""The journal: acknowledged records on disk, written by the gateway and read by the delivery worker.

A delivery stream has a folder of segment files, each named after the position of its first record; one
put is one frame in a segment. A record's position counts from zero and never repeats in a stream's life.

A frame that was not written to its end is no frame: its put was never acknowledged. Every writer starts
a new segment, so such a torn tail stays behind and is skipped. A write reaches the operating system
before it is acknowledged, so it survives the death of either process (not the loss of power). What has a
second name is never written again, so `saved_state` can keep a journal aside by hard links.
"""

from __future__ import annotations

import io
import logging
import os
import struct
import zlib
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import accumulate, groupby, pairwise
from pathlib import Path

# What the gateway says to the delivery worker: a journal grew, streams came or went, end after this flush.
WAKE, NEW_STREAM, FINISH = b".", b"n", b"q"
MAGIC = b"FHJ1"
HEADER = struct.Struct("<4sIQIQI")
SEGMENT_BYTES = 8 * 2**20
SEGMENT_SUFFIX = ".segment"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Records:
    """Records in the order of their arrival.

    Attributes:
        data: What the producer sent, one entry per record.
        arrived_ms: When each record was acknowledged, epoch milliseconds.
    """

    data: list[bytes]
    arrived_ms: list[int]

    def __len__(self) -> int:
        return len(self.data)


@dataclass(frozen=True)
class Frame:
    """Where one put is in the journal.

    Attributes:
        first: Position of its first record.
        count: Number of records.
        arrived_ms: When it was acknowledged, epoch milliseconds.
        size_bytes: Bytes of its payload.
        segment: The file that holds it.
        offset: Where its payload starts in that file.
        checksum: CRC-32 of the payload.
        begin: The first of its records that is wanted.
        stop: The first that is not; None wants all.
    """

    first: int
    count: int
    arrived_ms: int
    size_bytes: int
    segment: Path
    offset: int
    checksum: int
    begin: int = 0
    stop: int | None = None

    @property
    def end(self) -> int:
        """Position after its last record."""
        return self.first + self.count

    def records(self, file: io.FileIO) -> list[bytes]:
        """Read the records from the open segment; an empty list where the payload is damaged."""
        payload = os.pread(file.fileno(), self.size_bytes, self.offset)
        if zlib.crc32(payload) != self.checksum:
            log.error("%s: %d records are damaged at byte %d", self.segment, self.count, self.offset)
            return []
        lengths = struct.unpack_from(f"<{self.count}I", payload)
        ends = accumulate(lengths, initial=4 * self.count)
        return [payload[start:end] for start, end in pairwise(ends)][self.begin : self.stop]


def segments(folder: Path) -> list[Path]:
    """The segment files of a journal, oldest first."""
    return sorted(folder.glob(f"*{SEGMENT_SUFFIX}"))


def segment_path(folder: Path, first: int) -> Path:
    """The segment that starts with a position."""
    return folder / f"{first:020d}{SEGMENT_SUFFIX}"


def first_position(segment: Path) -> int:
    """Position of the first record of a segment, from its name."""
    return int(segment.stem)


def scan(segment: Path, offset: int = 0) -> list[Frame]:
    """The complete frames of a segment from a byte offset on; what follows them is torn or being written."""
    frames = []
    with io.FileIO(segment) as file:
        size = file.seek(0, io.SEEK_END)
        while offset + HEADER.size <= size:
            header = os.pread(file.fileno(), HEADER.size, offset)
            magic, length, first, count, arrived_ms, checksum = HEADER.unpack(header)
            start = offset + HEADER.size
            if magic != MAGIC or start + length > size:
                break
            frames.append(Frame(first, count, arrived_ms, length, segment, start, checksum))
            offset = start + length
    return frames


def written_position(folder: Path) -> int:
    """Position after the last record of a journal."""
    existing = segments(folder)
    if not existing:
        return 0
    frames = scan(existing[-1])
    return frames[-1].end if frames else first_position(existing[-1])


class JournalWriter:
    """Appends puts to a journal; one writer at a time.

    Args:
        folder: The stream's folder; made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.position = written_position(folder)
        self._file: io.FileIO | None = None
        self._size_bytes = 0

    def append(self, records: Sequence[bytes], arrived_ms: int) -> int:
        """Write one put and return the position of its first record.

        Raises:
            OSError: The disk did not take it; nothing was kept.
        """
        payload = b"".join((struct.pack(f"<{len(records)}I", *map(len, records)), *records))
        first, checksum = self.position, zlib.crc32(payload)
        header = HEADER.pack(MAGIC, len(payload), first, len(records), arrived_ms, checksum)
        file, size_bytes = self._segment(), len(header) + len(payload)
        # Written at its place, so that what a full disk took of an earlier put leaves no gap.
        if os.pwritev(file.fileno(), (header, payload), self._size_bytes) != size_bytes:
            file.truncate(self._size_bytes)
            raise OSError(f"The disk of {self.folder} is full.")
        self._size_bytes += size_bytes
        self.position += len(records)
        return first

    def let_go(self, committed: int) -> None:
        """Remove all segments if all of their records are committed; an empty one keeps the position."""
        newest = segments(self.folder)[-1:]
        if committed == self.position and newest and newest[0].stat().st_size:
            self.close()
            segment_path(self.folder, self.position).touch()
            remove_segments(self.folder, committed)

    def close(self) -> None:
        """Close the current segment."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _segment(self) -> io.FileIO:
        """The current segment; one that is full, or linked from a checkpoint, is never written again."""
        if (
            self._file is None
            or self._size_bytes >= SEGMENT_BYTES
            or os.fstat(self._file.fileno()).st_nlink > 1
        ):
            self.close()
            segment = segment_path(self.folder, self.position)
            segment.unlink(missing_ok=True)
            self._file = io.FileIO(segment, "x")
            self._size_bytes = 0
        return self._file


class JournalSource:
    """Reads a journal that is being written, from a position on (a `Source`).

    Only the places of records are held; their data is read when it is taken.

    Args:
        folder: The stream's folder.
        position: The first position to read: the end of an earlier frame.

    Attributes:
        position: Position after the last record taken.
        waiting_bytes: Bytes that were found by `poll` and not yet taken.
    """

    idle_seconds = 1.0
    refused = False

    def __init__(self, folder: Path, position: int) -> None:
        self.folder = folder
        self.position = position
        self._frames: deque[Frame] = deque()
        self.waiting_bytes = 0
        self._segment: Path | None = None
        self._offset = 0

    @property
    def waiting_since_ms(self) -> int | None:
        """Arrival of the oldest record not yet taken, epoch milliseconds."""
        return self._frames[0].arrived_ms if self._frames else None

    def poll(self) -> None:
        """Find the frames that were written since."""
        while True:
            following = self._following()
            self._read_on()
            if following is None:
                return
            self._segment, self._offset = following, 0

    def take(self, limit_bytes: int, end: int | None = None) -> Records:
        """Read waiting records: at least one frame, then more while they fit into the limit.

        Args:
            limit_bytes: Where to stop.
            end: Position where to stop, if earlier; it may be within a frame.
        """
        frames: list[Frame] = []
        size_bytes = 0
        while self._frames and (end is None or self.position < end):
            frame = self._frames[0]
            if frames and size_bytes + frame.size_bytes > limit_bytes:
                break
            if end is not None and end < frame.end:
                frames.append(replace(frame, stop=end - frame.first))
                self._frames[0] = replace(frame, begin=end - frame.first)
                self.position = end
            else:
                frames.append(self._frames.popleft())
                size_bytes += frame.size_bytes
                self.position = frame.end
        self.waiting_bytes -= size_bytes
        return read_frames(frames)

    def middle(self, end: int) -> int | None:
        """The position halfway to another one; None where there is one record between them."""
        middle = (self.position + end) // 2
        return middle if middle > self.position else None

    def again(self, position: int) -> JournalSource:
        """The same journal from an earlier position on."""
        return JournalSource(self.folder, position)

    def committed(self, position: int) -> None:
        """Remove what is delivered."""
        remove_segments(self.folder, position)

    def metrics(self) -> dict[str, tuple[float, str]]:
        """Nothing beyond what Firehose says of every flush."""
        return {}

    def _following(self) -> Path | None:
        existing = segments(self.folder)
        if self._segment is None:
            earlier = [segment for segment in existing if first_position(segment) <= self.position]
            return earlier[-1] if earlier else next(iter(existing), None)
        return next((segment for segment in existing if segment > self._segment), None)

    def _read_on(self) -> None:
        """Index what was written to the current segment; one that is delivered may be removed already."""
        if self._segment is None:
            return
        with suppress(FileNotFoundError):
            for frame in scan(self._segment, self._offset):
                self._offset = frame.offset + frame.size_bytes
                if frame.end > self.position:
                    self._frames.append(replace(frame, begin=max(0, self.position - frame.first)))
                    self.waiting_bytes += frame.size_bytes


def read_frames(frames: Sequence[Frame]) -> Records:
    """The records of frames, each segment opened once."""
    data: list[bytes] = []
    arrived_ms: list[int] = []
    for segment, group in groupby(frames, key=lambda frame: frame.segment):
        with io.FileIO(segment) as file:
            for frame in group:
                records = frame.records(file)
                data += records
                arrived_ms += [frame.arrived_ms] * len(records)
    return Records(data, arrived_ms)


def remove_segments(folder: Path, committed: int) -> None:
    """Remove the segments of which every record is committed; the newest one always stays."""
    for segment, following in pairwise(segments(folder)):
        if first_position(following) <= committed:
            segment.unlink(missing_ok=True)
