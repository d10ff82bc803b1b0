"""The dbt project of `pages/engines.md`, built by dbt itself on the tables of the local AWS."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import pytest

import dynaberg
from dynaberg.contracts.contract import load_contract
from dynaberg.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "lib" / "dynaberg" / "pages" / "engines.md").read_text(encoding="utf-8")
CONTRACT = load_contract(ROOT / "data" / "tables" / "transactions.yaml")
DBT = ROOT / "build" / "dbt" / "bin" / "dbt"
NAME = "models"

pytestmark = pytest.mark.skipif(not DBT.exists(), reason="dbt is installed by `make dbt`")


@pytest.fixture(scope="module")
def workbench(local_aws: object) -> Iterator[dynaberg.Workbench]:
    contract = replace(CONTRACT, source_table=f"{NAME}-transactions")
    wb = dynaberg.Workbench(Settings(name=NAME, bucket_name=NAME, root=ROOT), boto3.Session(), contract)
    wb.enable_cdc()
    wb.deploy_firehose(buffer_seconds=0)
    yield wb
    wb.clean_up(confirm=NAME)


@pytest.fixture(scope="module")
def project(workbench: dynaberg.Workbench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the page, under the names of the workbench."""
    folder, bucket = tmp_path_factory.mktemp("dbt"), workbench.settings.table_bucket_name
    for name, text in re.findall(r"```\w+ dbt:(\S+)\n(.*?)```", PAGE, re.DOTALL):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        text = text.replace("s3tablescatalog/streamtablebucket", f"s3tablescatalog/{bucket}")
        path.write_text(text.replace("work_group: dynaberg", f"work_group: {NAME}"), encoding="utf-8")
    return folder


def change_and_build(wb: dynaberg.Workbench, project: Path, seed: int) -> None:
    wb.generate_traffic(200, seed=seed)
    wb.table().wait_for_delivery()
    wb.table().refresh()
    quiet = os.environ | {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DO_NOT_TRACK": "1"}
    done = subprocess.run(
        [DBT, "--no-use-colors", "run", "--profiles-dir", ".", "--fail-fast"],
        cwd=project,
        env=quiet,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]


def rows(wb: dynaberg.Workbench, sql: str) -> list[tuple[object, ...]]:
    return list(wb.query(sql).df.itertuples(index=False, name=None))


def test_dbt_builds_a_table_and_an_incremental_model(workbench: dynaberg.Workbench, project: Path) -> None:
    for seed in (1, 2, 3):
        change_and_build(workbench, project, seed)
        expected = "SELECT status, count(*), sum(amount) FROM transactions GROUP BY status ORDER BY status"
        assert rows(workbench, "SELECT * FROM by_status ORDER BY status") == rows(workbench, expected)
        every = "SELECT change_id, operation, status FROM {} ORDER BY change_id"
        assert rows(workbench, every.format("status_changes")) == rows(
            workbench,
            every.format("(SELECT DISTINCT change_id, operation, status FROM transactions_changes)"),
        )
    added = workbench.iceberg_table("status_changes").snapshots()
    assert len(added) > 1, "the incremental model was built anew each time"
