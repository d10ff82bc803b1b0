"""Amazon Data Firehose with Iceberg destinations: takes records, and leaves the rest to the delivery worker.

ministack keeps the delivery streams; what it cannot do for Iceberg destinations is done here. A record
is acknowledged when it is in the journal. Streams with other destinations are ministack's entirely.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from local_aws.background import Repeated
from local_aws.firehose.process import DeliveryProcess
from local_aws.firehose.put_requests import read_put_record, read_put_record_batch
from local_aws.firehose.stream import (
    NEW_STREAM,
    WAKE,
    JournalWriter,
    epoch_us,
    folder_name,
    iceberg_description,
    load_checkpoint,
    normalize,
    stream_folders,
    validate_iceberg,
)
from local_aws.seams.firehose import StreamVersion, stream_versions
from local_aws.wire import AwsError, Request, Response, Upstream, json_response

TARGET = "Firehose_20150804."
CONFIG_SECONDS = 1.0
STOP_SECONDS = 20.0
WATCH_SECONDS = 0.5
LET_GO_SECONDS = 2.0


@dataclass(frozen=True)
class KnownStream:
    """A delivery stream, as it was a moment ago.

    Attributes:
        folder: Its journal's folder; None where ministack delivers it.
        from_kinesis: Whether its records come from a Kinesis stream.
        expires: When to ask again, on the monotonic clock.
    """

    folder: Path | None
    from_kinesis: bool
    expires: float


class Firehose:
    """The Firehose part of the gateway (a `Service`)."""

    def __init__(self, upstream: Upstream, state_dir: Path, endpoint: str) -> None:
        self._upstream = upstream
        self._root = state_dir / "firehose"
        self._worker = DeliveryProcess(state_dir, endpoint, os.environ.get("AWS_REGION", "us-east-1"))
        self._known: dict[str, KnownStream] = {}
        self._writers: dict[Path, JournalWriter] = {}
        self._accepting = True
        self._watch: asyncio.Task[None] | None = None
        self._letting_go = Repeated("letting go of what is delivered", self._let_go, LET_GO_SECONDS)
        self._operations: dict[str, Callable[[Request], Coroutine[Any, Any, Response | None]]] = {
            "PutRecord": self._put_record,
            "PutRecordBatch": self._put_record_batch,
            "DescribeDeliveryStream": self._describe,
            "CreateDeliveryStream": self._create,
            "UpdateDestination": self._update,
            "DeleteDeliveryStream": self._delete,
        }

    def claims(self, method: str, path: str, target: str) -> bool:
        """Every Firehose call."""
        return target.startswith(TARGET)

    async def handle(self, request: Request) -> Response | None:
        """Answer a Firehose call, or None to leave it to ministack."""
        operation = self._operations.get(request.operation)
        return await operation(request) if operation else None

    async def start(self) -> None:
        """Look after the delivery worker, which there is as soon as there is a delivery stream."""
        self._root.mkdir(parents=True, exist_ok=True)
        self._watch = asyncio.create_task(self._watch_streams())
        await self._letting_go.start()

    async def stop(self) -> None:
        """Refuse further records and let the worker finish its flush; what waits stays in the journals."""
        self._accepting = False
        if self._watch is not None:
            self._watch.cancel()
        await self._letting_go.stop()
        await self._worker.stop(STOP_SECONDS)
        await self._let_go()
        for writer in self._writers.values():
            writer.close()

    async def _watch_streams(self) -> None:
        """Start the worker with the first delivery stream; CloudFormation changes them without a call."""
        known: set[StreamVersion] = set()
        while True:
            found = stream_versions()
            for stream in found - known:
                if stream.from_kinesis:
                    # The others get theirs with their first record.
                    folder = self._root / folder_name(stream.name, epoch_us(stream.created_at))
                    folder.mkdir(exist_ok=True)
            if found and not self._worker.started:
                self._worker.start()
            elif found != known:
                self._worker.notify(NEW_STREAM)
            known = found
            await asyncio.sleep(WATCH_SECONDS)

    async def _let_go(self) -> None:
        """Remove the records of journals that are delivered as a whole."""
        for folder in stream_folders(self._root):
            committed = load_checkpoint(folder).committed
            if isinstance(committed, int) and committed:
                self._writer(folder).let_go(committed)

    async def _put_record(self, request: Request) -> Response | None:
        name, records = read_put_record(request.body)
        folder = await self._journal_folder(name)
        if folder is None:
            return None
        [record_id] = self._accept(folder, records)
        return json_response({"RecordId": record_id, "Encrypted": False})

    async def _put_record_batch(self, request: Request) -> Response | None:
        name, records = read_put_record_batch(request.body)
        folder = await self._journal_folder(name)
        if folder is None:
            return None
        # Ids need no quoting: to join them takes half as long as to make objects and then text of those.
        members = '"},{"RecordId":"'.join(self._accept(folder, records))
        responses = orjson.Fragment(f'[{{"RecordId":"{members}"}}]')
        return json_response({"FailedPutCount": 0, "Encrypted": False, "RequestResponses": responses})

    def _accept(self, folder: Path, records: list[bytes]) -> list[str]:
        """Journal records and return their ids."""
        if not self._accepting:
            raise AwsError("ServiceUnavailableException", "Service unavailable.", 503)
        writer = self._writer(folder)
        now_ms = time.time_ns() // 1_000_000
        try:
            first = writer.append(records, now_ms)
        except OSError as error:
            raise AwsError("ServiceUnavailableException", f"Service unavailable: {error}", 503) from error
        self._worker.notify(WAKE)
        record_id = f"{now_ms}%020d"
        return [record_id % position for position in range(first, first + len(records))]

    def _writer(self, folder: Path) -> JournalWriter:
        """What writes a journal."""
        if folder not in self._writers:
            self._writers[folder] = JournalWriter(folder)
            self._worker.notify(NEW_STREAM)
        return self._writers[folder]

    async def _journal_folder(self, name: str) -> Path | None:
        """The journal that a stream's records go to, None where ministack takes them."""
        stream = self._known.get(name)
        if stream is None or stream.expires < time.monotonic():
            stream = self._known[name] = await self._look_up(name)
        if stream.folder is not None and stream.from_kinesis:
            raise AwsError(
                "InvalidArgumentException",
                "This operation is not permitted on KinesisStreamAsSource delivery stream type.",
            )
        return stream.folder

    async def _look_up(self, name: str) -> KnownStream:
        try:
            description = await self._description(name)
        except AwsError as error:
            if error.code == "ResourceNotFoundException":
                self._forget(name)
            raise
        iceberg = iceberg_description(description) is not None
        folder = self._root / folder_name(name, epoch_us(description["CreateTimestamp"]))
        from_kinesis = description["DeliveryStreamType"] == "KinesisStreamAsSource"
        return KnownStream(folder if iceberg else None, from_kinesis, time.monotonic() + CONFIG_SECONDS)

    async def _description(self, name: str) -> Mapping[str, Any]:
        """What ministack says of a delivery stream."""
        asked = {"DeliveryStreamName": name}
        answer = await self._upstream.operation(TARGET + "DescribeDeliveryStream", asked)
        return dict(answer["DeliveryStreamDescription"])

    async def _describe(self, request: Request) -> Response:
        answer = await self._upstream.operation(request.target, request.json())
        return json_response({"DeliveryStreamDescription": normalize(answer["DeliveryStreamDescription"])})

    async def _create(self, request: Request) -> Response:
        payload = request.json()
        iceberg = payload.get("IcebergDestinationConfiguration")
        if iceberg is not None:
            validate_iceberg(iceberg)
        response = await self._upstream(request)
        self._known.pop(payload.get("DeliveryStreamName", ""), None)
        self._worker.notify(NEW_STREAM)
        return response

    async def _update(self, request: Request) -> Response:
        payload = request.json()
        update = payload.get("IcebergDestinationUpdate")
        if update is not None:
            payload["IcebergDestinationUpdate"] = await self._merged(payload["DeliveryStreamName"], update)
        answer = await self._upstream.operation(request.target, payload)
        self._known.pop(payload.get("DeliveryStreamName", ""), None)
        return json_response(answer)

    async def _merged(self, name: str, update: Mapping[str, Any]) -> dict[str, Any]:
        """An update, checked together with what it leaves as it is."""
        current = iceberg_description(normalize(await self._description(name))) or {}
        validate_iceberg(dict(current) | dict(update))
        return dict(update)

    async def _delete(self, request: Request) -> Response:
        response = await self._upstream(request)
        if response.status < 400:
            self._forget(request.json().get("DeliveryStreamName", ""))
        return response

    def _forget(self, name: str) -> None:
        """A stream is gone, and with it what was buffered."""
        self._known.pop(name, None)
        for folder in [path for path in stream_folders(self._root) if path.name.rpartition("@")[0] == name]:
            writer = self._writers.pop(folder, None)
            if writer is not None:
                writer.close()
            shutil.rmtree(folder, ignore_errors=True)
        self._worker.notify(NEW_STREAM)
