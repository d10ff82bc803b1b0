"""Any history of any item ends at the model's state, however its changes are delivered.

Histories are drawn by hypothesis: 250 of them, or 5,000 with `HYPOTHESIS_PROFILE=thorough`.
"""

from __future__ import annotations

import hashlib
import json
import os
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynaberg import layers
from dynaberg.contracts import Column, Contract
from dynaberg.functions.change_row import ChangeConverter
from dynaberg.proof.comparison import compare_items
from local_aws.s3tables.maintenance.compaction import compact

QUIET = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("ci", max_examples=250, derandomize=True, **QUIET)
settings.register_profile("thorough", max_examples=5_000, **QUIET)
PROFILE = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

TYPES = {
    "id": "string",
    "at": "long",
    "version": "long",
    "text": "string",
    "exact": "decimal(38,10)",
    "huge": "decimal(38,0)",
    "ratio": "double",
    "active": "boolean",
    "raw": "binary",
    "words": "list<string>",
    "numbers": "list<decimal(38,0)>",
    "blobs": "list<binary>",
    "prices": "map<string,decimal(38,2)>",
    "place": "struct<city: string, zip: long, tags: list<string>>",
    "anything": "json",
}
CONTRACT = Contract(
    "transactions", "model-source", "id", "at", tuple(Column(name, type_) for name, type_ in TYPES.items())
)
CONVERTER = ChangeConverter(json.loads(CONTRACT.to_lambda_json()))
KEYS = 3
BEGAN = 1_767_225_600

Attribute = dict[str, Any]
Item = dict[str, Attribute]

# Any attribute -----------------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
BINARY = st.binary(max_size=8).map(lambda data: b64encode(data).decode())
WHOLE = st.integers(1 - 10**38, 10**38 - 1).map(str)


def decimals(scale: int) -> st.SearchStrategy[str]:
    digits = st.integers(1 - 10**38, 10**38 - 1)
    return digits.map(lambda n: f"{'-' if n < 0 else ''}{abs(n) // 10**scale}.{abs(n) % 10**scale:0{scale}d}")


def attribute(tag: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Attribute]:
    return values.map(lambda value: {tag: value})


def set_of(tag: str, members: st.SearchStrategy[str]) -> st.SearchStrategy[Attribute]:
    return attribute(tag, st.lists(members, min_size=1, max_size=3, unique=True))


S, N, B = attribute("S", TEXTS), attribute("N", WHOLE), attribute("B", BINARY)
BOOL, NULL = attribute("BOOL", st.booleans()), st.just({"NULL": True})
SS, NS, BS = set_of("SS", TEXTS), set_of("NS", WHOLE), set_of("BS", BINARY)
ANY = st.recursive(
    st.one_of(S, N, B, BOOL, NULL, SS, NS, BS),
    lambda inner: st.one_of(
        attribute("L", st.lists(inner, max_size=3)),
        attribute("M", st.dictionaries(TEXTS, inner, max_size=3)),
    ),
    max_leaves=5,
)
ATTRIBUTES = {
    "text": S,
    "exact": attribute("N", decimals(10)),
    "huge": N,
    "ratio": attribute("N", st.floats(1e-99, 1e99).map(repr)),
    "active": BOOL,
    "raw": B,
    "words": SS,
    "numbers": NS,
    "blobs": BS,
    "prices": attribute("M", st.dictionaries(TEXTS, attribute("N", decimals(2)), max_size=2)),
    "place": attribute("M", st.fixed_dictionaries({}, optional={"city": S, "zip": NULL, "tags": SS})),
    "anything": ANY,
    "surprise": ANY,
}
CONTENTS = st.fixed_dictionaries(
    {}, optional={name: st.one_of(value, value, NULL) for name, value in ATTRIBUTES.items()}
)

# Any history, any delivery -----------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One write: an item, or a deletion."""

    key: int
    contents: Item | None
    seconds_later: int


@dataclass(frozen=True)
class History:
    """Writes in their order, and the order in which their changes are delivered, some of them again."""

    steps: list[Step]
    delivery: list[int]


@st.composite
def histories(draw: st.DrawFn, contents: st.SearchStrategy[Item]) -> History:
    step = st.builds(
        Step, st.integers(0, KEYS - 1), st.one_of(contents, contents, st.none()), st.integers(0, 1)
    )
    steps = draw(st.lists(step, min_size=1, max_size=8))
    again = draw(st.lists(st.integers(0, len(steps) - 1), max_size=4))
    return History(steps, draw(st.permutations([*range(len(steps)), *again])))


