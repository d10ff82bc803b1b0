"""A strange table of somebody else, by the commands of a terminal, while its application goes on writing."""

from __future__ import annotations

import shutil
import threading
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.integration.conftest import create_source

import dynaberg
from dynaberg import plots
from dynaberg.cli import main
from dynaberg.contracts import project_contract
from dynaberg.settings import Settings
from local_aws import Status

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).resolve().parents[3]
SOURCE, TABLE, ITEMS = "Zoo.Animals-2026", "zoo_animals_2026", 120


def animal(number: int, weight: str = "12.25") -> dict[str, Any]:
    """An item with capitals, nested maps, sets, mixed types, and names that no column can have."""
    item: dict[str, Any] = {
        "AnimalId": {"N": str(number)},
        "SeenAt": {"S": f"2026-01-{number % 28 + 1:02d}T10:00:00.{number:03d}Z"},
        "Species": {"S": ("Lynx", "lynx", "Ünicorn 🦄")[number % 3]},
        "species": {"S": "another attribute"},
        "WeightKg": {"N": weight},
        "Measures": {"NS": [str(number), "2.25", "-1"]},
        "Tags.With Dots 😀": {"SS": ["a", "b"]},
        "Keeper": {"M": {"Name": {"S": "Ada"}, "Shift": {"M": {"From": {"N": "8"}, "To": {"NULL": True}}}}},
        "Meals": {
            "L": [{"M": {"What": {"S": "fish"}, "Grams": {"N": "250"}}}, {"M": {"What": {"S": "hay"}}}]
        },
        "Mixed": {"N": "7"} if number % 2 else {"S": "seven"},
        "Chip": {"B": bytes([number % 256, 255])},
    }
    if number % 5 == 0:
        item["select"] = {"BOOL": True}
        item["operation"] = {"S": "weighed"}
    return item


def make_table() -> None:
    dynamodb = boto3.client("dynamodb")
    create_source(SOURCE, AnimalId="N", SeenAt="S")
    for number in range(ITEMS):
        dynamodb.put_item(TableName=SOURCE, Item=animal(number))


class Zoo(threading.Thread):
    """The application: animals are weighed again, come and go, until it is stopped."""

    def __init__(self) -> None:
        super().__init__()
        self._over = threading.Event()
        self.changes = 0

    def run(self) -> None:
        """Change one animal after the other."""
        dynamodb = boto3.client("dynamodb")
        while not self._over.is_set():
            number = self.changes * 7 % (ITEMS + 30)
            item = animal(number, f"{self.changes % 60}.75")
            if self.changes % 6 == 0:
                key = {name: item[name] for name in ("AnimalId", "SeenAt")}
                dynamodb.delete_item(TableName=SOURCE, Key=key)
            else:
                dynamodb.put_item(TableName=SOURCE, Item=item)
            self.changes += 1
            self._over.wait(0.05)

    def stop(self) -> None:
        """End it, after the change at which it is."""
        self._over.set()
        self.join()


def test_three_commands_lead_from_a_table_to_a_proof_and_a_chart(
    local_aws: Status,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_table()
    shutil.copytree(ROOT / "data" / "tables", tmp_path / "data" / "tables")
    project: dict[str, Any] = {"name": "zoo", "namespace": "zoo", "bucket_name": "zoo"}
    settings = Settings(root=tmp_path, table_bucket_name="zoo-tables", **project)
    session = boto3.Session()

    def connect(_: str | None) -> dynaberg.Workbench:
        wb = dynaberg.Workbench(settings, session, project_contract(settings))
        # As it is, but without a minute of gathering rows before each commit.
        monkeypatch.setattr(wb, "deploy_firehose", partial(wb.deploy_firehose, buffer_seconds=1))
        return wb

    monkeypatch.setattr("dynaberg.workbench.connect", connect)
    monkeypatch.setattr("dynaberg.cli.load_settings", lambda **_: settings)
    monkeypatch.setattr("dynaberg.aws.open_session", lambda _: session)
    assert main(["contract", "infer", SOURCE]) == 0
    assert (tmp_path / "data" / "tables" / f"{TABLE}.yaml").is_file()
    zoo = Zoo()
    zoo.start()
    try:
        assert main(["adopt", TABLE]) == 0
        while zoo.changes < 50:
            threading.Event().wait(0.05)
        assert main(["backfill", TABLE, "--no-reconcile"]) == 0
    finally:
        zoo.stop()
    capsys.readouterr()
    assert main(["backfill", TABLE]) == 0, capsys.readouterr().out
    shown = capsys.readouterr().out
    assert "reconcile_read_units" in shown
    assert f"{TABLE}: " in shown
    assert "They match" in shown
    table = connect(None).table(TABLE)
    names = {column.attribute: column.name for column in table.contract.columns}
    assert main(["sql", f"SELECT {names['Species']}, count(*) AS n FROM {TABLE} GROUP BY 1"]) == 0
    assert "Ünicorn 🦄" in capsys.readouterr().out
    assert plots.plot_profile(table.profile_columns()).has_data()
    assert table.failures().empty
    assert main(["clean-up", "--confirm", "zoo"]) == 0
    assert boto3.client("dynamodb").describe_table(TableName=SOURCE)["Table"]["ItemCount"]
