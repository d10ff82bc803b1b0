"""The local AWS is killed: whatever is asked next says so, with what to do, and a new connection goes on."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import dynaberg
import local_aws
from dynaberg import aws, local
from dynaberg.errors import LocalAwsError
from dynaberg.workbench import Table, Workbench

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).resolve().parents[3]
Ask = Callable[[Workbench, Table], Any]
# What the notebooks ask, one call for each place where the server can have gone.
CALLS: dict[str, Ask] = {
    "a native catalog": lambda wb, _: wb.catalog.list_tables("analytics"),
    "a native table": lambda _, table: table.current,
    "a native client": lambda wb, _: wb.client("dynamodb").list_tables(),
    "enable_cdc": lambda wb, _: wb.enable_cdc(),
    "integrate_analytics": lambda wb, _: wb.integrate_analytics(),
    "deploy_firehose": lambda wb, _: wb.deploy_firehose(),
    "prepare": lambda wb, _: wb.prepare(through="refresh"),
    "list_resources": lambda wb, _: wb.list_resources(),
    "generate_traffic": lambda wb, _: wb.generate_traffic(20),
    "wait_for_delivery": lambda _, table: table.wait_for_delivery(),
    "refresh": lambda _, table: table.refresh(),
    "reconcile": lambda _, table: table.reconcile(),
    "query": lambda wb, _: wb.query("SELECT 1 AS one"),
    "build": lambda wb, _: wb.build("hourly_activity"),
    "load_reference": lambda wb, _: wb.load_reference("merchants"),
    "iceberg_table": lambda wb, _: wb.iceberg_table("transactions_changes"),
    "snapshots": lambda _, table: table.snapshots(),
    "read_as_of": lambda _, table: table.read_as_of(datetime.now(UTC)),
    "state_as_of": lambda _, table: table.state_as_of(datetime.now(UTC)),
    "profile_columns": lambda _, table: table.profile_columns(),
    "profile_files": lambda _, table: table.profile_files(),
    "maintain": lambda _, table: table.maintain(target_mb=64),
    "failures": lambda _, table: table.failures(),
    "freshness": lambda _, table: table.freshness(),
    "cost_so_far": lambda wb, _: wb.cost_so_far(),
    "clean_up": lambda wb, _: wb.clean_up(confirm=wb.name),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("killed")
    shutil.copy(ROOT / "cdk.context.json", root)
    shutil.copytree(ROOT / "data", root / "data", ignore=shutil.ignore_patterns("local"))
    with socket.socket() as probe, pytest.MonkeyPatch.context() as patch:
        probe.bind(("127.0.0.1", 0))
        patch.setenv("DYNABERG_LOCAL_PORT", str(probe.getsockname()[1]))
        probe.close()
        yield root
    local_aws.stop(root / "data" / "local")
    aws._leave()


def kill(wb: Workbench) -> None:
    status = local.status(wb.settings)
    assert status is not None
    os.killpg(status.pid, signal.SIGKILL)
    until = time.monotonic() + 60
    while local.status(wb.settings) is not None and time.monotonic() < until:
        time.sleep(0.05)


@pytest.fixture(scope="module")
def dead(project: Path) -> Workbench:
    """A workbench that has worked, and whose local AWS is gone."""
    wb = dynaberg.connect("local", root=project).prepare(through="refresh")
    assert len(wb.catalog.list_tables("analytics")) == 2
    kill(wb)
    return wb


@pytest.mark.parametrize("call", CALLS)
def test_whatever_is_asked_of_it_is_explained(dead: Workbench, call: str) -> None:
    with pytest.raises(LocalAwsError, match="does not answer") as caught:
        CALLS[call](dead, dead.table())
    assert "dynaberg local start" in caught.value.hint


@pytest.mark.filterwarnings("ignore:The local AWS had not been stopped cleanly")
def test_a_new_connection_goes_on(dead: Workbench, project: Path) -> None:
    again = dynaberg.connect("local", root=project).prepare(through="cdc")
    assert not again.list_resources().empty