def play(history: History, prefix: str) -> tuple[dict[str, Item], list[dict[str, Any]]]:
    """What DynamoDB then holds, and the change rows as they are delivered.

    A deletion of what is not there makes no change.
    """
    items: dict[str, Item] = {}
    rows: dict[int, dict[str, Any]] = {}
    moment = BEGAN
    for number, step in enumerate(history.steps):
        moment += step.seconds_later
        key: Item = {"id": {"S": f"{prefix}-{step.key}"}, "at": {"N": str(step.key)}}
        old = items.get(key["id"]["S"])
        images = {"OldImage": old} if old else {}
        if step.contents is not None:
            new = {**step.contents, **key, "version": {"N": str(number)}}
            images["NewImage"] = items[key["id"]["S"]] = new
        elif items.pop(key["id"]["S"], None) is None:
            continue
        operation = "REMOVE" if step.contents is None else "MODIFY" if old else "INSERT"
        rows[number] = change_row(f"{prefix}/{number}", operation, moment, number, {"Keys": key, **images})
    return items, [rows[number] for number in history.delivery if number in rows]


def change_row(
    change_id: str, operation: str, moment: int, number: int, images: Mapping[str, Any]
) -> dict[str, Any]:
    """A change as the Lambda's conversion makes it of DynamoDB Streams' record."""
    record = {
        # As random as DynamoDB's: it says nothing about the order.
        "eventID": hashlib.md5(change_id.encode()).hexdigest(),
        "eventName": operation,
        "eventSource": "aws:dynamodb",
        "eventSourceARN": f"arn:aws:dynamodb:eu-central-1:0:table/{CONTRACT.source_table}/stream/1",
        "dynamodb": {
            "ApproximateCreationDateTime": moment,
            # Sequence numbers grow in length too: as text, 10 comes before 9.
            "SequenceNumber": str(7 + number),
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            **images,
        },
    }
    row: dict[str, Any] = json.loads(CONVERTER.to_row(record, BEGAN * 1_000_000 + number))
    return row


def latest(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """The version of each item that the rule leaves: its latest change, unless a deletion."""
    newest: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        other = newest.get(row["id"])
        if other is None or order(row) > order(other):
            newest[row["id"]] = row
    return {id_: row["version"] for id_, row in newest.items() if row["operation"] != "REMOVE"}


def order(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["changed_at"], row["sequence_number"]


@PROFILE
@given(histories(st.just({})))
def test_the_latest_change_of_each_key_is_the_item(history: History) -> None:
    items, rows = play(history, "item")
    assert latest(rows) == {id_: int(item["version"]["N"]) for id_, item in items.items()}


# The same through Firehose, the log and the MERGE ------------------------------------------------


def drawn() -> list[tuple[dict[str, Item], list[dict[str, Any]]]]:
    """The profile's number of histories, each played under a prefix of its own."""
    played: list[tuple[dict[str, Item], list[dict[str, Any]]]] = []

    @PROFILE
    @given(histories(CONTENTS))
    def collect(history: History) -> None:
        played.append(play(history, f"{len(played):04d}"))

    collect()
    return played


ROUNDS = 3


def deliver(pipeline: Any, rows: Sequence[Mapping[str, Any]], day: int) -> None:
    """Rows received on a day, a compaction, which is not always one of what was merged, and a refresh."""
    arrived = [{**row, "received_at": row["received_at"] + day * 86_400_000_000} for row in rows]
    for first in range(0, len(arrived), 500):
        pipeline.send(arrived[first : first + 500])
    compact(pipeline.load(CONTRACT.log_name), target_bytes=64 * 2**20)
    layers.refresh(pipeline.session, pipeline.settings, pipeline.contract)


def test_every_history_ends_at_the_state_of_the_model(make_pipeline: Callable[..., Any]) -> None:
    pipeline = make_pipeline("model", CONTRACT)
    items: list[Item] = []
    delivered: list[dict[str, Any]] = []
    played = drawn()
    for ends_with, _ in played:
        items += ends_with.values()
    for day in range(ROUNDS):
        part = [row for _, rows in played for row in rows[day::ROUNDS]]
        delivered += part
        deliver(pipeline, part, day)
        found = pipeline.load(CONTRACT.table).scan(selected_fields=("id", "version")).to_arrow().to_pylist()
        assert {row["id"]: row["version"] for row in found} == latest(delivered)

    log = pipeline.load(CONTRACT.log_name).scan(selected_fields=("change_id",)).to_arrow()
    assert set(log["change_id"].to_pylist()) == {row["change_id"] for row in delivered}
    differences = compare_items(items, pipeline.load(CONTRACT.table).scan().to_arrow(), CONTRACT)
    assert differences.empty, differences.to_string()
    assert len(played) >= PROFILE.max_examples
    assert len(items) > len(played) // 2
