"""A wheel holds all that the library reads, and outside of a clone it says where the notebooks are."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.wheels import build_wheel

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return zipfile.ZipFile(build_wheel(tmp_path_factory.mktemp("wheel")))


def test_it_holds_every_file_that_the_packages_have(wheel: zipfile.ZipFile) -> None:
    tracked = subprocess.run(["git", "ls-files", "lib"], cwd=ROOT, check=True, capture_output=True, text=True)
    files = {name.removeprefix("lib/") for name in tracked.stdout.split() if (ROOT / name).exists()}
    wanted = {name for name in files if not name.endswith("README.md")}
    assert wanted - set(wheel.namelist()) == set()


def test_outside_of_a_clone_it_says_where_the_notebooks_are(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    installed, here = tmp_path / "installed", tmp_path / "here"
    wheel.extractall(installed)
    here.mkdir()
    ran = subprocess.run(
        [sys.executable, "-m", "dynaberg.cli", "walk"],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 1
    assert "holds no notebooks" in ran.stderr
    address = (ROOT / "README.md").read_text(encoding="utf-8").partition("git clone ")[2].split()[0]
    assert f"git clone {address}," in ran.stderr
    assert "Traceback" not in ran.stderr
    assert list(here.iterdir()) == []
