"""Items as other programs write them, in one pipeline: odd names, moments, nulls, mixed types, great size."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from dynaberg import layers, past
from dynaberg.contracts.contract import Column, Contract
from dynaberg.delivery.failures import failures
from dynaberg.functions.packing import is_packed, unpack
from dynaberg.proof.comparison import NOT_LOGGED
from dynaberg.proof.reconcile import reconcile
from dynaberg.sql.query import query

pytestmark = pytest.mark.thorough

CONTRACT = Contract(
    "transactions",
    "odd-source",
    "id",
    None,
    (
        Column("id", "string"),
        Column("version", "long"),
        Column("card_number", "string", mask="last4", attribute="cardNumber"),
        Column("item_operation", "string", attribute="operation"),
        Column("seen_at", "timestamptz", attribute="seenAt", round="microsecond", zone="UTC"),
        Column("numbers", "list<long>"),
        Column("labels", "map<string,json>"),
        Column("place", "struct<city: string, zip: int, deep: list<decimal(10,2)>>"),
        Column("document", "json"),
    ),
)
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
CARD = "4111111111111111"
# By who writes them so: JavaScript, .NET, Java, Python; and the first and the last moment of the calendar.
MOMENTS = {
    "2026-01-31T12:00:00.029Z": NOON + timedelta(milliseconds=29),
    "2026-01-31T15:00:00.1234567+03:00": NOON + timedelta(microseconds=123457),
    "2026-01-31T12:00:00.123456499Z": NOON + timedelta(microseconds=123456),
    "2026-01-31T12:00:00.123456": NOON + timedelta(microseconds=123456),
    "0001-01-01T00:00:00Z": datetime.min.replace(tzinfo=UTC),
    "9999-12-31T23:59:59.999Z": datetime.max.replace(microsecond=999_000, tzinfo=UTC),
}
SENTINEL = "9999-12-31T23:59:59-05:00"
REPLICATED = {
    "aws:rep:deleting": {"BOOL": False},
    "aws:rep:updatetime": {"N": "1764000000.123001"},
    "aws:rep:updateregion": {"S": "eu-west-1"},
    "a.b-c d": {"S": "odd"},
    "Ünïcödé": {"M": {"": {"NULL": True}}},
    "select": {"NS": ["1"]},
    "unmapped": {"S": "not ours"},
}
# A json column has another type in each item, as in a table of many kinds of entities.
DOCUMENTS: dict[str, Any] = {
    "map": {"M": {"name": {"S": "abc"}, "deep": {"L": [{"M": {"percent": {"N": "25.5"}}}, {"NULL": True}]}}},
    "number": {"N": "1e+30"},
    "set": {"NS": ["1", "2"]},
    "empty map": {"M": {}},
    "empty list": {"L": []},
    "empty text": {"S": ""},
    "null": {"NULL": True},
    "false": {"BOOL": False},
}
EMPTY: dict[str, dict[str, Any]] = {
    "absent": {},
    "nulls": {name: {"NULL": True} for name in ("numbers", "labels", "place")},
    "empty": {"numbers": {"L": []}, "labels": {"M": {}}, "place": {"M": {}}},
    "null inside": {
        "numbers": {"L": [{"NULL": True}, {"N": "1"}]},
        "labels": {"M": {"": {"NULL": True}, "a b": {"S": ""}, "no": {"BOOL": False}}},
        "place": {"M": {"city": {"NULL": True}, "zip": {"N": "7"}, "deep": {"L": [{"NULL": True}]}}},
    },
}
LARGE: dict[str, dict[str, Any]] = {
    "texts": {"body": {"S": "x" * 390_000}},
    "numbers": {"numbers": {"L": [{"N": str(n % 90 + 10)} for n in range(33_000)]}},
    "map": {"document": {"M": {f"k{n}": {"M": {"a": {"N": "1"}, "b": {"S": "x"}}} for n in range(9_000)}}},
}
# What Firehose takes only if it is packed: in a `json` column, in a column of another type, without a column.
PACKED: dict[str, dict[str, Any]] = {
    "json": {"document": {"M": {f"k{n}": {"M": {"a": {"N": "1"}, "b": {"S": "x"}}} for n in range(17_000)}}},
    "typed": {"labels": {"M": {"k": {"S": "\x01" * 390_000}}}, "numbers": {"L": [{"N": "1"}]}},
    "unmapped": {"body": {"S": '"' * 390_000}},
}
# Without a column, but kept whole: the longest name that DynamoDB takes, and a great many attributes.
WIDE: dict[str, dict[str, Any]] = {
    "long name": {"n" * 65_535: {"S": "x"}, "a.b c 😀": {"N": "1"}},
    "2,000 attributes": {f"Attribute{number}": {"N": str(number)} for number in range(2_000)},
}
ITEMS: dict[str, dict[str, Any]] = {
    **WIDE,
    "named": {"cardNumber": {"S": CARD}, "operation": {"S": "SELL"}, **REPLICATED},
    **{f"at {text}": {"seenAt": {"S": text}} for text in MOMENTS},
    "sentinel": {"seenAt": {"S": SENTINEL}},
    **{f"document {name}": {"document": value} for name, value in DOCUMENTS.items()},
    **{f"nested {name}": attributes for name, attributes in EMPTY.items()},
    **{f"large {name}": attributes for name, attributes in LARGE.items()},
    **{f"packed {name}": attributes for name, attributes in PACKED.items()},
}


@dataclass(frozen=True)
class Delivered:
    """The pipeline, and all that its tables hold."""

    pipeline: Any
    parts: Any
    log: list[dict[str, Any]]
    rows: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def delivered(make_pipeline: Callable[..., Any]) -> Delivered:
    """Every item is written twice, so that its old image comes too; one of them cannot be delivered."""
    pipeline = make_pipeline("odd", CONTRACT)
    parts = (pipeline.session, pipeline.settings, CONTRACT)
    for version in "01":
        for id_, attributes in ITEMS.items():
            pipeline.write({"id": {"S": id_}, "version": {"N": version}, **attributes})
    pipeline.wait_for_log(2 * len(ITEMS) - 2)
    layers.refresh(*parts)
    log = pipeline.load(CONTRACT.log_name).scan().to_arrow().to_pylist()
    rows = pipeline.load(CONTRACT.table).scan().to_arrow().to_pylist()
    return Delivered(pipeline, parts, log, {row["id"]: row for row in rows})


def test_only_what_no_column_can_hold_is_missing_and_it_is_named(delivered: Delivered) -> None:
    report = reconcile(*delivered.parts)
    assert report.df[["id", "problem", "cause"]].to_numpy().tolist() == [["sentinel", "missing", NOT_LOGGED]]
    failed = failures(*delivered.parts)
    assert failed["id"].tolist() == ["sentinel", "sentinel"]
    assert failed["error_code"].tolist() == ["Conversion.OutOfRange"] * 2
    assert failed["error_message"].str.contains(SENTINEL).all()


def test_names_of_others_are_kept_and_reached(delivered: Delivered) -> None:
    row = delivered.rows["named"]
    assert (row["card_number"], row["item_operation"]) == ("****1111", "SELL")
    assert json.loads(row["unmapped"]) == REPLICATED
    for change in delivered.log:
        assert CARD not in json.dumps(change, default=str)
        if change["id"] == "named":
            assert json.loads(change["unmapped"]) == REPLICATED
    sql = (
        """SELECT json_extract_scalar(unmapped, '$["aws:rep:updateregion"].S') AS region, """
        """json_extract_scalar(unmapped, '$["a.b-c d"].S') AS odd FROM transactions WHERE id = 'named'"""
    )
    found = query(*delivered.parts[:2], sql).df
    assert found.to_numpy().tolist() == [["eu-west-1", "odd"]]
    history = past.item_history(*delivered.parts, {"id": "named"})
    first = history[history["operation"] == "INSERT"].set_index("attribute")["after"]
    assert first["aws:rep:updatetime"] == Decimal("1764000000.123001")
    assert set(REPLICATED) <= set(first.index)
    assert CARD not in history.to_string()


@pytest.mark.parametrize("name", WIDE)
def test_attributes_of_any_name_and_number_are_kept(delivered: Delivered, name: str) -> None:
    assert json.loads(unpack(delivered.rows[name]["unmapped"])) == WIDE[name]


@pytest.mark.parametrize(("text", "moment"), MOMENTS.items())
def test_moments_of_every_library_are_the_moments(delivered: Delivered, text: str, moment: datetime) -> None:
    assert delivered.rows[f"at {text}"]["seen_at"] == moment


@pytest.mark.parametrize("name", DOCUMENTS)
def test_one_attribute_of_many_types(delivered: Delivered, name: str) -> None:
    value = json.loads(delivered.rows[f"document {name}"]["document"])
    assert value == (DOCUMENTS[name] if name != "number" else {"N": "1" + "0" * 30})


def test_nulls_and_empties_stay_what_they_are(delivered: Delivered) -> None:
    nothing = {"city": None, "zip": None, "deep": None}
    inside = (
        [None, 1],
        {"": '{"NULL":true}', "a b": '{"S":""}', "no": '{"BOOL":false}'},
        {"city": None, "zip": 7, "deep": [None]},
    )
    expected = {
        "absent": (None, None, None),
        "nulls": (None, None, None),
        "empty": ([], {}, nothing),
        "null inside": inside,
    }

    def found(row: Any) -> tuple[Any, ...]:
        return row["numbers"], row["labels"] if row["labels"] is None else dict(row["labels"]), row["place"]

    frames = {
        "query": query(*delivered.parts[:2], "SELECT * FROM transactions").df,
        "state_as_of": past.state_as_of(*delivered.parts, datetime.now(UTC)),
    }
    for name, values in expected.items():
        assert found(delivered.rows[f"nested {name}"]) == values
        for way, frame in frames.items():
            (row,) = frame[frame["id"] == f"nested {name}"].to_dict("records")
            assert found(row) == values, way


def test_large_items_arrive_whole_with_their_old_image(delivered: Delivered) -> None:
    for name, attributes in LARGE.items():
        assert delivered.rows[f"large {name}"]["version"] == 1, name
        (change,) = (c for c in delivered.log if c["id"] == f"large {name}" and c["operation"] == "MODIFY")
        assert is_packed(change["old_image"]) is (name == "map")
        assert json.loads(unpack(change["old_image"]))["version"] == {"N": "0"}, name
        for attribute, value in attributes.items():
            assert attribute != "document" or json.loads(change["document"]) == value


def test_what_is_packed_is_read_as_it_was_by_every_way(delivered: Delivered) -> None:
    pipeline = delivered.pipeline
    assert is_packed(delivered.rows["packed json"]["document"])
    assert delivered.rows["packed typed"]["labels"] is None
    assert is_packed(delivered.rows["packed unmapped"]["unmapped"])
    table = pipeline.load(CONTRACT.table)
    now = table.current_snapshot().snapshot_id
    frames = {
        "read_as_of": past.read_as_of(*delivered.parts[:2], table, now, contract=CONTRACT),
        "state_as_of": past.state_as_of(*delivered.parts, datetime.now(UTC)),
    }
    for way, frame in frames.items():
        rows = {row["id"]: row for row in frame.to_dict("records")}
        assert json.loads(rows["packed json"]["document"]) == PACKED["json"]["document"], way
        typed = rows["packed typed"]
        assert json.loads(typed["labels"]["k"]) == PACKED["typed"]["labels"]["M"]["k"], way
        assert (typed["numbers"], typed["version"]) == ([1], 1), way
        assert json.loads(rows["packed unmapped"]["unmapped"]) == PACKED["unmapped"], way
    alone = past.state_as_of(*delivered.parts, datetime.now(UTC), columns=("id", "labels"))
    assert alone.columns.tolist() == ["id", "labels"]
    assert alone.set_index("id")["labels"]["packed typed"] == typed["labels"]
    history = past.item_history(*delivered.parts, {"id": "packed json"})
    assert history["attribute"].tolist() == ["version", "document", "version"]
    assert json.loads(history["after"][1]) == PACKED["json"]["document"]


def test_reconcile_compares_what_is_packed(delivered: Delivered) -> None:
    keys = [f"packed {name}" for name in PACKED]
    report = reconcile(*delivered.parts, partition_keys=keys)
    assert (report.matches, report.packed) == (True, len(PACKED)), report
    assert "3 rows hold packed values, which were compared unpacked." in report.summary
    changed = {"id": {"S": keys[0]}, "version": {"N": "1"}, "document": {"M": {}}}
    whole = {"id": {"S": keys[0]}, "version": {"N": "1"}, **PACKED["json"]}
    delivered.pipeline.write(changed)
    assert set(reconcile(*delivered.parts, partition_keys=keys).df["column"]) == {"document"}
    before = delivered.pipeline.load(CONTRACT.table).current_snapshot().snapshot_id
    delivered.pipeline.write(whole)
    delivered.pipeline.wait_for_log(2 * len(ITEMS))
    layers.refresh(*delivered.parts)
    table = delivered.pipeline.load(CONTRACT.table)
    after = table.current_snapshot().snapshot_id
    differences = past.changes_between(table, before, after, key=["id"], contract=CONTRACT)
    assert set(differences["column"]) == {"changed_at", "sequence_number"}


def test_what_expires_goes_and_the_log_says_who_deleted_it(delivered: Delivered) -> None:
    pipeline, dynamodb = delivered.pipeline, delivered.pipeline.session.client("dynamodb")
    table, keys = CONTRACT.source_table, [{"id": {"S": id_}} for id_ in ("expired", "deleted", "lasting")]
    dynamodb.update_time_to_live(
        TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
    )
    for key, seconds in zip(keys, (2, 1_000, 1_000), strict=True):
        pipeline.write({**key, "expires": {"N": str(int(time.time()) + seconds)}})
    dynamodb.delete_item(TableName=table, Key=keys[1])
    deadline, deletions = time.monotonic() + 60, {}
    while len(deletions) < 2:
        assert time.monotonic() < deadline, f"only {deletions} arrived"
        time.sleep(0.5)
        log = pipeline.load(CONTRACT.log_name).scan().to_arrow().to_pylist()
        deletions = {c["id"]: c["deleted_by"] for c in log if c["operation"] == "REMOVE"}
    assert deletions == {"expired": "dynamodb.amazonaws.com", "deleted": None}
    layers.refresh(*delivered.parts)
    left = pipeline.load(CONTRACT.table).scan(selected_fields=("id",)).to_arrow()["id"].to_pylist()
    assert set(left) == {*delivered.rows, "lasting"}
    assert reconcile(*delivered.parts).df["id"].tolist() == ["sentinel"]
