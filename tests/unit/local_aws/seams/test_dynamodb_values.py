"""Numbers of the local DynamoDB are what they are worth, in every call; binaries what they hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Context, Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.examples import EXAMPLES

EXACT = Context(prec=300)
CHECKED = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
TABLE = "orders"
WHERE = """WHERE id = 'a' AND "at" ="""


@st.composite
def numbers(draw: Callable[..., Any], least: int = -130, most: int = 125) -> Decimal:
    """A number that DynamoDB takes."""
    digits = draw(st.integers(1, 10**38 - 1))
    leading = draw(st.integers(least, most))
    value = Decimal(digits).scaleb(leading - len(str(digits)) + 1, EXACT)
    return draw(st.sampled_from([value, value.copy_negate(), Decimal(0)]))


@st.composite
def spellings(draw: Callable[..., Any], value: Decimal) -> str:
    """A way to write a number."""
    exponent = draw(st.integers(-5, 5))
    text = f"{value.scaleb(-exponent, EXACT):f}"
    sign, text = ("-", text[1:]) if text.startswith("-") else (draw(st.sampled_from(["", "+"])), text)
    zeros = draw(st.sampled_from(["", "0", "000"]))
    text += (zeros and (zeros if "." in text else f".{zeros}")) or ""
    return f"{sign}{zeros}{text}{draw(st.sampled_from('eE'))}{exponent}"


def canonical(value: Decimal) -> str:
    text = f"{value:f}" if value else "0"
    return text.rstrip("0").rstrip(".") if "." in text else text


pairs = numbers().flatmap(lambda value: st.tuples(st.just(value), spellings(value), spellings(value)))


def key(number: str) -> dict[str, Any]:
    return {"id": {"S": "a"}, "at": {"N": number}}


def query(orders: Any, condition: str, filter_: str | None = None, **values: Any) -> list[Any]:
    names = {f"#{name}": name for name in ("at", "n") if f"#{name}" in f"{condition} {filter_}"}
    found: list[Any] = orders.call(
        "Query",
        KeyConditionExpression="id = :id" + condition,
        ExpressionAttributeValues={":id": {"S": "a"}} | {f":{name}": value for name, value in values.items()},
        **({"ExpressionAttributeNames": names} if names else {}),
        **({"FilterExpression": filter_} if filter_ else {}),
    )["Items"]
    return found


def found_with(orders: Any, number: str) -> dict[str, list[Any]]:
    """The items that each way to read finds with a number as the key."""
    by_key, one = key(number), {"N": number}
    statement = f"SELECT * FROM {TABLE} {WHERE}"
    get = [{"Get": {"TableName": TABLE, "Key": by_key}}]
    return {
        "get": [orders.call("GetItem", Key=by_key).get("Item")],
        "batch": orders.call("BatchGetItem", RequestItems={TABLE: {"Keys": [by_key]}})["Responses"][TABLE],
        "transaction": [
            each.get("Item") for each in orders.call("TransactGetItems", TransactItems=get)["Responses"]
        ],
        "query": query(orders, " AND #at = :n", n=one),
        "between": query(orders, " AND #at BETWEEN :n AND :n", n=one),
        "at least": query(orders, " AND #at >= :n", n=one),
        "filter": query(orders, "", "#n = :n", n=one),
        "in": query(orders, "", "#n IN (:n)", n=one),
        "nested": query(orders, "", "m.n = :n AND contains(l, :n)", n=one),
        "contains": query(orders, "", "contains(s, :n)", n=one),
        "size": query(orders, "", "s = :s", s={"NS": [number]}),
        "scan": orders.call(
            "Scan", FilterExpression="m = :m", ExpressionAttributeValues={":m": {"M": {"n": one}}}
        )["Items"],
        "statement": orders.call("ExecuteStatement", Statement=f"{statement} ?", Parameters=[one])["Items"],
        "literal": orders.call("ExecuteStatement", Statement=f"{statement} {number.lstrip('+')}")["Items"],
        "member": orders.call(
            "ExecuteStatement", Statement=f"SELECT * FROM {TABLE} WHERE contains(s, ?)", Parameters=[one]
        )["Items"],
    }


@CHECKED
@given(pair=pairs)
def test_a_number_is_one_key_however_it_is_spelled_and_comes_back_in_one_spelling(
    orders: Any, pair: tuple[Decimal, str, str]
) -> None:
    value, one, other = pair
    orders.create()
    item = key(one) | {
        "n": {"N": one},
        "l": {"L": [{"N": one}]},
        "m": {"M": {"n": {"N": one}}},
        "s": {"NS": [one]},
    }
    orders.call("PutItem", Item=item)
    n = {"N": canonical(value)}
    stored = key(n["N"]) | {"n": n, "l": {"L": [n]}, "m": {"M": {"n": n}}, "s": {"NS": [n["N"]]}}
    assert orders.records()[-1]["dynamodb"]["NewImage"] == stored
    assert [items for items in found_with(orders, other).items() if items[1] != [stored]] == []
    orders.call("PutItem", Item=key(other) | {"v": {"N": other}})
    assert orders.scan() == [key(n["N"]) | {"v": n}]
    orders.call("DeleteItem", Key=key(one))
    assert orders.scan() == []
    orders.call(
        "ExecuteStatement",
        Statement=f"INSERT INTO {TABLE} VALUE {{'id': 'a', 'at': ?}}",
        Parameters=[{"N": one}],
    )
    assert orders.scan() == [key(n["N"])]
    with pytest.raises(orders.refused, match="Duplicate"):
        orders.call(
            "ExecuteStatement",
            Statement=f"INSERT INTO {TABLE} VALUE {{'id': 'a', 'at': {other.lstrip('+')}}}",
        )
    orders.call("TransactWriteItems", TransactItems=[{"Delete": {"TableName": TABLE, "Key": key(other)}}])
    assert orders.scan() == []


@CHECKED
@given(values=st.lists(numbers(), min_size=1, max_size=8, unique=True), data=st.data())
def test_a_partition_is_in_the_order_of_its_numbers(orders: Any, values: list[Decimal], data: Any) -> None:
    orders.create()
    puts = [{"PutRequest": {"Item": key(data.draw(spellings(value)))}} for value in values]
    orders.call("BatchWriteItem", RequestItems={TABLE: puts})
    wanted = [canonical(value) for value in sorted(values)]

    def read(items: list[Any]) -> list[str]:
        return [item["at"]["N"] for item in items]

    assert read(query(orders, "")) == wanted
    assert (
        read(orders.call("ExecuteStatement", Statement=f"SELECT * FROM {TABLE} WHERE id = 'a'")["Items"])
        == wanted
    )
    assert read(query(orders, " AND #at < :n", n={"N": data.draw(spellings(max(values)))})) == wanted[:-1]
    paged, start = [], {}
    while True:
        page = orders.call(
            "Query",
            Limit=1,
            KeyConditionExpression="id = :id",
            ExpressionAttributeValues={":id": {"S": "a"}},
            **start,
        )
        paged += read(page["Items"])
        if "LastEvaluatedKey" not in page:
            break
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert paged == wanted


CALCULATIONS: Mapping[str, Callable[[str, str], tuple[str, dict[str, Any]]]] = {
    "SET": lambda sign, n: ("UpdateItem", update(f"SET #n = #n {sign} :n", n)),
    "SET the other way": lambda sign, n: (
        "TransactWriteItems",
        {"TransactItems": [{"Update": {"TableName": TABLE} | update(f"SET #n = #n {sign} :n", n)}]},
    ),
    "ADD": lambda sign, n: ("UpdateItem", update("ADD #n :n", negative(n) if sign == "-" else n)),
    "ADD in a transaction": lambda sign, n: (
        "TransactWriteItems",
        {
            "TransactItems": [
                {"Update": {"TableName": TABLE} | update("ADD #n :n", negative(n) if sign == "-" else n)}
            ]
        },
    ),
    "AttributeUpdates": lambda sign, n: (
        "UpdateItem",
        {
            "Key": key("1.0"),
            "AttributeUpdates": {"n": {"Action": "ADD", "Value": {"N": negative(n) if sign == "-" else n}}},
        },
    ),
    "PartiQL": lambda sign, n: (
        "ExecuteStatement",
        {"Statement": f"UPDATE {TABLE} SET n = n {sign} ? {WHERE} 1", "Parameters": [{"N": n}]},
    ),
}


def negative(number: str) -> str:
    return number[1:] if number.startswith("-") else f"-{number}"


def update(expression: str, number: str) -> dict[str, Any]:
    return {
        "Key": key("1.0"),
        "UpdateExpression": expression,
        "ExpressionAttributeNames": {"#n": "n"},
        "ExpressionAttributeValues": {":n": {"N": number}},
    }


@CHECKED
@given(
    left=numbers(-20, 20) | numbers(),
    right=numbers(-20, 20) | numbers(),
    sign=st.sampled_from("+-"),
    way=st.sampled_from(sorted(CALCULATIONS)),
)
def test_sums_are_exact_or_refused(orders: Any, left: Decimal, right: Decimal, sign: str, way: str) -> None:
    orders.create()
    orders.call("PutItem", Item=key("1") | {"n": {"N": str(left)}})
    result = EXACT.add(left, right) if sign == "+" else EXACT.subtract(left, right)
    digits = EXACT.normalize(result).as_tuple().digits
    fits = not result or (len(digits) <= 38 and -130 <= result.adjusted() <= 125)
    operation, request = CALCULATIONS[way](sign, canonical(right))
    if fits:
        orders.call(operation, **request)
    else:
        with pytest.raises(orders.refused, match=r"Validation|TransactionCanceled"):
            orders.call(operation, **request)
    assert orders.scan()[0]["n"]["N"] == canonical(result if fits else left)


WRITES: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "PutItem": lambda item: {"Item": item},
    "BatchWriteItem": lambda item: {"RequestItems": {TABLE: [{"PutRequest": {"Item": item}}]}},
    "TransactWriteItems": lambda item: {"TransactItems": [{"Put": {"TableName": TABLE, "Item": item}}]},
    "ExecuteStatement": lambda item: statement_of(item),
    "ExecuteTransaction": lambda item: {"TransactStatements": [statement_of(item)]},
    "UpdateItem": lambda item: {
        "Key": {name: item[name] for name in ("id", "at")},
        "UpdateExpression": "SET #n = :n",
        "ExpressionAttributeNames": {"#n": "n"},
        "ExpressionAttributeValues": {":n": item.get("n", {"S": ""})},
    },
}


def statement_of(item: dict[str, Any]) -> dict[str, Any]:
    members = ", ".join(f"'{name}': ?" for name in item)
    return {"Statement": f"INSERT INTO {TABLE} VALUE {{{members}}}", "Parameters": list(item.values())}


REFUSED = [
    {"N": "1" * 39},
    {"N": "1." + "1" * 38},
    {"N": "1e126"},
    {"N": "-1e126"},
    {"N": "9.9e-131"},
    {"N": "abc"},
    {"N": ""},
    {"N": " 1"},
    {"N": "NaN"},
    {"N": "Infinity"},
    {"NS": ["1.50", "1.5"]},
    {"NS": ["15e-1", "1.5"]},
    {"NS": ["1", "x"]},
    {"NS": []},
    {"BS": ["YQ==", "YR=="]},
]
NESTED: list[Callable[[Any], Any]] = [
    lambda value: value,
    lambda value: {"M": {"x": {"L": [{"NULL": True}, value]}}},
]


@pytest.mark.parametrize("nested", NESTED)
@pytest.mark.parametrize("value", REFUSED)
@pytest.mark.parametrize("operation", sorted(WRITES))
def test_what_is_no_value_is_refused_in_every_write(
    orders: Any, operation: str, value: dict[str, Any], nested: Callable[[Any], Any]
) -> None:
    orders.create()
    with pytest.raises(orders.refused, match=r"Validation|Canceled"):
        orders.call(operation, **WRITES[operation](key("1") | {"n": nested(value)}))
    assert orders.scan() == []
    if operation == "ExecuteStatement":
        orders.call("PutItem", Item=key("1"))
        with pytest.raises(orders.refused, match="Validation"):
            orders.call(
                operation, Statement=f"UPDATE {TABLE} SET n = ? {WHERE} 1", Parameters=[nested(value)]
            )


@pytest.mark.parametrize("number", [value["N"] for value in REFUSED if "N" in value])
def test_what_is_no_number_is_refused_as_a_key_and_as_an_operand(orders: Any, number: str) -> None:
    orders.create()
    orders.call("PutItem", Item=key("1"))
    reads: dict[str, Callable[[], Any]] = {
        "get": lambda: orders.call("GetItem", Key=key(number)),
        "delete": lambda: orders.call("DeleteItem", Key=key(number)),
        "batch": lambda: orders.call("BatchGetItem", RequestItems={TABLE: {"Keys": [key(number)]}}),
        "transaction": lambda: orders.call(
            "TransactGetItems", TransactItems=[{"Get": {"TableName": TABLE, "Key": key(number)}}]
        ),
        "query": lambda: query(orders, " AND #at = :n", n={"N": number}),
        "filter": lambda: query(orders, "", "#n = :n", n={"N": number}),
        "scan": lambda: orders.call(
            "Scan", FilterExpression="m = :m", ExpressionAttributeValues={":m": {"N": number}}
        ),
        "start": lambda: orders.call("Scan", ExclusiveStartKey=key(number)),
        "statement": lambda: orders.call(
            "ExecuteStatement", Statement=f"SELECT * FROM {TABLE} {WHERE} ?", Parameters=[{"N": number}]
        ),
    }
    for name, read in reads.items():
        with pytest.raises(orders.refused, match="Validation"):
            print(name, read())


@pytest.mark.parametrize("operation", sorted(WRITES))
@pytest.mark.parametrize(
    ("sort", "bad"),
    [
        ("S", {"at": {"S": ""}}),
        ("B", {"at": {"B": ""}}),
        ("S", {"id": {"S": ""}, "at": {"S": "x"}}),
        ("S", {"at": {"N": "1"}}),
        ("N", {"at": {"S": "1"}}),
        ("N", {"at": {"NULL": True}}),
    ],
)
def test_a_bad_key_is_refused_in_every_write(
    orders: Any, operation: str, sort: str, bad: dict[str, Any]
) -> None:
    orders.create(sort)
    with pytest.raises(orders.refused, match=r"Validation|Canceled"):
        orders.call(operation, **WRITES[operation]({"id": {"S": "a"}} | bad))
    assert orders.scan() == []


@pytest.mark.parametrize("operation", ["ExecuteStatement", "ExecuteTransaction"])
def test_a_statement_without_the_whole_key_is_refused(orders: Any, operation: str) -> None:
    orders.create()
    with pytest.raises(orders.refused, match=r"Validation|Canceled"):
        orders.call(operation, **WRITES[operation]({"id": {"S": "a"}}))
    assert orders.scan() == []


@pytest.mark.parametrize("change", ['SET "at" = 2', "SET id = 'b'", 'REMOVE "at"'])
def test_a_statement_does_not_change_a_key(orders: Any, change: str) -> None:
    orders.create()
    orders.call("PutItem", Item=key("1"))
    with pytest.raises(orders.refused, match="part of the key"):
        orders.call("ExecuteStatement", Statement=f"UPDATE {TABLE} {change} {WHERE} 1")
    assert (orders.scan(), len(orders.records())) == ([key("1")], 1)


@pytest.mark.parametrize("change", ["ADD s :s", "DELETE s :s"])
def test_the_members_of_number_sets_are_told_apart_by_value(orders: Any, change: str) -> None:
    orders.create()
    orders.call("PutItem", Item=key("1") | {"s": {"NS": ["1.5", "20", "0"]}})
    orders.call(
        "UpdateItem",
        Key=key("1"),
        UpdateExpression=change,
        ExpressionAttributeValues={":s": {"NS": ["1.50", "2e1", "-0.0"]}},
    )
    held = orders.scan()[0].get("s")
    assert held is None if "DELETE" in change else sorted(held["NS"]) == ["0", "1.5", "20"]


def test_a_binary_is_one_key_however_it_is_spelled(orders: Any) -> None:
    orders.create("B")
    orders.call("PutItem", Item={"id": {"S": "a"}, "at": {"B": "YR=="}, "b": {"BS": ["YR=="]}})
    stored = {"id": {"S": "a"}, "at": {"B": "YQ=="}, "b": {"BS": ["YQ=="]}}
    assert orders.scan() == [stored]
    assert orders.call("GetItem", Key={"id": {"S": "a"}, "at": {"B": "YR=="}})["Item"] == stored


def test_what_only_looks_like_a_value_stays_as_it_is(orders: Any) -> None:
    orders.create()
    item = key("1") | {"N": {"S": "1.50"}, "B": {"M": {"N": {"S": "2.0"}}}, "x": {"S": '"N": "1.50"'}}
    orders.call("PutItem", Item=item)
    assert orders.scan() == [item]


@CHECKED
@given(value=numbers(), data=st.data())
def test_the_numbers_of_a_statement_are_read_exactly(orders: Any, value: Decimal, data: Any) -> None:
    one, two, three = (data.draw(spellings(value)).lstrip("+") for _ in range(3))
    orders.create()
    item = f"{{'id': 'a', 'at': {one}, 's': <<{two}>>, 'm': {{'l': [{three}]}}}}"
    orders.call("ExecuteStatement", Statement=f"INSERT INTO {TABLE} VALUE {item}")
    text = canonical(value)
    stored = key(text) | {"s": {"NS": [text]}, "m": {"M": {"l": {"L": [{"N": text}]}}}}
    assert orders.scan() == [stored]
    orders.call("ExecuteStatement", Statement=f"UPDATE {TABLE} SET m = {two} {WHERE} {three}")
    assert orders.scan() == [stored | {"m": {"N": text}}]
    with pytest.raises(orders.refused, match="duplicates"):
        orders.call("ExecuteStatement", Statement=f"UPDATE {TABLE} SET s = <<{one}, {two}>> {WHERE} {three}")
