from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from local_aws.firehose.api import TARGET, Firehose
from local_aws.firehose.stream.journal import JournalSource
from local_aws.wire import AwsError, Request, Response, json_response


class Ministack:
    """What the service asks of ministack."""

    def __init__(self) -> None:
        self.streams: dict[str, dict[str, Any]] = {}
        self.described = 0

    def add(self, name: str, created: float = 1.5, kind: str = "DirectPut", iceberg: bool = True) -> None:
        destination = "IcebergDestinationDescription" if iceberg else "ExtendedS3DestinationDescription"
        self.streams[name] = {
            "DeliveryStreamName": name,
            "DeliveryStreamType": kind,
            "CreateTimestamp": created,
            "Destinations": [{"DestinationId": "1", destination: {"RoleARN": "r"}}],
        }

    async def __call__(self, request: Request) -> Response:
        try:
            return json_response(await self.operation(request.target, request.json()))
        except AwsError as error:
            return error.response()

    async def operation(self, target: str, payload: Mapping[str, Any]) -> Any:
        name = payload["DeliveryStreamName"]
        if name not in self.streams and "Create" not in target:
            raise AwsError(
                "ResourceNotFoundException", f"Firehose {name} under account 000000000000 not found."
            )
        if target.endswith("DescribeDeliveryStream"):
            self.described += 1
            return {"DeliveryStreamDescription": self.streams[name]}
        if target.endswith("DeleteDeliveryStream"):
            del self.streams[name]
        return {}


@pytest.fixture
def ministack() -> Ministack:
    upstream = Ministack()
    upstream.add("orders")
    return upstream


@pytest.fixture
def firehose(ministack: Ministack, tmp_path: Path) -> Firehose:
    return Firehose(ministack, tmp_path, "http://127.0.0.1:1")


def call(firehose: Firehose, operation: str, **payload: Any) -> Any:
    request = Request("POST", "/", headers={"x-amz-target": TARGET + operation}, body=orjson.dumps(payload))
    response = asyncio.run(firehose.handle(request))
    return response if response is None else response.json()


def put(firehose: Firehose, *data: bytes, name: str = "orders") -> Any:
    records = [{"Data": base64.b64encode(one).decode()} for one in data]
    return call(firehose, "PutRecordBatch", DeliveryStreamName=name, Records=records)


def journalled(tmp_path: Path, folder: str = "orders@1500000") -> list[bytes]:
    reader = JournalSource(tmp_path / "firehose" / folder, 0)
    reader.poll()
    return reader.take(2**40).data


def test_an_acknowledged_record_is_in_the_journal(firehose: Firehose, tmp_path: Path) -> None:
    answer = put(firehose, b"a", b"b")
    assert (answer["FailedPutCount"], len(answer["RequestResponses"])) == (0, 2)
    one = call(firehose, "PutRecord", DeliveryStreamName="orders", Record={"Data": "Yw=="})
    ids = [response["RecordId"] for response in answer["RequestResponses"]] + [one["RecordId"]]
    assert len(set(ids)) == 3
    assert journalled(tmp_path) == [b"a", b"b", b"c"]


@pytest.mark.parametrize(
    ("payload", "code", "words"),
    [
        ({"Records": []}, "ValidationException", "'records' failed .* greater than or equal to 1"),
        ({"Records": [{"Data": ""}] * 501}, "ValidationException", "less than or equal to 500"),
        ({"Records": [{"Data": "%"}]}, "SerializationException", "records.1.member.data cannot be read"),
        ({"Records": "many"}, "SerializationException", "records cannot be read"),
        ({}, "ValidationException", "'records' .* not be null"),
        (
            {"Records": [{"Data": "YQ=="}, {}]},
            "ValidationException",
            "'records.2.member.data' .* not be null",
        ),
        (
            {"Records": [{"Data": base64.b64encode(bytes(1_024_001)).decode()}]},
            "ValidationException",
            "'records.1.member.data' .* 1024000",
        ),
        (
            {"Records": [{"Data": base64.b64encode(bytes(1_024_000)).decode()}] * 5},
            "InvalidArgumentException",
            "Records size exceeds 4 MB limit",
        ),
    ],
)
def test_limits_are_those_of_aws(
    firehose: Firehose, tmp_path: Path, payload: dict[str, Any], code: str, words: str
) -> None:
    with pytest.raises(AwsError, match=words) as refusal:
        call(firehose, "PutRecordBatch", DeliveryStreamName="orders", **payload)
    assert refusal.value.code == code
    assert journalled(tmp_path) == []


def test_four_mebibytes_fit(firehose: Firehose, tmp_path: Path) -> None:
    put(firehose, *[bytes(2**20 - 24_576)] * 4)
    assert len(journalled(tmp_path)) == 4


def test_unknown_streams_are_not_found(firehose: Firehose) -> None:
    with pytest.raises(AwsError, match="not found") as refusal:
        put(firehose, b"a", name="unknown")
    assert refusal.value.code == "ResourceNotFoundException"


def test_streams_with_other_destinations_are_left_to_ministack(
    firehose: Firehose, ministack: Ministack
) -> None:
    ministack.add("to-s3", iceberg=False)
    assert put(firehose, b"a", name="to-s3") is None
    assert call(firehose, "ListDeliveryStreams") is None


def test_kinesis_sources_take_no_puts(firehose: Firehose, ministack: Ministack) -> None:
    ministack.add("orders", kind="KinesisStreamAsSource")
    with pytest.raises(AwsError, match="KinesisStreamAsSource"):
        put(firehose, b"a")


def test_a_busy_stream_is_described_once_a_second(firehose: Firehose, ministack: Ministack) -> None:
    for _ in range(20):
        put(firehose, b"a")
    assert ministack.described <= 2


def test_a_deleted_stream_takes_its_buffer_along(
    firehose: Firehose, ministack: Ministack, tmp_path: Path
) -> None:
    put(firehose, b"old")
    call(firehose, "DeleteDeliveryStream", DeliveryStreamName="orders")
    assert not (tmp_path / "firehose" / "orders@1500000").exists()
    ministack.add("orders", created=2.5)
    put(firehose, b"new")
    assert journalled(tmp_path, "orders@2500000") == [b"new"]


def test_create_is_checked_as_aws_does(firehose: Firehose) -> None:
    with pytest.raises(AwsError, match="names no table bucket"):
        call(
            firehose,
            "CreateDeliveryStream",
            DeliveryStreamName="new",
            IcebergDestinationConfiguration={"CatalogConfiguration": {"CatalogARN": "arn:aws:s3:::b"}},
        )


def test_after_stop_nothing_is_acknowledged(firehose: Firehose) -> None:
    asyncio.run(firehose.stop())
    with pytest.raises(AwsError, match="Service unavailable"):
        put(firehose, b"a")
