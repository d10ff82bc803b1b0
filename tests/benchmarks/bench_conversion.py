"""The conversion core against what it replaces, on the same records, in one run.

python tests/benchmarks/bench_conversion.py [records]

Two ratios of rows a second are printed, medians of several rounds in turn:
- against boto3's TypeDeserializer and json.dumps of every image that a record carries (at least 3);
- against the published sample's one-liner, which leaves types and old images away (at least 1).
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from dynaberg.contract import load_contract
from dynaberg.functions.conversion import ChangeConverter
from dynaberg.traffic import split
from dynaberg.transactions_model import plan_changes

CONTRACT = Path(__file__).parents[2] / "data" / "tables" / "transactions.yaml"
MIX = (0.60, 0.25, 0.15)
ROUNDS = 9
BATCH_RECORDS = 500
RECEIVED_AT_US = 1_764_000_000_000_000
ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/financial-transactions/stream/2026-01-01T00:00:00.000"

Record = dict[str, Any]
_deserialize = TypeDeserializer().deserialize


def change_records(count: int) -> list[Record]:
    """Change records of the traffic model."""
    items: dict[str, Any] = {}
    records = []
    for number, change in enumerate(
        plan_changes(split(count, MIX), seed=7, now=datetime(2026, 1, 1, tzinfo=UTC))
    ):
        key, old = change.transaction.key(), items.pop(change.transaction.transaction_id, None)
        images = {"OldImage": old} if old else {}
        if change.operation != "REMOVE":
            images["NewImage"] = items[change.transaction.transaction_id] = change.transaction.item()
        dynamodb = {
            "ApproximateCreationDateTime": 1_764_000_000,
            "Keys": key,
            "SequenceNumber": f"{number:021d}",
        }
        records.append(
            {
                "eventID": f"{number:032x}",
                "eventName": change.operation,
                "eventSourceARN": ARN,
                "dynamodb": dynamodb | images,
            }
        )
    return records


def images(record: Record) -> list[Record]:
    change = record["dynamodb"]
    return [change[name] for name in ("NewImage", "OldImage") if name in change]


def deserializer(record: Record) -> None:
    for image in images(record):
        json.dumps({name: _deserialize(attribute) for name, attribute in image.items()}, default=str)


def newest_deserializer(record: Record) -> None:
    image = images(record)[0]
    json.dumps({name: _deserialize(attribute) for name, attribute in image.items()}, default=str)


def one_liner(record: Record) -> None:
    image = images(record)[0]
    json.dumps({name: list(attribute.values())[0] for name, attribute in image.items()})  # noqa: RUF015


def cpu_seconds(convert: Callable[[Record], object], batches: Sequence[str]) -> float:
    """What converting costs, of batches as a Lambda gets them: each parsed just before."""
    total = 0.0
    for batch in batches:
        records = json.loads(batch)
        started = time.process_time()
        for record in records:
            convert(record)
        total += time.process_time() - started
    return total


def measure(count: int) -> dict[str, float]:
    """Rows a second of each, medians of rounds in which each has its turn."""
    converter = ChangeConverter(json.loads(load_contract(CONTRACT).to_lambda_json()))
    records = change_records(count)
    batches = [json.dumps(records[at : at + BATCH_RECORDS]) for at in range(0, count, BATCH_RECORDS)]
    ways: dict[str, Callable[[Record], object]] = {
        "ChangeConverter": lambda record: converter.to_row(record, RECEIVED_AT_US),
        "TypeDeserializer, all images": deserializer,
        "TypeDeserializer, newest image": newest_deserializer,
        "the sample's one-liner": one_liner,
    }
    times = [{name: cpu_seconds(way, batches) for name, way in ways.items()} for _ in range(ROUNDS)]
    return {name: count / statistics.median(run[name] for run in times) for name in ways}


def main() -> None:
    rates = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 5_000)
    ours = rates["ChangeConverter"]
    for name, rate in rates.items():
        print(f"{name:<32}{rate:>10,.0f} rows/s{ours / rate:>8.2f}x")


if __name__ == "__main__":
    main()
