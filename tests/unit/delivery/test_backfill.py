"""How fast a backfill reads if nobody says it."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

import pytest

from dynaberg.contracts import Column, Contract

# The package hands out the function of this name.
BACKFILL = importlib.import_module("dynaberg.delivery.backfill")
CONTRACT = Contract("orders", "Orders", "pk", None, (Column("pk", "string"),))


@pytest.mark.parametrize(
    ("described", "given", "limit"),
    [
        ({"ProvisionedThroughput": {"ReadCapacityUnits": 100}}, None, 50),
        ({"ProvisionedThroughput": {"ReadCapacityUnits": 100}}, 70.0, 70),
        ({"ProvisionedThroughput": {"ReadCapacityUnits": 0}}, None, None),
        ({}, None, None),
        ({}, 7.5, 7.5),
    ],
)
def test_half_of_a_provisioned_table_is_left_to_its_application(
    monkeypatch: pytest.MonkeyPatch, described: dict[str, Any], given: float | None, limit: float | None
) -> None:
    client = SimpleNamespace(describe_table=lambda **_: {"Table": described})
    monkeypatch.setattr(BACKFILL.aws, "client", lambda *_: client)
    assert BACKFILL._limit(None, CONTRACT, given) == limit
