"""Requests to Firehose that are written in one piece: what botocore would send, and every refusal is seen."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from dynaberg.functions.to_firehose import put, send_in_one_piece

ROWS = [b'{"a":"\xc3\xa9"}', b"", b"x" * 3_000, b"12", b"1"]


class Wire:
    """Takes what a client sends, and answers."""

    def __init__(self, answer: dict[str, Any], *, in_one_piece: bool) -> None:
        session = boto3.Session("test", "test", region_name="us-east-1")
        self.client: Any = session.client("firehose")
        self.client.meta.events.register("before-send.firehose.*", self._take)
        if in_one_piece:
            send_in_one_piece(self.client)
        self._answer, self.requests = answer, list[Any]()

    def _take(self, request: Any, **_: Any) -> Any:
        self.requests.append(json.loads(request.body))
        raw: Any = type("Raw", (), {"stream": lambda *_: iter([json.dumps(self._answer).encode()])})()
        return AWSResponse(request.url, 200, HTTPHeaders(), raw)


def answer(*codes: str | None) -> dict[str, Any]:
    each = [{"ErrorCode": code, "ErrorMessage": "no"} if code else {"RecordId": "1"} for code in codes]
    return {"FailedPutCount": sum(code is not None for code in codes), "RequestResponses": each}


@pytest.mark.parametrize(
    "codes", [[None] * 5, [None, "ServiceUnavailableException", None, "InternalFailure", None]]
)
def test_it_is_what_botocore_sends_and_reads(codes: list[str | None]) -> None:
    wires = [Wire(answer(*codes), in_one_piece=each) for each in (False, True)]
    refused = [[(r.row, r.code) for r in put(wire.client, 'a"ü', ROWS)] for wire in wires]
    assert wires[0].requests == wires[1].requests
    assert refused[0] == refused[1] == [(r, c) for r, c in zip(ROWS, codes, strict=True) if c]
