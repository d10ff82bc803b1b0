"""The model behind the traffic: what transactions look like, and how each of them changes.

A few customers and a few merchants make most of the transactions. A merchant's category determines which
amounts are usual, a hidden fraud triggers several checks at once, the checks add up to the risk score, and
the risk score determines the status. The same seed and the same moment make the same transactions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from random import Random
from typing import Any, NamedTuple

# Per merchant category: how often, the usual amount, how widely amounts spread, what they are paid with.
PREFIX = "TXN_"
"""How the id of a generated transaction begins."""
_PAYMENT_METHODS = ("CREDIT_CARD", "DEBIT_CARD", "DIGITAL_WALLET", "BANK_TRANSFER")
_CATEGORIES = {
    "RETAIL": (30, 42.0, 0.8, (45, 30, 22, 3)),
    "DINING": (24, 27.0, 0.6, (40, 35, 25, 0)),
    "ENTERTAINMENT": (14, 19.0, 0.7, (45, 20, 34, 1)),
    "UTILITIES": (11, 95.0, 0.5, (15, 25, 5, 55)),
    "HEALTHCARE": (8, 120.0, 0.9, (45, 35, 5, 15)),
    "TRAVEL": (8, 310.0, 1.0, (75, 10, 10, 5)),
    "FINANCIAL_SERVICES": (5, 450.0, 1.1, (5, 15, 5, 75)),
}
_REGIONS = ("US_EAST", "US_WEST", "EU", "APAC")
_CURRENCIES = {"US_EAST": ("USD",), "US_WEST": ("USD",), "EU": ("EUR", "EUR", "EUR", "GBP"), "APAC": ("INR",)}
_AUTHENTICATION = {
    "MOBILE": ("BIOMETRIC", "BIOMETRIC", "BIOMETRIC", "2FA", "PASSWORD"),
    "WEB": ("2FA", "2FA", "PASSWORD", "PASSWORD"),
    "POS": ("PIN",),
    "ATM": ("PIN",),
}
_OWN_DEVICES = ("MOBILE", "WEB", "POS")
_RISK_POINTS = {"REVIEW": 1, "FLAG": 2, "HIGH": 1, "VERY_HIGH": 2, "SUSPICIOUS": 2}
_FIRST_STATUS = {
    "LOW": (("PENDING_REVIEW", 40), ("APPROVED", 60)),
    "MEDIUM": (("PENDING_REVIEW", 80), ("APPROVED", 15), ("DECLINED", 5)),
    "HIGH": (("PENDING_REVIEW", 60), ("FLAGGED", 25), ("DECLINED", 15)),
}
_OPEN = ("PENDING_REVIEW", "FLAGGED")
_REVIEWED = {
    "LOW": ("APPROVED",) * 19 + ("DECLINED",),
    "MEDIUM": ("APPROVED",) * 7 + ("DECLINED",) * 3,
    "HIGH": ("APPROVED",) + ("DECLINED",) * 4,
}
_REOPENED = {"APPROVED": ("FLAGGED",), "DECLINED": ("PENDING_REVIEW",)}
_FRAUD_SHARE, _LATE_SHARE, _AWAY_SHARE = 0.03, 0.02, 0.07
# How busy each hour of the day is, in UTC: quiet before dawn, a rise at noon, the peak in the evening.
_ACTIVITY = (18, 12, 8, 6, 6, 9, 16, 30, 46, 55, 60, 68, 78, 74, 66, 64, 68, 78, 92, 100, 92, 72, 48, 30)
_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000
_CUSTOMERS, _MERCHANTS = 1_000, 1_000


class Transaction(NamedTuple):
    """One state of a transaction: its attributes, in the order of the table contract."""

    transaction_id: str
    timestamp: int
    customer_id: str
    date: str
    hour: int
    minute: int
    transaction_type: str
    amount: str
    currency: str
    merchant_category: str
    payment_method: str
    region: str
    risk_score: str
    device_type: str
    authentication_method: str
    merchant_id: str
    velocity_check: str
    amount_threshold: str
    location_risk: str
    pattern_match: str
    status: str
    processing_timestamp: int

    def key(self) -> dict[str, Any]:
        """The key in DynamoDB JSON."""
        return {"transaction_id": {"S": self.transaction_id}, "timestamp": {"N": str(self.timestamp)}}

    def item(self) -> dict[str, Any]:
        """The item in DynamoDB JSON; amounts are text and were never floats."""
        pairs = zip(self._fields, self, strict=True)
        return {name: {"N" if name in _NUMBERS else "S": str(value)} for name, value in pairs}


_NUMBERS = frozenset({"timestamp", "hour", "minute", "amount", "processing_timestamp"})


@dataclass(frozen=True, slots=True)
class Change:
    """One change to make.

    Attributes:
        operation: `INSERT`, `MODIFY` or `REMOVE`: what the change stream will call it.
        transaction: The transaction after the change; for `REMOVE`, its last state.
    """

    operation: str
    transaction: Transaction


def plan_changes(counts: Sequence[int], *, seed: int, now: datetime) -> Iterator[Change]:
    """Plan changes, each of which really changes something.

    Args:
        counts: How many inserts, updates and deletes.
        seed: The same seed makes the same changes, relative to `now`.
        now: When the latest transaction took place; timezone-aware.

    Returns:
        The changes, in an order in which they can be made.
    """
    inserts, updates, deletes = counts
    random = Random(seed)  # noqa: S311
    now_ms = int(now.timestamp() * 1_000)
    states = list(_new_transactions(inserts, random, seed=seed, now_ms=now_ms))
    updated = _choose_updated(states, updates, random)
    deleted = random.sample(range(inserts), deletes)
    for operation, number in _schedule(inserts, updated, deleted, random):
        if operation == "MODIFY":
            states[number] = _review(states[number], random, now_ms)
        yield Change(operation, states[number])


def merchant_categories() -> list[str]:
    """The category of each merchant: of MERCH_0001, MERCH_0002, … in order; the same for every seed."""
    shares = [share for share, *_ in _CATEGORIES.values()]
    return Random("merchants").choices(tuple(_CATEGORIES), shares, k=_MERCHANTS)  # noqa: S311


def _schedule(
    inserts: int, updated: Sequence[int], deleted: Sequence[int], random: Random
) -> Iterator[tuple[str, int]]:
    """The operations in order: inserts evenly, each follow-up some time after the operation before."""
    last = [number / inserts for number in range(inserts)]
    moments = [(moment, 0, "INSERT", number) for number, moment in enumerate(last)]
    later = [*(("MODIFY", number) for number in updated), *(("REMOVE", number) for number in deleted)]
    for turn, (operation, number) in enumerate(later, start=1):
        last[number] += random.expovariate(8.0)
        moments.append((last[number], turn, operation, number))
    return ((operation, number) for _, _, operation, number in sorted(moments))


def _choose_updated(states: Sequence[Transaction], updates: int, random: Random) -> list[int]:
    """Which transactions to update: first those that are pending, and then all the others, in rounds."""
    waiting = [number for number, state in enumerate(states) if state.status in _OPEN]
    others = [number for number, state in enumerate(states) if state.status not in _OPEN]
    random.shuffle(waiting)
    random.shuffle(others)
    order = waiting + others
    return [order[place % len(order)] for place in range(updates)]


def _review(state: Transaction, random: Random, now_ms: int) -> Transaction:
    """The next state of a transaction: an open one is decided, a decided one is opened again."""
    decisions = _REVIEWED[state.risk_score] if state.status in _OPEN else _REOPENED[state.status]
    reviewed_at = min(now_ms, state.processing_timestamp + random.randint(60_000, 6 * _HOUR_MS))
    return state._replace(
        status=random.choice(decisions), processing_timestamp=max(reviewed_at, state.processing_timestamp + 1)
    )


def _new_transactions(count: int, random: Random, *, seed: int, now_ms: int) -> Iterator[Transaction]:
    maker = _Maker(random)
    for number, timestamp in enumerate(_timestamps(count, random, now_ms)):
        # The digest includes the run: a second run makes new keys, so its inserts stay inserts.
        digest = hashlib.blake2b(f"{seed} {now_ms} {number}".encode(), digest_size=8).hexdigest()
        late = random.random() < _LATE_SHARE
        moment = timestamp - random.randint(2 * _HOUR_MS, 3 * _DAY_MS) if late else timestamp
        yield maker.make(f"{PREFIX}{digest}", moment)


def _timestamps(count: int, random: Random, now_ms: int) -> list[int]:
    """Moments of the last 24 hours in order, in milliseconds, more in busier hours."""
    starts = [now_ms - _DAY_MS + hour * _HOUR_MS for hour in range(24)]
    busy = [_ACTIVITY[start // _HOUR_MS % 24] for start in starts]
    return sorted(start + random.randrange(_HOUR_MS) for start in random.choices(starts, busy, k=count))


class _Maker:
    """The world of the transactions: who exists, who buys a lot, who lives where."""

    def __init__(self, random: Random) -> None:
        self._random = random
        world = Random("customers")  # noqa: S311
        self._homes = world.choices(_REGIONS, (38, 22, 25, 15), k=_CUSTOMERS)
        self._devices = world.choices(_OWN_DEVICES, (50, 28, 22), k=_CUSTOMERS)
        self._categories = merchant_categories()
        self._customer_ranks = list(accumulate(1 / rank**0.9 for rank in range(1, _CUSTOMERS + 1)))
        self._merchant_ranks = list(accumulate(1 / rank**1.05 for rank in range(1, _MERCHANTS + 1)))
        # The most used ones should not be those with the low numbers.
        self._customers = world.sample(range(_CUSTOMERS), _CUSTOMERS)
        self._merchants = world.sample(range(_MERCHANTS), _MERCHANTS)

    def make(self, transaction_id: str, timestamp: int) -> Transaction:
        """One new transaction."""
        random = self._random
        customer = random.choices(self._customers, cum_weights=self._customer_ranks)[0]
        merchant = random.choices(self._merchants, cum_weights=self._merchant_ranks)[0]
        category = self._categories[merchant]
        _, usual, spread, payments = _CATEGORIES[category]
        fraud = random.random() < _FRAUD_SHARE
        amount_cents = max(1, round(100 * usual * random.lognormvariate(1.5 if fraud else 0.0, spread)))
        away = random.random() < (0.6 if fraud else _AWAY_SHARE)
        region = random.choice(_REGIONS) if away else self._homes[customer]
        device = self._device(customer, category)
        checks = self._checks(fraud, amount_cents / 100 / usual, region == self._homes[customer])
        risk = _risk_score(checks)
        moment = datetime.fromtimestamp(timestamp // 1_000, UTC)
        return Transaction(
            transaction_id=transaction_id,
            timestamp=timestamp,
            customer_id=f"CUST_{customer + 1:06d}",
            date=f"{moment:%Y-%m-%d}",
            hour=moment.hour,
            minute=moment.minute,
            transaction_type=self._transaction_type(category, device),
            amount=f"{amount_cents // 100}.{amount_cents % 100:02d}",
            currency=random.choice(_CURRENCIES[region]),
            merchant_category=category,
            payment_method=random.choices(_PAYMENT_METHODS, payments)[0],
            region=region,
            risk_score=risk,
            device_type=device,
            authentication_method=random.choice(_AUTHENTICATION[device]),
            merchant_id=f"MERCH_{merchant + 1:04d}",
            velocity_check=checks[0],
            amount_threshold=checks[1],
            location_risk=checks[2],
            pattern_match=checks[3],
            status=_choose(random, _FIRST_STATUS[risk]),
            processing_timestamp=timestamp + random.randint(100, 1_000),
        )

    def _device(self, customer: int, category: str) -> str:
        if category == "FINANCIAL_SERVICES" and self._random.random() < 0.5:
            return "ATM"
        return self._devices[customer] if self._random.random() < 0.85 else self._random.choice(_OWN_DEVICES)

    def _checks(self, fraud: bool, times_usual: float, at_home: bool) -> tuple[str, str, str, str]:
        """The four checks: velocity, amount, location and pattern."""
        chance = self._random.random
        velocity = ("PASS", 45), ("REVIEW", 25), ("FLAG", 30)
        usually = ("PASS", 95), ("REVIEW", 4), ("FLAG", 1)
        return (
            _choose(self._random, velocity if fraud else usually),
            "VERY_HIGH" if times_usual > 8 else "HIGH" if times_usual > 3.5 else "NORMAL",
            "LOW" if at_home else "HIGH" if chance() < 0.4 else "MEDIUM",
            "SUSPICIOUS" if chance() < (0.7 if fraud else 0.01) else "NORMAL",
        )

    def _transaction_type(self, category: str, device: str) -> str:
        if device == "ATM":
            return "WITHDRAWAL"
        if category == "FINANCIAL_SERVICES":
            return _choose(self._random, (("TRANSFER", 60), ("PAYMENT", 40)))
        usual = "PAYMENT" if category == "UTILITIES" else "PURCHASE"
        return _choose(self._random, ((usual, 95), ("REFUND", 5)))


def _risk_score(checks: tuple[str, str, str, str]) -> str:
    velocity, amount, location, pattern = checks
    points = sum(_RISK_POINTS.get(check, 0) for check in (velocity, amount, pattern))
    points += ("LOW", "MEDIUM", "HIGH").index(location)
    return "HIGH" if points >= 4 else "MEDIUM" if points >= 2 else "LOW"


def _choose(random: Random, weighted: Sequence[tuple[str, int]]) -> str:
    return random.choices([word for word, _ in weighted], [weight for _, weight in weighted])[0]
