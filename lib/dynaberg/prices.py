"""List prices of AWS, dated and with their source: `prices.yaml` is the one place where they are written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from pathlib import Path
from typing import Any

import yaml

PRICES = Path(__file__).with_name("prices.yaml")
GB = Decimal(10**9)
# "Amazon Athena pricing": at least 10 MB for each query.
LEAST_QUERY_BYTES = 10_000_000


@dataclass(frozen=True)
class Price:
    """One price of AWS.

    Attributes:
        service: Who bills it.
        usd: US dollars for one unit.
        unit: What is counted.
        seen: `page` if it was read on AWS's page, `memory` if it was not.
    """

    service: str
    usd: Decimal
    unit: str
    seen: str


def total_usd(amounts: Iterable[Decimal]) -> Decimal:
    """The sum of a bill's amounts, exact."""
    return sum(amounts, Decimal(0))


def query_usd(bytes_scanned: int) -> Decimal:
    """What Athena bills for a query: by the terabyte, at least 10 MB; DDL scans nothing and costs nothing."""
    billed = max(bytes_scanned, LEAST_QUERY_BYTES) if bytes_scanned else 0
    return billed / (1000 * GB) * price("athena-scan").usd


def idle_usd_per_month(kind: str) -> Decimal:
    """What a resource costs while nothing happens.

    Args:
        kind: Its CloudFormation type, such as `AWS::Kinesis::Stream`.
    """
    found = _file()["idle"].get(kind)
    return Decimal(found["units_per_month"]) * price(found["price"]).usd if found else Decimal(0)


def price_date() -> str:
    """Region and date of the prices, in words."""
    return f"list prices of {_file()['region']}, {_file()['seen_on']}"


def usd(amount: Decimal) -> str:
    """An amount in words, to the cent; less than a cent is shown as such."""
    cents = amount.quantize(Decimal("0.01"), ROUND_HALF_EVEN)
    return "less than $0.01" if amount and not cents else f"${cents:,}"


@cache
def price(key: str) -> Price:
    """A price of `prices.yaml` by its key, such as `kinesis-stream`."""
    found = _file()["prices"][key]
    return Price(found["service"], Decimal(found["usd"]) / found["per"], found["unit"], found["seen"])


@cache
def _file() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(PRICES.read_text(encoding="utf-8"))
    return content


def assumed(name: str) -> Decimal:
    """An assumption of `prices.yaml` by its name, such as `images_per_change`."""
    return Decimal(_file()["assumptions"][name])
