"""Pages of a sample, from a DynamoDB that is played here."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from dynaberg.errors import NotFoundError, NotReadyError
from dynaberg.source import sampling
from dynaberg.source.sampling import Sample, SourceDescription, describe_source

SOURCE = SourceDescription("Orders", ("id",), 0)
PAGE_ITEMS = 40


class Played:
    """Scans of a table whose items are the numbers up to a count, dealt out to the segments."""

    class exceptions:  # noqa: N801
        ResourceNotFoundException = KeyError

    def __init__(self, items: int, gone_after: int | None = None) -> None:
        self.items, self.gone_after = items, gone_after
        self.calls: list[dict[str, Any]] = []
        self.lock = threading.Lock()

    def scan(self, **request: Any) -> dict[str, Any]:
        with self.lock:
            self.calls.append(request)
            if self.gone_after is not None and len(self.calls) > self.gone_after:
                raise KeyError
        own = list(range(request["Segment"], self.items, request["TotalSegments"]))
        begin = request.get("ExclusiveStartKey", 0)
        end = begin + min(request.get("Limit", PAGE_ITEMS), PAGE_ITEMS)
        last = {"LastEvaluatedKey": end} if end < len(own) else {}
        return {"PlainItems": own[begin:end], "ConsumedCapacity": {"CapacityUnits": 0.5}, **last}


def read(monkeypatch: pytest.MonkeyPatch, played: Played, size: int | None) -> tuple[Sample, list[Any]]:
    monkeypatch.setattr(sampling, "open_reader", lambda _: played)
    sample = Sample(boto3.Session(), SOURCE, size)
    return sample, [item for page in sample.pages() for item in page]


@pytest.mark.parametrize("items", [0, 1, 63, 1_000, 5_000])
def test_all_items_are_read_once(monkeypatch: pytest.MonkeyPatch, items: int) -> None:
    played = Played(items)
    sample, found = read(monkeypatch, played, None)
    assert sorted(found) == list(range(items))
    assert sample.items == items
    assert sample.read_units == 0.5 * len(played.calls)


@pytest.mark.parametrize("size", [1, 10, 64, 100, 2_000, 4_999, 6_000])
def test_a_sample_has_as_many_items_as_were_asked_for(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    sample, found = read(monkeypatch, Played(5_000), size)
    assert len(set(found)) == len(found) == sample.items == min(size, 5_000)


def test_a_sample_comes_from_everywhere_and_is_the_same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(100_000)
    found = [sorted(read(monkeypatch, played, 640)[1]) for _ in range(3)]
    assert found[0] == found[1] == found[2]
    assert {number % 64 for number in found[0]} == set(range(64))
    assert len(played.calls) == 3 * 64


def test_whoever_stops_early_reads_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(100_000)
    monkeypatch.setattr(sampling, "open_reader", lambda _: played)
    pages: Iterator[Any] = Sample(boto3.Session(), SOURCE, None).pages()
    next(pages)
    pages.close()  # type: ignore[attr-defined]
    assert len(played.calls) <= 2 * 8


def test_a_table_that_is_deleted_meanwhile_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFoundError, match="'Orders' was deleted while it was read"):
        read(monkeypatch, Played(5_000, gone_after=10), None)


def described(monkeypatch: pytest.MonkeyPatch, stub: Any) -> SourceDescription:
    session, client = boto3.Session(), boto3.client("dynamodb")
    monkeypatch.setattr(session, "client", lambda *_, **__: client)
    with Stubber(client) as stubber:
        stub(stubber)
        return describe_source(session, "Orders")


@pytest.mark.parametrize(
    "status", ["CREATING", "DELETING", "ARCHIVED", "INACCESSIBLE_ENCRYPTION_CREDENTIALS"]
)
def test_a_table_that_cannot_be_read_now_says_why(monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    table = {"TableStatus": status, "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}]}
    with pytest.raises(NotReadyError, match=status) as caught:
        described(monkeypatch, lambda stubber: stubber.add_response("describe_table", {"Table": table}))
    assert caught.value.hint


def test_a_missing_table_is_named_with_those_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    def stub(stubber: Stubber) -> None:
        stubber.add_client_error("describe_table", "ResourceNotFoundException")
        stubber.add_response("list_tables", {"TableNames": ["Order", "Users"]})

    with pytest.raises(NotFoundError, match="What exists: Order, Users") as caught:
        described(monkeypatch, stub)
    assert caught.value.hint == "Did you mean 'Order'?"


def test_without_the_right_to_list_tables_the_error_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def stub(stubber: Stubber) -> None:
        stubber.add_client_error("describe_table", "ResourceNotFoundException")
        stubber.add_client_error("list_tables", "AccessDeniedException")

    with pytest.raises(NotFoundError, match="There is no DynamoDB table 'Orders'"):
        described(monkeypatch, stub)


def test_other_refusals_of_aws_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        described(monkeypatch, lambda stubber: stubber.add_client_error("describe_table", "AccessDenied"))
