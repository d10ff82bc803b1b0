"""In both Lambdas: whatever comes is delivered, or lies whole in the error bucket with the reason.

Its neighbors go on. No value of an item is logged, and the id of every change that failed is.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from dynaberg.contracts import Column, Contract
from dynaberg.functions.handlers import forwarder, resources, transform
from dynaberg.functions.packing import pack

COLUMNS = {
    "id": "string",
    "at": "long",
    "n": "decimal(38,0)",
    "text": "string",
    "tags": "list<string>",
    "numbers": "list<decimal(38,0)>",
}
MASKED = Column("card", "string", mask="last4")
CONTRACT = Contract("t", "source", "id", "at", (*(Column(n, t) for n, t in COLUMNS.items()), MASKED))
SECRETS = ("4929123412341234", "Ada Lovelace")
KEY = {"id": {"S": "a"}, "at": {"N": "1"}}
ITEM = {**KEY, "text": {"S": SECRETS[1]}, "card": {"S": SECRETS[0]}}
LARGE, CONTROL = "x" * (400 * 1024 - 100), "\x01" * (400 * 1024 - 100)
Lambda = Callable[..., list[dict[str, Any]]]


def change(change_id: str = "hard", /, *, source: str = "source", **changed: Any) -> dict[str, Any]:
    """A change record as both patterns have it, but for the source's name."""
    return {
        "eventID": change_id,
        "eventName": "MODIFY",
        "tableName": source,
        "dynamodb": {
            "ApproximateCreationDateTime": 1_764_000_000,
            "SequenceNumber": "5",
            "Keys": KEY,
            "NewImage": ITEM,
            "OldImage": ITEM,
            **changed,
        },
    }


def image(**attributes: Any) -> dict[str, Any]:
    return {"NewImage": {**ITEM, **attributes}}


# What does not fit, and the code of the reason.
REFUSED: dict[str, tuple[Any, str]] = {
    "not a record": ([1, SECRETS[0]], "NotAChangeRecord"),
    "not DynamoDB JSON": (change(**image(n=12)), "NotDynamoDbJson"),
    "two types in one attribute": (
        change(**image(n={"N": "1", "S": SECRETS[1]}, other={"S": "no column"})),
        "NotDynamoDbJson",
    ),
    "of another table": (change(source="other"), "OtherTable"),
    "a number beyond 38 digits": (change(**image(n={"N": "1E+38"})), "OutOfRange"),
    "a key of another type": (change(**image(at={"S": SECRETS[0]})), "WrongType"),
    "a key of another type, deleted": (
        change(Keys={**KEY, "at": {"S": SECRETS[0]}}) | {"eventName": "REMOVE"},
        "WrongType",
    ),
    "more than DynamoDB takes": (
        change(**image(text={"S": Random(0).randbytes(1_000_000).hex()})),
        "TooLarge",
    ),
}

# What fits, and what the row holds then.
DELIVERED: dict[str, tuple[Any, dict[str, Any]]] = {
    "38 digits": (change(**image(n={"N": "9" * 38})), {"n": "9" * 38}),
    "38 digits below zero": (change(**image(n={"N": "-" + "9" * 38})), {"n": "-" + "9" * 38}),
    "empty text": (change(**image(text={"S": ""})), {"text": ""}),
    "empty sets": (change(**image(tags={"SS": []}, numbers={"NS": []})), {"tags": [], "numbers": []}),
    "empty lists": (change(**image(tags={"L": []}, numbers={"L": []})), {"tags": [], "numbers": []}),
    "400 KB, and as much before": (
        change(NewImage={**KEY, "text": {"S": LARGE}}, OldImage={**KEY, "text": {"S": LARGE[::-1]}}),
        {"text": LARGE},
    ),
    "400 KB that JSON makes longer": (
        change(**image(text={"S": CONTROL})),
        {"text": None, "unmapped": pack(f'{{"text":{{"S":{json.dumps(CONTROL)}}}}}')},
    ),
    "a clock that goes backwards": (
        change(ApproximateCreationDateTime=1_763_999_000, SequenceNumber="9"),
        {"changed_at": 1_763_999_000_000_000, "sequence_number": "9".zfill(40)},
    ),
    "attributes named like our columns": (
        change(**image(operation={"S": "REMOVE"}, change_id={"N": "1"}, unmapped={"BOOL": True})),
        {
            "operation": "MODIFY",
            "change_id": "hard",
            "unmapped": '{"operation":{"S":"REMOVE"},"change_id":{"N":"1"},"unmapped":{"BOOL":true}}',
        },
    ),
}


