"""Nobody gets to AWS by accident: the gate, tried from outside with a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.thorough

FOLDER = Path(__file__).parent


@pytest.mark.parametrize(
    ("arguments", "variables", "reason"),
    [
        ([], {"DYNABERG_AWS_TESTS": "1"}, "only `pytest -m aws` asks for that"),
        (["-m", "aws"], {}, "DYNABERG_AWS_TESTS is not 1"),
        (["-m", "aws"], {"DYNABERG_AWS_TESTS": "1"}, "there are no AWS credentials"),
    ],
)
def test_each_lock_holds_by_itself(
    tmp_path: Path, arguments: list[str], variables: dict[str, str], reason: str
) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DYNABERG_"))}
    nobody = {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
    command = [sys.executable, "-m", "pytest", "-q", "-k", "aws- and walk", *arguments, str(FOLDER)]
    done = subprocess.run(
        command, env=kept | nobody | variables, capture_output=True, text=True, check=False, cwd=FOLDER
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert reason in done.stdout
    assert "2 skipped" in done.stdout
    assert "passed" not in done.stdout
