"""Pages of a sample, from a DynamoDB that is played here."""

from __future__ import annotations

import threading
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from dynaberg.errors import NotFoundError
from dynaberg.source import sampling
from dynaberg.source.paged_scan import Page
from dynaberg.source.sampling import Sample

PAGE_ITEMS = 40


class Played:
    """A reader of a table whose items are the numbers up to a count, dealt out to the segments."""

    def __init__(self, items: int, gone_after: int | None = None) -> None:
        self.items, self.gone_after, self.segments = items, gone_after, 0
        self.limits: list[int | None] = []
        self.lock = threading.Lock()

    def open(self, session: Any, source_table: str, segments: int, *, consistent: bool) -> Played:
        assert not consistent
        self.segments = segments
        return self

    def read(self, segment: int, after: Any, limit: int | None) -> Page:
        with self.lock:
            self.limits.append(limit)
            if self.gone_after is not None and len(self.limits) > self.gone_after:
                raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "Scan")
        own: list[Any] = list(range(segment, self.items, self.segments))
        begin = int(after["at"]["N"]) if after else 0
        end = begin + min(limit or PAGE_ITEMS, PAGE_ITEMS)
        return Page(own[begin:end], {"at": {"N": str(end)}} if end < len(own) else None, 0.5, 0)


def read(monkeypatch: pytest.MonkeyPatch, played: Played, size: int | None) -> tuple[Sample, list[Any]]:
    monkeypatch.setattr(sampling, "PageReader", played.open)
    sample = Sample(boto3.Session(), "Orders", size)
    return sample, [item for page in sample.pages() for item in page]


@pytest.mark.parametrize("items", [0, 1, 63, 1_000, 5_000])
def test_all_items_are_read_once(monkeypatch: pytest.MonkeyPatch, items: int) -> None:
    played = Played(items)
    sample, found = read(monkeypatch, played, None)
    assert sorted(found) == list(range(items))
    assert sample.items == items
    assert sample.read_units == 0.5 * len(played.limits)


@pytest.mark.parametrize("size", [1, 10, 64, 100, 2_000, 4_999, 6_000])
def test_a_sample_has_as_many_items_as_were_asked_for(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    sample, found = read(monkeypatch, Played(5_000), size)
    assert len(set(found)) == len(found) == sample.items == min(size, 5_000)


def test_a_sample_comes_from_everywhere_and_is_the_same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(100_000)
    found = [sorted(read(monkeypatch, played, 640)[1]) for _ in range(3)]
    assert found[0] == found[1] == found[2]
    assert {number % 64 for number in found[0]} == set(range(64))
    assert len(played.limits) == 3 * 64


def test_whoever_stops_early_reads_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(100_000)
    monkeypatch.setattr(sampling, "PageReader", played.open)
    pages: Any = Sample(boto3.Session(), "Orders", None).pages()
    next(pages)
    pages.close()
    assert len(played.limits) <= 2 * 8


def test_a_table_that_is_deleted_meanwhile_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFoundError, match="'Orders' was deleted while it was read"):
        read(monkeypatch, Played(5_000, gone_after=10), None)