@dataclass
class Cloud:
    """A Firehose and an error bucket."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)

    def put_record_batch(self, **request: Any) -> dict[str, Any]:
        self.rows += [json.loads(record["Data"]) for record in request["Records"]]
        return {"FailedPutCount": 0, "RequestResponses": [{"RecordId": "r"} for _ in request["Records"]]}

    def put_object(self, **request: Any) -> None:
        self.errors += [json.loads(line) for line in request["Body"].splitlines()]

    def forward(self, *records: Any) -> list[dict[str, Any]]:
        """The rows that the forwarder makes of records."""
        forwarder.handler({"Records": list(records)}, CONTEXT)
        return self.rows

    def transform(self, *records: Any) -> list[dict[str, Any]]:
        """The rows that the transformation makes of records, or of bytes; every record id comes back."""
        data = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in records]
        event = [{"recordId": str(n), "data": base64.b64encode(raw).decode()} for n, raw in enumerate(data)]
        answers = transform.handler({"records": event}, CONTEXT)["records"]
        assert [answer["recordId"] for answer in answers] == [str(number) for number in range(len(data))]
        assert {answer["result"] for answer in answers} <= {"Ok", "Dropped"}
        kept = [answer["data"] for answer in answers if answer["result"] == "Ok"]
        return [json.loads(base64.b64decode(row)) for row in kept]


CONTEXT: Any = SimpleNamespace(
    invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:f",
    get_remaining_time_in_millis=lambda: 60_000,
)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cloud]:
    (tmp_path / "contract.json").write_text(CONTRACT.to_lambda_json())
    monkeypatch.setattr(resources, "CONTRACT_FILE", tmp_path / "contract.json")
    for name in ("DELIVERY_STREAM_NAME", "DEAD_LETTER_QUEUE_URL", "ERROR_BUCKET_NAME"):
        monkeypatch.setenv(name, "any")
    resources.router.cache_clear()
    found = Cloud()
    monkeypatch.setattr(forwarder, "client", lambda name: found)
    monkeypatch.setattr(transform, "client", lambda name: found)
    yield found
    resources.router.cache_clear()


@pytest.fixture(params=["forward", "transform"])
def deliver(cloud: Cloud, request: pytest.FixtureRequest) -> Lambda:
    """Hands records to the Lambda of a pattern, and gives the rows that it made."""
    lambda_of_pattern: Lambda = getattr(cloud, request.param)
    return lambda_of_pattern


def check_log(printed: str, failed: list[str]) -> None:
    """Each line is JSON, the ids of what failed are told, and nothing of what the items hold."""
    lines: list[Mapping[str, Any]] = [json.loads(line) for line in printed.splitlines()]
    assert [id_ for line in lines for id_ in line.get("change_ids", ())] == failed
    assert not [secret for secret in SECRETS if secret in printed]


def images(record: Any) -> list[dict[str, Any]]:
    """The images of a change record; none of what is not one."""
    change = record.get("dynamodb") if isinstance(record, dict) else None
    found = [change.get(name) for name in ("NewImage", "OldImage")] if isinstance(change, dict) else []
    return [image for image in found if isinstance(image, dict)]


@pytest.mark.parametrize(("hard", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_what_does_not_fit_is_kept_and_stops_nothing(
    cloud: Cloud, deliver: Lambda, hard: Any, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = deliver(change("before"), hard, change("after"))
    assert [row["change_id"] for row in rows] == ["before", "after"]
    (error,) = cloud.errors
    assert error["errorCode"] == f"Conversion.{code}"
    assert error["errorMessage"]
    kept = json.loads(base64.b64decode(error["rawData"]))
    cards = [image.pop("card", None) for image in images(kept)]
    assert "492912341234" not in json.dumps(cards), "what failed is kept masked"
    assert "dynaberg:masked" in kept or not images(kept)
    wanted = json.loads(json.dumps(hard))
    for image in images(wanted):
        image.pop("card", None)
    if isinstance(kept, dict):
        kept.pop("dynaberg:masked", None)
    assert kept == wanted
    check_log(capsys.readouterr().out, ["hard" if isinstance(hard, dict) else "?"])


@pytest.mark.parametrize("raw", [b"no JSON: 4929123412341234", b"\xff\x00", b"", b"{" * 100_000])
@pytest.mark.usefixtures("usual_recursion")
def test_what_is_not_even_json_is_kept_too(
    cloud: Cloud, raw: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only Kinesis can hold it: the records of DynamoDB Streams come from Lambda, parsed."""
    assert [row["change_id"] for row in cloud.transform(change("before"), raw)] == ["before"]
    (error,) = cloud.errors
    assert error["errorCode"] == "Conversion.NotAChangeRecord"
    assert base64.b64decode(error["rawData"]) == raw
    check_log(capsys.readouterr().out, ["?"])


@pytest.mark.parametrize(("hard", "expected"), DELIVERED.values(), ids=DELIVERED.keys())
def test_what_looks_strange_and_fits_is_delivered(
    cloud: Cloud, deliver: Lambda, hard: Any, expected: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    row, after = deliver(hard, change("after"))
    assert {name: row[name] for name in expected} == expected
    assert after["change_id"] == "after"
    assert cloud.errors == []
    check_log(capsys.readouterr().out, [])
