"""What must never be in the repository is not, and what must be is."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ZERO_ACCOUNT = "0" * 12

if not shutil.which("git") or not (ROOT / ".git").exists():
    pytest.skip("not a git checkout, so there is no list of its files", allow_module_level=True)


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Every tracked text file but the lock, by its path."""
    names = git("ls-files", "-z").stdout.split("\0")
    paths = [
        name for name in names if name and (ROOT / name).is_file() and not name.endswith((".png", ".lock"))
    ]
    return {name: (ROOT / name).read_text(encoding="utf-8") for name in paths}


@pytest.mark.parametrize(
    "path", ["lib/dynaberg/__init__.py", "data/tables/orders.yaml", "notebooks/08_x.ipynb"]
)
def test_sources_are_not_ignored(path):
    assert git("check-ignore", path).returncode == 1


@pytest.mark.parametrize("path", [".venv/x", "data/local/state/s3.json", "build/gallery/index.html"])
def test_what_is_made_is_ignored(path):
    assert git("check-ignore", path).returncode == 0


def found(texts: dict[str, str], pattern: str) -> list[str]:
    return [f"{path}: {match[0]}" for path, text in texts.items() for match in re.finditer(pattern, text)]


def test_no_account_id(texts):
    sources = {path: text for path, text in texts.items() if not path.startswith("tests/")}
    ids = found(sources, r"(?<![\w.-])\d{12}(?![\w.])")
    assert not [line for line in ids if ZERO_ACCOUNT not in line]


def test_no_key_and_no_private_key(texts):
    assert not found(texts, "AKIA" + r"[0-9A-Z]{16}|BEGIN [A-Z ]*PRIVATE " + "KEY")


def test_no_package_index(texts):
    assert not found(
        texts, r"--(extra-)?index-url[ =]\S|pypi\.org/" + r"simple|files\.python" + r"hosted\.org"
    )


def test_no_path_of_a_machine(texts):
    assert not found(texts, r"(?<![\w.}])/(home|root|Users)/" + r"[a-z]")


def test_texts_end_with_one_newline_and_hold_no_trailing_blanks(texts):
    ragged = [
        path for path, text in texts.items() if text and (not text.endswith("\n") or text.endswith("\n\n"))
    ]
    assert not ragged
    sources = {path: text for path, text in texts.items() if path.endswith((".py", ".yaml", ".yml", ".toml"))}
    assert not found(sources, r"(?m)[ \t]+$")


def test_the_changelog_has_a_place_for_the_next_change(texts):
    changelog = texts["CHANGELOG.md"]
    assert "## [Unreleased]" in changelog
    assert re.search(r"^### (Added|Changed|Fixed)$", changelog, re.MULTILINE)


def test_the_licence_is_apache_and_the_notice_names_ministack(texts):
    assert "Apache License" in texts["LICENSE"]
    assert "Version 2.0, January 2004" in texts["LICENSE"]
    assert re.search(r"ministack.*MIT License", texts["NOTICE"], re.DOTALL)


def test_ci_runs_what_the_readme_says(texts):
    assert "make test" in texts[".ci/run"]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
