"""The conversion core against what it replaces, on the same records, in one run.

python tests/benchmarks/bench_conversion.py [records]

Rows a second of CPU time, medians of several rounds in turn:
- against boto3's TypeDeserializer and json.dumps of every image that a record carries;
- against the same of the newest image alone, which is less than a change row holds;
- against the published sample's one-liner, which leaves types and old images away;
- with a column that is masked by a keyed hash, and with one that is tokenised, against none that is masked.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from boto3.dynamodb.types import TypeDeserializer
from report import at_least, medians, print_header, print_row

from dynaberg.contracts.contract import load_contract
from dynaberg.functions.change_row import ChangeConverter
from dynaberg.functions.masks import MaskKey
from dynaberg.source.traffic import split
from dynaberg.source.transactions_model import plan_changes

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


PEERS = {
    "TypeDeserializer, all images": (deserializer, at_least(3)),
    "TypeDeserializer, newest image": (newest_deserializer, None),
    "the sample's one-liner": (one_liner, at_least(1)),
}


def rows_per_cpu_second(convert: Callable[[Record], object], batches: Sequence[str]) -> float:
    """How fast batches as a Lambda gets them are converted, each parsed just before."""
    seconds, rows = 0.0, 0
    for batch in batches:
        records = json.loads(batch)
        started = time.process_time()
        for record in records:
            convert(record)
        seconds += time.process_time() - started
        rows += len(records)
    return rows / seconds


def masked(mask: str) -> Callable[[Record], object]:
    """The conversion with one masked column: the customer."""
    contract = load_contract(CONTRACT)
    columns = (replace(c, mask=mask) if c.name == "customer_id" else c for c in contract.columns)
    described = json.loads(replace(contract, columns=tuple(columns)).to_lambda_json())
    converter = ChangeConverter(described, MaskKey("k" * 64))
    return lambda record: converter.to_row(record, RECEIVED_AT_US)


def in_turn(ways: dict[str, Callable[[Record], object]], batches: Sequence[str]) -> dict[str, float]:
    return medians({name: partial(rows_per_cpu_second, way, batches) for name, way in ways.items()}, ROUNDS)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    converter = ChangeConverter(json.loads(load_contract(CONTRACT).to_lambda_json()))
    records = change_records(count)
    batches = [json.dumps(records[at : at + BATCH_RECORDS]) for at in range(0, count, BATCH_RECORDS)]
    ways: dict[str, Callable[[Record], object]] = {name: way for name, (way, _) in PEERS.items()}
    ways["ours"] = lambda record: converter.to_row(record, RECEIVED_AT_US)
    print_header("conversion core against, rows/s")
    rates = in_turn(ways, batches)
    for name, (_, limit) in PEERS.items():
        print_row(name, rates["ours"], rates[name], limit)
    # Afterwards: Python specializes code for what runs in it, and a function has one contract all its life.
    rates = in_turn({"hash": masked("hash"), "tokenise": masked("tokenise"), "ours": ways["ours"]}, batches)
    for mask in ("hash", "tokenise"):
        print_row(f"no mask: `{mask}` of one column", rates[mask], rates["ours"], at_least(0.85))


if __name__ == "__main__":
    main()
