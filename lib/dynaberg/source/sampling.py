"""Some or all items of a table that somebody else made, page by page, by a parallel scan."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from dynaberg.errors import NotFoundError
from dynaberg.source.paged_scan import Key, Page, PageReader

if TYPE_CHECKING:
    import boto3

    from dynaberg.source.items import Item

_WORKERS = 8
_MOST_SEGMENTS = 64


@dataclass
class _Segment:
    """A part of the scan: where it goes on, and how many of its items are wanted now; None for all."""

    number: int
    after: Key | None = None
    wanted: int | None = None
    has_more: bool = True


@dataclass
class Sample:
    """Pages of items, read while they are asked for, and what reading them has consumed so far.

    The same table gives the same items: those at the beginning of equal parts of the range of hashed keys.

    Args:
        session: Open boto3 session.
        source_table: Name of the DynamoDB table.
        size: How many items to read; None for all.
    """

    session: boto3.Session
    source_table: str
    size: int | None
    items: int = 0
    read_units: float = 0.0

    def pages(self) -> Iterator[Sequence[Item]]:
        """The items by pages, as DynamoDB JSON, binary as base64; eventually consistent, for half the price.

        Raises:
            NotFoundError: The table was deleted meanwhile.
        """
        count = _WORKERS if self.size is None else min(_MOST_SEGMENTS, self.size)
        reader = PageReader(self.session, self.source_table, count, consistent=False)
        segments = [_Segment(number) for number in range(count)]
        pool = ThreadPoolExecutor(_WORKERS)
        try:
            while segments and (self.size is None or self.items < self.size):
                self._share_out(segments)
                yield from self._read(pool, reader, segments)
                segments = [segment for segment in segments if segment.has_more]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            msg = f"The DynamoDB table {self.source_table!r} was deleted while it was read."
            raise NotFoundError(msg, hint="Choose a table that is in use.") from error
        finally:
            pool.shutdown(cancel_futures=True)

    def _share_out(self, segments: Sequence[_Segment]) -> None:
        """Set how many items each segment should give."""
        if self.size is None:
            return
        missing = self.size - self.items
        share = -(-missing // len(segments))
        for segment in segments:
            segment.wanted = min(share, missing)
            missing -= segment.wanted

    def _read(
        self, pool: ThreadPoolExecutor, reader: PageReader, segments: Sequence[_Segment]
    ) -> Iterator[Sequence[Item]]:
        """The pages of the segments, as they come, until each has given what it should."""
        waiting = deque(segment for segment in segments if segment.wanted != 0)
        running: dict[Future[Page], _Segment] = {}
        while waiting or running:
            while waiting and len(running) < _WORKERS:
                segment = waiting.popleft()
                running[pool.submit(reader.read, segment.number, segment.after, segment.wanted)] = segment
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                segment, page = running.pop(done), done.result()
                self.items += len(page.items)
                self.read_units += page.read_units
                segment.after, segment.has_more = page.next_key, page.next_key is not None
                if segment.wanted is not None:
                    segment.wanted -= len(page.items)
                if segment.has_more and segment.wanted != 0:
                    waiting.append(segment)
                if page.items:
                    yield page.items
