"""Event source mappings of Lambda on DynamoDB streams and SQS queues.

ministack keeps the mappings; its pollers ignore their retry limits, halving, partial answers and failure
destinations, and take a partial failure for success. So the records are read and delivered here. Mappings
on other sources, and those of other Regions, stay ministack's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import orjson

from local_aws.background import Repeated
from local_aws.cloudwatch import metric, put_metrics
from local_aws.events.batches import BatchDelivery
from local_aws.events.failure_destinations import report
from local_aws.events.invocation import invoke
from local_aws.events.mapping import EventSourceMapping, not_served, parse_mapping
from local_aws.events.queue_reader import QueueReader
from local_aws.events.stream_reader import StreamReader
from local_aws.faults import Faults
from local_aws.seams import dynamodb, dynamodb_changes, dynamodb_values, functions
from local_aws.streams import StreamLog
from local_aws.wire import AwsError, Request, Response, Upstream, json_response, signed

PATH = "/2015-03-31/event-source-mappings"
LOOK_SECONDS = 0.5
QUEUES_SECONDS, RECORDS_SECONDS = 0.1, 0.01
METRIC_SECONDS = 5.0
STOP_SECONDS = 15.0
PAUSE_AFTER_CRASH_SECONDS = 1.0
STREAM_DEFAULTS: Mapping[str, Any] = {
    "BatchSize": 100,
    "MaximumRetryAttempts": -1,
    "MaximumRecordAgeInSeconds": -1,
    "BisectBatchOnFunctionError": False,
    "ParallelizationFactor": 1,
    "TumblingWindowInSeconds": 0,
}

log = logging.getLogger(__name__)


class Reader(Protocol):
    """Reads one source until it is stopped."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Read and deliver."""

    def look(self) -> None:
        """Look at the source: it may have something new."""

    def age_seconds(self) -> float:
        """The age of the oldest record that waits."""


@dataclass
class Running:
    """A mapping that is being served.

    Attributes:
        mapping: What it is set to.
        reader: Reads its source.
        stopping: Set to end it.
        task: Runs the reader.
    """

    mapping: EventSourceMapping
    reader: Reader
    stopping: asyncio.Event
    task: asyncio.Task[None]


