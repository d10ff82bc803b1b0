"""Faults on request: throttling, failing records, failing functions, duplicates and more, when asked for.

    PUT    /_local_aws/faults   [{"service": "firehose", "kind": "throttle", "share": 0.3, "seed": 7}]
    GET    /_local_aws/faults   the rules, and how often each could strike and did
    DELETE /_local_aws/faults

Rules end with the process. Without rules, no request is inspected.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import orjson

from local_aws.faults import answers as fault_answers
from local_aws.faults.rules import Call, Rule, call_of, parse_rules
from local_aws.wire import AtRest, AwsError, Request, Response, Service, Upstream, json_response

PATH = "/_local_aws/faults"
PARTS = 4
_REFUSALS: Mapping[str, Callable[[Call], Response]] = {
    "throttle": fault_answers.throttled,
    "unavailable": fault_answers.unavailable,
    "error": fault_answers.failed,
    "commit_conflict": fault_answers.conflict,
}
_EVENT_SOURCE = Call("event_source", "GetRecords", "")
_NO_SERVICES: Sequence[Service] = ()
Item = TypeVar("Item")


class Faults(AtRest):
    """Stands before the other services of the gateway (a `Service`).

    Args:
        ministack: What answers where no service does.
    """

    def __init__(self, ministack: Upstream) -> None:
        self._ministack = ministack
        self._rules: list[Rule] = []
        self._services = _NO_SERVICES
        self.upstream: Upstream = FaultyUpstream(ministack, self)

    def before(self, services: Sequence[Service]) -> list[Service]:
        """The services of the gateway, with the faults before them."""
        self._services = services
        return [self, *services]

    def claims(self, method: str, path: str, target: str) -> bool:
        """The control route, and every call of AWS while there are rules."""
        return path == PATH or (bool(self._rules) and not path.startswith("/_"))

    async def handle(self, request: Request) -> Response | None:
        """Answer the control route, strike, or let the others answer."""
        if request.path == PATH:
            return self._control(request)
        call = call_of(request)
        refusal = await self.refuse(call)
        if refusal is not None:
            return refusal
        if rule := self._rule(call, "fail_records"):
            return await self._fail_records(request, call, rule)
        response = await self._pass_on(request)
        for kind in ("duplicate", "shuffle"):
            rule = self._rule(call, kind)
            if rule is not None and rule.strikes():
                response = disturbed(response or await self._ministack(request), rule)
        return response

    async def refuse(self, call: Call) -> Response | None:
        """Delay a call if there is a rule for it, and refuse it if there is one for that."""
        for rule in self._rules:
            if not rule.matches(call) or rule.kind not in (*_REFUSALS, "delay") or not rule.strikes():
                continue
            if rule.kind != "delay":
                return _REFUSALS[rule.kind](call)
            await asyncio.sleep(rule.milliseconds / 1000)
        return None

    def disturb(self, batch: Sequence[Item]) -> list[Sequence[Item]]:
        """A batch of an event source as it is delivered: as it is, twice, or in shuffled parts."""
        parts: list[Sequence[Item]] = [batch]
        for rule in self._rules:
            if not rule.matches(_EVENT_SOURCE) or not rule.strikes():
                continue
            if rule.kind == "duplicate":
                parts = [part for part in parts for _ in range(2)]
            else:
                parts = [part for whole in parts for part in shuffled_parts(whole, rule)]
        return parts

    def _control(self, request: Request) -> Response:
        if request.method == "PUT":
            self._rules = parse_rules(request.json())
        elif request.method == "DELETE":
            self._rules = []
        elif request.method != "GET":
            raise AwsError("MethodNotAllowed", f"{PATH} takes GET, PUT and DELETE.", 405)
        return json_response([rule.describe() for rule in self._rules])

    def _rule(self, call: Call, kind: str) -> Rule | None:
        return next((rule for rule in self._rules if rule.kind == kind and rule.matches(call)), None)

    async def _pass_on(self, request: Request) -> Response | None:
        target = request.target
        for service in self._services:
            if service.claims(request.method, request.path, target):
                return await service.handle(request)
        return None

    async def _fail_records(self, request: Request, call: Call, rule: Rule) -> Response | None:
        payload = request.json()
        records = payload.get("Records", [])
        failed = {i for i in range(len(records)) if rule.strikes()}
        if not failed:
            return await self._pass_on(request)
        reaching = [record for i, record in enumerate(records) if i not in failed]
        answer = None
        if reaching:
            reduced = with_body(request, payload | {"Records": reaching})
            response = await self._pass_on(reduced) or await self._ministack(reduced)
            if response.status >= 400:
                return response
            answer = response.json()
        return json_response(fault_answers.with_failed_records(call, answer, failed, len(records)))


class FaultyUpstream:
    """ministack for those who call it in process, with the same faults (an `Upstream`)."""

    def __init__(self, ministack: Upstream, faults: Faults) -> None:
        self._ministack = ministack
        self._faults = faults

    async def __call__(self, request: Request) -> Response:
        """Hand a request to ministack, unless a rule strikes."""
        if self._faults.claims(request.method, request.path, request.target):
            refusal = await self._faults.refuse(call_of(request))
            if refusal is not None:
                return refusal
        return await self._ministack(request)

    async def operation(self, target: str, payload: Mapping[str, Any]) -> Any:
        """Call an operation of a JSON service, unless a rule strikes."""
        if self._faults.claims("POST", "/", target):
            request = Request("POST", "/", headers={"x-amz-target": target}, body=orjson.dumps(payload))
            refusal = await self._faults.refuse(call_of(request))
            if refusal is not None:
                raise AwsError(refusal.json()["__type"], refusal.json()["message"], refusal.status)
        return await self._ministack.operation(target, payload)


def shuffled_parts(batch: Sequence[Item], rule: Rule) -> list[Sequence[Item]]:
    """A batch in shuffled order, in several parts."""
    order = rule.shuffled(len(batch))
    size = max(1, -(-len(batch) // PARTS))
    return [[batch[i] for i in order[first : first + size]] for first in range(0, len(batch), size)]


def disturbed(response: Response, rule: Rule) -> Response:
    """An answer of GetRecords with its records twice, or shuffled."""
    count = len(response.json().get("Records", ())) if response.status == 200 else 0
    if not count:
        return response
    order = [i for i in range(count) for _ in range(2)] if rule.kind == "duplicate" else rule.shuffled(count)
    body = fault_answers.repeated(response.body, order)
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    return Response(200, body, headers)


def with_body(request: Request, payload: Any) -> Request:
    """A request with another body."""
    headers = {name: value for name, value in request.headers.items() if name != "content-length"}
    return replace(request, headers=headers, body=orjson.dumps(payload))
