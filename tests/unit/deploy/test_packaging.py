"""The Lambda's package."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from dynaberg.contracts.contract import Contract, load_contract
from dynaberg.deploy.packaging import FUNCTIONS, package

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def contract() -> Contract:
    return load_contract(ROOT / "data" / "tables" / "transactions.yaml")


def test_it_holds_the_functions_and_the_contract(contract: Contract) -> None:
    with zipfile.ZipFile(io.BytesIO(package(contract))) as archive:
        names = archive.namelist()
        assert json.loads(archive.read("contract.json")) == json.loads(contract.to_lambda_json())
        assert all(entry.external_attr >> 16 == 0o644 for entry in archive.infolist())
    assert {"functions/__init__.py", "functions/handlers/forwarder.py"} <= set(names)
    assert not [name for name in names if "__pycache__" in name]


def test_the_same_sources_make_the_same_bytes(contract: Contract, tmp_path: Path) -> None:
    copy = shutil.copytree(FUNCTIONS, tmp_path / "functions")
    for path in copy.rglob("*"):
        os.utime(path, (1, 1))
    assert package(contract, copy) == package(contract)


def test_another_contract_or_another_source_makes_other_bytes(contract: Contract, tmp_path: Path) -> None:
    copy = shutil.copytree(FUNCTIONS, tmp_path / "functions")
    (copy / "handlers" / "forwarder.py").write_text((copy / "handlers" / "forwarder.py").read_text() + "\n")
    assert package(contract, copy) != package(contract)
    assert package(replace(contract, source_table="other")) != package(contract)


@pytest.mark.parametrize("name", ["forwarder", "transform", "redrive"])
def test_lambda_can_import_the_handlers_from_it(contract: Contract, tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(io.BytesIO(package(contract))) as archive:
        archive.extractall(tmp_path)
    script = f"from functions.handlers.{name} import handler; print(handler.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "handler\n"