class EventSources:
    """The event source mappings of the gateway (a `Service`).

    Args:
        faults: Stand between the readers and ministack, and change batches.
        region: The Region whose mappings are served.
    """

    def __init__(self, faults: Faults, region: str) -> None:
        self._upstream: Upstream = faults.upstream
        self._faults = faults
        self._region = region
        self._running: dict[str, Running] = {}
        self._results: dict[str, str] = {}
        self._looking = asyncio.Lock()
        self._seen = ""
        self._background = (
            Repeated("looking after the event source mappings", self._look_if_changed, LOOK_SECONDS),
            Repeated("looking at the queues", self._look_at_queues, QUEUES_SECONDS),
            Repeated("reporting the event source mappings", self._put_metrics, METRIC_SECONDS),
        )
        functions.leave_event_sources(self._serves)
        dynamodb.hold_stream_records_as_json()
        dynamodb.save_stream_records()
        dynamodb.make_event_ids_cheaply()
        dynamodb_changes.record_every_write()
        dynamodb_changes.name_users_as_the_api_does()
        dynamodb_changes.begin_with_empty_pages()
        dynamodb_values.take_values_by_meaning()
        functions.hand_on_events_as_they_are()
        functions.invoke_with_events_as_they_are()
        functions.widen_the_pipes_of_functions()
        functions.end_idle_functions()

    def claims(self, method: str, path: str, target: str) -> bool:
        """Every call on event source mappings."""
        return path.startswith(PATH)

    async def handle(self, request: Request) -> Response:
        """Let ministack answer, serve what it then has, and add what it does not know.

        Raises:
            AwsError: InvalidParameterValueException, for a mapping that is not served here.
        """
        if request.method in ("POST", "PUT") and (reason := not_served(request.json())):
            raise AwsError("InvalidParameterValueException", reason)
        if request.method == "DELETE":
            await self._end(request.path.rstrip("/").rpartition("/")[2])
        response = await self._upstream(with_defaults(request))
        if response.status >= 400:
            return response
        if request.method != "GET":
            await self._look()
        return json_response(self._completed(response.json(), request), response.status)

    async def start(self) -> None:
        """Start to serve mappings."""
        loop = asyncio.get_running_loop()
        soon = partial(loop.call_later, RECORDS_SECONDS, self._read_what_grew)
        StreamLog.any_grew, StreamLog.notify = False, partial(loop.call_soon_threadsafe, soon)
        for repeated in self._background:
            await repeated.start()

    async def stop(self) -> None:
        """Stop, once the invocations that are running have ended."""
        for repeated in self._background:
            await repeated.stop()
        await asyncio.gather(*(self._end(uuid) for uuid in list(self._running)))

    def _serves(self, mapping: Mapping[str, Any]) -> bool:
        source = str(mapping.get("EventSourceArn", "")).split(":")
        return len(source) > 3 and source[2] in ("dynamodb", "sqs") and source[3] == self._region

    def _read_what_grew(self) -> None:
        StreamLog.any_grew = False
        self._look_at("dynamodb")

    async def _look_at_queues(self) -> None:
        self._look_at("sqs")

    def _look_at(self, service: str) -> None:
        for running in self._running.values():
            if running.mapping.service == service:
                running.reader.look()

    async def _look_if_changed(self) -> None:
        """Serve the mappings anew after a change; CloudFormation makes them without a call."""
        found = functions.mappings_as_text()
        if found != self._seen:
            await self._look()
            self._seen = found

    async def _look(self) -> None:
        """Serve the mappings as they are now."""
        async with self._looking:
            wanted = {m.uuid: m for m in await self._mappings() if m.enabled}
            outdated = [uuid for uuid, r in self._running.items() if wanted.get(uuid) != r.mapping]
            await asyncio.gather(*(self._end(uuid) for uuid in outdated))
            for uuid, mapping in wanted.items():
                if uuid not in self._running:
                    self._begin(mapping)

    async def _mappings(self) -> list[EventSourceMapping]:
        query: dict[str, str] = {}
        found: list[EventSourceMapping] = []
        while True:
            answer = (
                await self._upstream(signed("lambda", self._region, "GET", PATH + "/", query=query))
            ).json()
            for mapping in filter(self._serves, answer.get("EventSourceMappings", ())):
                if reason := not_served(mapping):
                    self._results[mapping["UUID"]] = f"PROBLEM: {reason}"
                else:
                    found.append(parse_mapping(mapping))
            if not answer.get("NextMarker"):
                return found
            query = {"Marker": answer["NextMarker"]}

    def _begin(self, mapping: EventSourceMapping) -> None:
        stopping = asyncio.Event()
        reader = self._reader(mapping, stopping)
        task = asyncio.create_task(self._run(mapping, reader, stopping))
        self._running[mapping.uuid] = Running(mapping, reader, stopping, task)

    def _reader(self, mapping: EventSourceMapping, stopping: asyncio.Event) -> Reader:
        note = partial(self._results.__setitem__, mapping.uuid)
        call = partial(invoke, self._faults.refuse, mapping)
        if mapping.service == "sqs":
            return QueueReader(self._upstream, mapping, call, note)
        kept = functions.MappingPosition(mapping.uuid, mapping.account, mapping.region)
        stream = dynamodb.TableStream(mapping.source_arn)
        delivery = BatchDelivery(mapping, call, partial(report, self._upstream, mapping), note, stopping)
        position = min(kept.get() or 0, stream.end())
        return StreamReader(mapping, stream, position, kept.set, delivery, self._faults.disturb)

    async def _run(self, mapping: EventSourceMapping, reader: Reader, stopping: asyncio.Event) -> None:
        try:
            await reader.run(stopping)
        except Exception:
            log.exception("event source mapping %s failed", mapping.uuid)
            self._results[mapping.uuid] = (
                "PROBLEM: internal Lambda error. Please contact Lambda customer support."
            )
            await asyncio.sleep(PAUSE_AFTER_CRASH_SECONDS)
            running = self._running.get(mapping.uuid)
            if running is not None and running.reader is reader:
                del self._running[mapping.uuid]
                self._seen = ""

    async def _end(self, uuid: str) -> None:
        running = self._running.pop(uuid, None)
        if running is None:
            return
        running.stopping.set()
        done, _ = await asyncio.wait([running.task], timeout=STOP_SECONDS)
        if not done:
            log.warning("event source mapping %s did not end in %g s", uuid, STOP_SECONDS)
            running.task.cancel()
            await asyncio.wait([running.task])

    def _completed(self, answer: Any, request: Request) -> Any:
        """The answer of ministack with what only the readers know."""
        for mapping in answer.get("EventSourceMappings", [answer]):
            if not self._serves(mapping):
                continue
            if ":dynamodb:" in mapping["EventSourceArn"]:
                mapping.update({k: v for k, v in STREAM_DEFAULTS.items() if k not in mapping})
            mapping["LastProcessingResult"] = self._results.get(mapping["UUID"], "No records processed")
            mapping["State"] = transition(request) or mapping["State"]
        return answer

    async def _put_metrics(self) -> None:
        """IteratorAge of every function that has a stream, in milliseconds."""
        ages: dict[str, float] = {}
        for running in self._running.values():
            if running.mapping.service == "dynamodb":
                name = running.mapping.function_name
                ages[name] = max(ages.get(name, 0.0), running.reader.age_seconds())
        metrics = [
            metric("IteratorAge", age_seconds * 1000, "Milliseconds", FunctionName=name)
            for name, age_seconds in ages.items()
        ]
        await put_metrics(self._upstream, self._region, "AWS/Lambda", metrics)


def with_defaults(request: Request) -> Request:
    """A request in which a new mapping on a stream has Lambda's batch size, not ministack's."""
    if request.method != "POST":
        return request
    payload = request.json()
    if ":dynamodb:" not in payload.get("EventSourceArn", "") or "BatchSize" in payload:
        return request
    body = orjson.dumps(payload | {"BatchSize": STREAM_DEFAULTS["BatchSize"]})
    return replace(request, body=body)


def transition(request: Request) -> str | None:
    """The state that a change answers with; what it leads to is there at the next call."""
    if request.method == "PUT" and "Enabled" in request.json():
        return "Enabling" if request.json()["Enabled"] else "Disabling"
    return {"POST": "Creating", "PUT": "Updating", "DELETE": "Deleting"}.get(request.method)
