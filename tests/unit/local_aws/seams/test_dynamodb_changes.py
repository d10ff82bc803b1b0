"""Every write to the local DynamoDB, by whatever call, makes exactly the records of what it changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ministack.services import dynamodb, dynamodb_streams

from local_aws.seams import dynamodb_changes
from local_aws.seams.dynamodb_changes import TIME_TO_LIVE, expire_items, same_item

Item = Mapping[str, Any]
Write = tuple[str, dict[str, Any]]
TABLE = "orders"
VIEWS = ("NEW_AND_OLD_IMAGES", "NEW_IMAGE", "OLD_IMAGE", "KEYS_ONLY")
ONE = {"id": {"S": "a"}, "at": {"N": "1"}}
FULL = [
    {"id": {"S": partition}, "at": {"N": sort}, "n": {"N": "1"}, "tags": {"SS": ["x"]}}
    | {"nested": {"M": {"n": {"N": "2"}, "l": {"L": [{"N": "3"}, {"S": ""}]}}}}
    for partition, sort in ("a1", "a2", "b1")
]
SOON_SECONDS = 1_000


def spelled(number: str) -> st.SearchStrategy[dict[str, str]]:
    return st.sampled_from([number, f"{number}.0", f"0{number}", f"{number}0e-1"]).map(lambda n: {"N": n})


keys = st.builds(
    lambda partition, sort: {"id": {"S": partition}, "at": sort},
    st.sampled_from("ab"),
    st.sampled_from("12").flatmap(spelled),
)
few_keys = st.lists(keys, min_size=1, max_size=3, unique_by=lambda k: (k["id"]["S"], float(k["at"]["N"])))
sets = st.lists(st.sampled_from("xyz"), min_size=1, unique=True).map(lambda members: {"SS": members})
numbers = st.sampled_from(["1", "1.50", "-2", "15e-1"])


@st.composite
def attributes(draw: Callable[..., Any]) -> dict[str, Any]:
    ages = [0, SOON_SECONDS, -SOON_SECONDS]
    number_sets = st.lists(st.sampled_from(["1.0", "2", "3e0"]), min_size=1, unique=True)
    optional = {
        "n": numbers.map(lambda n: {"N": n}),
        "tags": sets,
        "codes": number_sets.map(lambda members: {"NS": members}),
        "nested": numbers.map(lambda n: {"M": {"n": {"N": n}, "l": {"L": [{"N": n}, {"NULL": True}]}}}),
        "expires": st.sampled_from(ages).map(lambda s: {"N": str(int(time.time()) + s)}),
        "empty": st.just({"S": ""}),
    }
    return draw(st.fixed_dictionaries({}, optional=optional))


conditions = st.sampled_from(
    [
        {},
        {},
        {},
        {"ConditionExpression": "attribute_exists(id)"},
        {"ConditionExpression": "attribute_not_exists(id)"},
    ]
)
changes = st.sampled_from(
    [
        ("SET #n = if_not_exists(#n, :n) + :n", [":n"]),
        ("SET nested.n = :n", [":n"]),
        ("SET nested.l[1] = :n REMOVE nested.l[0]", [":n"]),
        ("SET #n = :n ADD tags :s", [":n", ":s"]),
        ("ADD #n :n", [":n"]),
        ("ADD tags :s", [":s"]),
        ("DELETE tags :s", [":s"]),
        ("REMOVE nested, #n", []),
        ("REMOVE nested.n", []),
    ]
)


@st.composite
def updates(draw: Callable[..., Any], key: Item) -> dict[str, Any]:
    expression, used = draw(changes)
    values = {":n": {"N": draw(numbers)}, ":s": draw(sets)}
    return (
        {"Key": key, "UpdateExpression": expression}
        | ({"ExpressionAttributeNames": {"#n": "n"}} if "#n" in expression else {})
        | ({"ExpressionAttributeValues": {name: values[name] for name in used}} if used else {})
        | draw(conditions)
    )


@st.composite
def statements(draw: Callable[..., Any], key: Item) -> dict[str, Any]:
    where = f'WHERE id = ? AND "at" = {key["at"]["N"]}'
    kind = draw(st.sampled_from(["INSERT", "UPDATE", "ARITHMETIC", "REMOVE", "NESTED", "DELETE", "SET_ADD"]))
    if kind == "INSERT":
        item = key | draw(attributes())
        members = ", ".join(f"'{name}': ?" for name in item)
        return {
            "Statement": f"INSERT INTO {TABLE} VALUE {{{members}}}",
            "Parameters": list(item.values()),
        }
    body = {
        "UPDATE": f"UPDATE {TABLE} SET n = {draw(numbers)} {where}",
        "ARITHMETIC": f"UPDATE {TABLE} SET n = n + 1 {where}",
        "REMOVE": f"UPDATE {TABLE} REMOVE tags {where}",
        "NESTED": f"UPDATE {TABLE} SET nested.l[0] = 2.0 {where}",
        "DELETE": f"DELETE FROM {TABLE} {where}",
        "SET_ADD": f"UPDATE {TABLE} SET tags = set_add(tags, <<'x'>>) {where}",
    }[kind]
    return {"Statement": body, "Parameters": [key["id"]]}


@st.composite
def members(draw: Callable[..., Any], key: Item) -> dict[str, Any]:
    """A member of TransactWriteItems."""
    request = {
        "Put": st.builds(lambda a, c: {"Item": key | a} | c, attributes(), conditions),
        "Delete": conditions.map(lambda c: {"Key": key} | c),
        "Update": updates(key),
        "ConditionCheck": st.just({"Key": key, "ConditionExpression": "attribute_exists(id)"}),
    }
    kind = draw(st.sampled_from(sorted(request)))
    return {kind: {"TableName": TABLE} | draw(request[kind])}


@st.composite
def writes(draw: Callable[..., Any]) -> Write:
    """One call that writes."""
    some = draw(few_keys)
    key = some[0]

    def each(strategy: Callable[[Item], st.SearchStrategy[Any]]) -> list[Any]:
        return [draw(strategy(one)) for one in some]

    def batched(one: Item) -> st.SearchStrategy[Any]:
        put = attributes().map(lambda a: {"PutRequest": {"Item": one | a}})
        return put | st.just({"DeleteRequest": {"Key": one}})

    makers: dict[str, Callable[[], dict[str, Any]]] = {
        "PutItem": lambda: {"Item": key | draw(attributes())} | draw(conditions),
        "UpdateItem": lambda: draw(updates(key)),
        "DeleteItem": lambda: {"Key": key} | draw(conditions),
        "BatchWriteItem": lambda: {"RequestItems": {TABLE: each(batched)}},
        "TransactWriteItems": lambda: {"TransactItems": each(members)},
        "ExecuteStatement": lambda: draw(statements(key)),
        "BatchExecuteStatement": lambda: {"Statements": each(statements)},
        "ExecuteTransaction": lambda: {"TransactStatements": each(statements)},
        "": dict,
    }
    operation = draw(st.sampled_from(sorted(makers)))
    return operation, makers[operation]()


def by_key(items: Sequence[Item]) -> dict[str, Item]:
    return {f"{item['id']['S']}/{item['at']['N']}": item for item in items}


def same(one: Item | None, other: Item | None) -> bool:
    return one == other or (one is not None and other is not None and same_item(one, other))


def expected(before: Mapping[str, Item], after: Mapping[str, Item]) -> dict[str, tuple[str, Any, Any]]:
    changed = [key for key in before | after if not same(before.get(key), after.get(key))]
    names = {(True, True): "MODIFY", (True, False): "REMOVE", (False, True): "INSERT"}
    return {k: (names[k in before, k in after], before.get(k), after.get(k)) for k in changed}


def check(record: Item, wanted: tuple[str, Any, Any], view: str) -> None:
    name, old, new = wanted
    change = record["dynamodb"]
    assert (record["eventName"], change["StreamViewType"]) == (name, view)
    has_old = view in ("NEW_AND_OLD_IMAGES", "OLD_IMAGE")
    has_new = view in ("NEW_AND_OLD_IMAGES", "NEW_IMAGE")
    assert same(change.get("OldImage"), old if has_old else None)
    assert same(change.get("NewImage"), new if has_new else None)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Item]:
    """What goes to Kinesis."""
    found: list[Item] = []
    monkeypatch.setattr(dynamodb, "_fan_out_to_kinesis", lambda _, record: found.append(record))
    return found


def create(orders: Any, view: str = VIEWS[0]) -> None:
    """A new table with both kinds of stream, and Time to Live."""
    orders.create(view=view)
    dynamodb._kinesis_destinations[TABLE] = [{"DestinationStatus": "ACTIVE"}]
    orders.call("UpdateTimeToLive", TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sequence=st.lists(writes(), min_size=1, max_size=12), view=st.sampled_from(VIEWS))
def test_the_records_of_any_writes_are_what_they_changed(
    orders: Any, sent: list[Item], sequence: list[Write], view: str
) -> None:
    create(orders, view)
    sent.clear()
    for full in FULL:
        orders.call("PutItem", Item=full)
    replayed = by_key(FULL)
    for operation, request in sequence:
        before, told, sent_before = by_key(orders.scan()), len(orders.records()), len(sent)
        with suppress(orders.refused):
            orders.call(operation, **request) if operation else asyncio.run(expire_items())
        wanted = expected(before, by_key(orders.scan()))
        for made, seen in ((orders.records()[told:], view), (sent[sent_before:], VIEWS[0])):
            found = {
                f"{r['dynamodb']['Keys']['id']['S']}/{r['dynamodb']['Keys']['at']['N']}": r for r in made
            }
            assert (len(made), found.keys()) == (len(wanted), wanted.keys()), (operation, request)
            for key, record in found.items():
                check(record, wanted[key], seen)
                assert record.get("userIdentity") == (None if operation else TIME_TO_LIVE)
        for record in sent[sent_before:]:
            [key] = by_key([record["dynamodb"]["Keys"]])
            replayed.pop(key, None)
            if "NewImage" in record["dynamodb"]:
                replayed[key] = record["dynamodb"]["NewImage"]
    told_of = [*orders.records(), *sent]
    assert len({record["eventID"] for record in told_of}) == len(told_of)
    now = by_key(orders.scan())
    assert replayed.keys() == now.keys()
    assert all(same(replayed[key], now[key]) for key in now)


@pytest.mark.parametrize(
    "write",
    [
        ("PutItem", {"Item": ONE | {"tags": {"SS": ["y", "x"]}}}),
        ("UpdateItem", {"Key": ONE, "UpdateExpression": "REMOVE gone"}),
        (
            "UpdateItem",
            {
                "Key": ONE,
                "UpdateExpression": "ADD tags :x",
                "ExpressionAttributeValues": {":x": {"SS": ["x"]}},
            },
        ),
        ("DeleteItem", {"Key": ONE | {"at": {"N": "2"}}}),
        ("ExecuteStatement", {"Statement": f"""UPDATE {TABLE} REMOVE gone WHERE id = 'a' AND "at" = 1"""}),
    ],
)
def test_a_write_that_changes_nothing_makes_no_record(orders: Any, sent: list[Item], write: Write) -> None:
    create(orders)
    orders.call("PutItem", Item=ONE | {"tags": {"SS": ["x", "y"]}})
    orders.call(write[0], **write[1])
    assert (len(orders.records()), len(sent)) == (1, 1)


def test_a_transaction_that_is_undone_makes_no_record(orders: Any, sent: list[Item]) -> None:
    create(orders)
    orders.call("PutItem", Item=ONE)
    insert = f"INSERT INTO {TABLE} VALUE {{'id': 'a', 'at': ?}}"
    both = [{"Statement": insert, "Parameters": [{"N": number}]} for number in ("2", "1")]
    with pytest.raises(orders.refused, match="TransactionCanceled"):
        orders.call("ExecuteTransaction", TransactStatements=both)
    assert (orders.scan(), len(orders.records()), len(sent)) == ([ONE], 1, 1)


@pytest.mark.parametrize(
    ("expires", "goes"),
    [
        ({"N": "-1"}, True),
        ({"N": "-1.5"}, True),
        ({"N": "1000"}, False),
        ({"N": str(-6 * 365 * 86_400)}, False),
        ({"S": "-1"}, False),
        ({"NULL": True}, False),
        (None, False),
    ],
)
def test_what_expires(orders: Any, sent: list[Item], expires: dict[str, Any] | None, goes: bool) -> None:
    create(orders)
    moment = {
        kind: value if value is True else str(int(time.time()) + float(value))
        for kind, value in (expires or {}).items()
    }
    orders.call("PutItem", Item=ONE | ({"expires": moment} if moment else {}))
    reaper = Thread(target=dynamodb._remove_item, args=(dynamodb._tables[TABLE], "a", "1"))
    reaper.name = "dynamodb-ttl-reaper"
    reaper.start()
    reaper.join()
    assert len(orders.scan()) == 1, "ministack's own reaper makes no record"
    asyncio.run(expire_items())
    assert (orders.scan() == []) is goes
    assert [record.get("userIdentity") for record in sent] == [None, TIME_TO_LIVE][: 1 + goes]


def test_getrecords_spells_the_user_as_its_api_does() -> None:
    dynamodb_changes.name_users_as_the_api_does()
    page = dynamodb_streams._cap_page_bytes(
        [{"eventID": "1", "userIdentity": TIME_TO_LIVE}, {"eventID": "2"}]
    )
    user = {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}
    assert page == [{"eventID": "1", "userIdentity": user}, {"eventID": "2"}]


def test_a_replica_has_the_writes_of_its_table_once(orders: Any, sent: list[Item]) -> None:
    create(orders)
    orders.call("UpdateTable", ReplicaUpdates=[{"Create": {"RegionName": "eu-west-1"}}])
    orders.call("ExecuteStatement", Statement=f"INSERT INTO {TABLE} VALUE {{'id': 'a', 'at': 1}}")
    replica = dynamodb._tables.get_scoped("000000000000", "eu-west-1", TABLE)
    assert replica["items"]["a"]["1"] == ONE
    assert len(orders.records()) == 1
    assert len(dynamodb._stream_records.get_scoped("000000000000", "eu-west-1", TABLE)) == 1
