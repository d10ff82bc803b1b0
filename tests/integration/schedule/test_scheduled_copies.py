"""The schedule copies change logs as plain Parquet, after the refreshes, if the project keeps them so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.integration.schedule.conftest import Scheduled, item

from dynaberg import deploy, layers, schedule

pytestmark = pytest.mark.thorough


def test_a_run_copies_what_is_new(make_scheduled: Callable[[str], Scheduled]) -> None:
    found = make_scheduled("schedcopies")
    session, settings, contract = (
        found.pipeline.session,
        replace(found.pipeline.settings, raw_parquet=True),
        found.pipeline.contract,
    )
    found.deploy()
    found.deliver(*(item(n) for n in range(5)))
    assert found.run() == "SUCCEEDED"
    assert contract.log_name not in found.last(), "it is off by default"

    # As `wb.deploy_firehose()` does after the setting was changed: what is there is copied, too.
    deploy.deploy_firehose(session, settings, contract, buffer_seconds=0)
    schedule.update_schedule(session, settings, [contract])
    assert found.run() == "SUCCEEDED"
    done = found.last()[contract.log_name]
    assert [done[name] for name in ("action", "rows", "bytes_scanned", "outcome")] == ["copied", 5, 0, "ok"]

    found.deliver(item(1, "closed"), item(7))
    assert found.run() == "SUCCEEDED"
    assert found.last()[contract.log_name]["rows"] == 2
    checked = layers.check_parquet(session, settings, contract)
    assert checked["parquet_rows"].sum() == 7
    assert not checked[["missing", "surplus", "different"]].to_numpy().any()
    assert found.run() == "SUCCEEDED"
    assert [found.last()[contract.log_name][name] for name in ("action", "rows")] == ["none", 0]

    # What takes a notebook is recorded with the words to call it, and holds up no other table.
    log = found.pipeline.load(contract.log_name)
    with log.update_schema() as update:
        update.rename_column("status", "state")
    assert found.run() == "FAILED"
    last = found.last()
    assert ".parquet.write()" in last[contract.log_name]["outcome"]
    assert last["transactions"]["outcome"] == "ok"
    layers.write_parquet(session, settings, contract)
    assert found.run() == "SUCCEEDED"

    schedule.update_schedule(session, found.pipeline.settings, [contract])
    assert found.run() == "SUCCEEDED"
    assert contract.log_name not in found.last()
    schedule.remove_schedule(session, settings)
