"""The local AWS is killed while a cell runs: the cell says so in one error, and its hint works."""

from __future__ import annotations

import os
import re
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from tests.conftest import free_port

import local_aws

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[2]
# A notebook, and words of the cell during which the server goes; after the name, what the cell needs.
PLACES = {
    "a native client": ("03_generate_traffic", "put_item"),
    "traffic": ("03_generate_traffic", "wb.generate_traffic"),
    "a delivery": ("03_generate_traffic", "transactions.wait_for_delivery()"),
    "a refresh": ("04_query", "transactions.refresh()"),
    "a reconcile": ("04_query", "transactions.reconcile()"),
    "PyAthena": ("04_query", "from pyathena import connect"),
    "a native resource": ("05_time_travel", "table.update_item"),
    "pyiceberg's scan": ("05_time_travel", "current.scan(snapshot_id=calm_id)"),
    "pyiceberg's rows": ("06_profile", 'EqualTo("currency", CURRENCY)'),
    "pyiceberg's metadata": ("08_look_after_files", "inspect.files()"),
    "boto3 by itself": ("09_your_own_table", "make_shop("),
    "a clean-up": ("11_clean_up", "wb.clean_up("),
}
BEFORE = """
from pyiceberg.expressions import EqualTo
import runpy
import pandas as pd
import dynaberg
from dynaberg import plots

CHANGES, SEED, CUSTOMERS, CURRENCY, MEASURE = 100, 7, 10, "USD", "amount"
SOURCE, PIPELINE, CONFIRM = "Shop", "shop", "dynaberg"
wb = dynaberg.connect().prepare(through="firehose")
transactions = wb.table("transactions")
wb.generate_traffic(100)
transactions.wait_for_delivery()
transactions.refresh()
log = wb.iceberg_table("transactions_changes")
calm = transactions.snapshots().tail(1)
largest = smallest = wb.query("SELECT transaction_id, timestamp FROM transactions LIMIT 5").df
flag = {
    "UpdateExpression": "SET #status = :status",
    "ExpressionAttributeNames": {"#status": "status"},
    "ExpressionAttributeValues": {":status": "FLAGGED"},
}
# What is stopped cleanly is there after a kill.
wb.stop()
wb = dynaberg.connect()
"""


class Reader:
    """Somebody who runs cells of the notebooks, one after the other, in one kernel."""

    def __init__(self, project: Path, client: NotebookClient) -> None:
        self.project, self.client = project, client

    def run(self, code: str) -> list[dict[str, Any]]:
        """Run a cell and return what it shows."""
        cell = nbformat.v4.new_code_cell(code)
        self.client.nb.cells.append(cell)
        self.client.execute_cell(cell, len(self.client.nb.cells) - 1)
        return [dict(output) for output in cell.outputs]

    def run_and_kill(self, code: str) -> list[dict[str, Any]]:
        """Run a cell whose first request is on its way when the server is killed."""
        status = local_aws.status(self.project / "data" / "local")
        assert status is not None, "It is not there after an earlier test."
        os.kill(status.pid, signal.SIGSTOP)
        kill = threading.Timer(0.5, os.killpg, (status.pid, signal.SIGKILL))
        kill.start()
        try:
            return self.run(code)
        finally:
            kill.join()


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    project = tmp_path_factory.mktemp("project")
    (project / "notebooks").mkdir()
    shutil.copy(ROOT / "cdk.context.json", project)
    shutil.copytree(ROOT / "data", project / "data", ignore=shutil.ignore_patterns("local"))
    client = NotebookClient(
        nbformat.v4.new_notebook(),
        timeout=300,
        kernel_name="python3",
        allow_errors=True,
        resources={"metadata": {"path": str(project / "notebooks")}},
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
    )
    with client.setup_kernel(env={**os.environ, "DYNABERG_LOCAL_PORT": str(free_port())}):
        reader = Reader(project, client)
        assert errors(reader.run(BEFORE)) == []
        yield reader
    local_aws.stop(project / "data" / "local")


def errors(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [output for output in outputs if output["output_type"] == "error"]


def cell_with(notebook: str, words: str) -> str:
    cells = nbformat.read(ROOT / "notebooks" / f"{notebook}.ipynb", as_version=4).cells
    code = next(cell.source for cell in cells if cell.cell_type == "code" and words in cell.source)
    # A cell that connects starts the server again by itself.
    return str(code).removeprefix("wb = dynaberg.connect()\n")


@pytest.mark.parametrize("place", PLACES)
def test_a_kill_is_one_clear_error_whose_hint_lets_the_reader_go_on(reader: Reader, place: str) -> None:
    code = cell_with(*PLACES[place])
    shown = reader.run_and_kill(code)
    (error,) = errors(shown)
    assert error["ename"] == "LocalAwsError"
    assert re.fullmatch(
        r"The local AWS at http://127\.0\.0\.1:\d+ does not answer\.\nHint: .*", error["evalue"]
    )
    assert error["traceback"] == [f"LocalAwsError: {error['evalue']}"]
    assert [output["text"] for output in shown if output.get("name") == "stderr"] == []
    (advice,) = re.findall(r"`(.+?)`", error["evalue"])
    assert errors(reader.run(advice)) == []
    assert errors(reader.run(code)) == []


def test_an_error_of_the_readers_own_is_shown_as_ever(reader: Reader) -> None:
    (error,) = errors(reader.run("open('nowhere.csv')"))
    assert error["ename"] == "FileNotFoundError"
    assert "open('nowhere.csv')" in re.sub(r"\x1b\[[\d;]*m", "", "".join(error["traceback"]))
