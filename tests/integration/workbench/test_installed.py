"""Installed from a wheel, in an empty folder: somebody's own table, from its contract to the proof."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.conftest import free_port
from tests.wheels import build_wheel

pytestmark = pytest.mark.thorough

ITEMS = 30
MAKE_ORDERS = f"""
import boto3
orders = boto3.resource("dynamodb").create_table(
    TableName="Orders",
    KeySchema=[{{"AttributeName": "orderId", "KeyType": "HASH"}}],
    AttributeDefinitions=[{{"AttributeName": "orderId", "AttributeType": "S"}}],
    BillingMode="PAY_PER_REQUEST",
)
with orders.batch_writer() as batch:
    for number in range({ITEMS}):
        batch.put_item(Item={{"orderId": str(number), "pieces": number}})
"""
TAKE_THEM = """
import json, sys
import dynaberg
wb = dynaberg.connect()
orders = wb.table()
wb.deploy_firehose(buffer_seconds=0)
orders.backfill()
orders.wait_for_delivery()
orders.refresh()
report = orders.reconcile()
total = wb.query("SELECT sum(pieces) AS n FROM orders").df["n"].item()
print(json.dumps([dynaberg.__file__, report.matches, report.items, int(total)]))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Runs Python in an empty folder, with the wheel before the clone; returns what it printed."""
    installed, here = tmp_path_factory.mktemp("installed"), tmp_path_factory.mktemp("here")
    wheel = build_wheel(tmp_path_factory.mktemp("wheel"))
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    subprocess.run([*install, str(installed), str(wheel)], check=True, timeout=600)
    environment = {**os.environ, "PYTHONPATH": str(installed), "DYNABERG_LOCAL_PORT": str(free_port())}
    for name in ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION"):
        environment.pop(name, None)

    def run(*arguments: str, **variables: str) -> str:
        ran = subprocess.run(
            [sys.executable, *arguments],
            cwd=here,
            env=environment | variables,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    yield run
    run("-m", "dynaberg.cli", "local", "stop", "--force")


def test_a_table_of_ones_own_needs_no_clone(run: Callable[..., str], tmp_path: Path) -> None:
    run("-m", "dynaberg.cli", "local", "start")
    lines = run("-m", "dynaberg.cli", "local", "env").splitlines()
    local = dict(line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export "))
    run("-c", MAKE_ORDERS, **local)

    run("-m", "dynaberg.cli", "contract", "infer", "Orders")
    run("-c", "open('cdk.context.json', 'w').write('{\"table_name\": \"orders\"}')")
    run("-m", "dynaberg.cli", "adopt")
    place, matches, items, total = json.loads(run("-c", TAKE_THEM).splitlines()[-1])

    assert "site-packages" not in place
    assert Path(place).parents[1].name.startswith("installed")
    assert (matches, items, total) == (True, ITEMS, sum(range(ITEMS)))
