"""Repair brings the current table to what DynamoDB holds, through the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dynaberg import layers
from dynaberg.delivery.waiting import wait_for_delivery
from dynaberg.errors import SettingsError
from dynaberg.proof.reconcile import reconcile
from dynaberg.proof.repair import repair


def test_every_kind_of_difference_is_repaired(make_pipeline: Callable[..., Any]) -> None:
    pipeline = make_pipeline("repaired")
    parts = (pipeline.session, pipeline.settings, pipeline.contract)
    for id_ in "abcde":
        pipeline.write({"id": {"S": id_}, "at": {"N": "1"}, "amount": {"N": "1.10"}})
    wait_for_delivery(*parts, progress=False)
    layers.refresh(*parts)
    table = pipeline.load("transactions")
    rows = {row["id"]: row for row in table.scan().to_arrow().to_pylist()}
    rows["b"]["status"] = "invented"
    rows["ghost"] = rows.pop("a") | {"id": "ghost"}
    schema = table.schema().as_arrow()
    table.overwrite(type(table.scan().to_arrow()).from_pylist(list(rows.values()), schema=schema))
    pipeline.write({"id": {"S": "late"}, "at": {"N": "1"}})
    wait_for_delivery(*parts, progress=False)
    dynamodb = pipeline.session.client("dynamodb")
    poison = {"id": {"S": "poison"}, "at": {"N": "1"}, "amount": {"S": "a lot"}}
    dynamodb.put_item(TableName=pipeline.contract.source_table, Item=poison)

    report = reconcile(*parts)
    assert (report.missing, report.extra, report.stale) == (3, 1, 1)
    with pytest.raises(SettingsError, match="Nothing was repaired"):
        repair(*parts, report, confirm="another")
    done = repair(*parts, report, confirm="repaired").set_index("id")
    assert done["action"].to_dict() == {
        "a": "sent as MODIFY",
        "b": "sent as MODIFY",
        "ghost": "sent as REMOVE",
        "late": "refreshed",
        "poison": "does not fit the contract",
    }
    assert done.loc["poison", "reason"].startswith("Conversion.WrongType: Attribute `amount`")
    assert reconcile(*parts).df["id"].tolist() == ["poison"]
    log = pipeline.load("transactions_changes").scan(selected_fields=("change_id",)).to_arrow()
    repaired = [each for each in log["change_id"].to_pylist() if each.startswith("repair-")]
    assert set(repaired) == set(done["change_id"].dropna())
