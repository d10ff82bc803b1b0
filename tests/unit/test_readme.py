"""README claims nothing that is not there: commands, notebooks, names, links and pictures."""

import inspect
import re
import shlex
import struct
from pathlib import Path

import pytest

import dynaberg
from dynaberg import cli, plots

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
COMMANDS = [
    line.partition("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]


def documents() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make ([a-z]+)", README))))
def test_every_make_command_exists_and_is_explained(target):
    assert re.search(rf"^{target}:.*## \S", MAKEFILE, re.MULTILINE)


def test_bare_make_prints_every_command():
    assert ".DEFAULT_GOAL := help" in MAKEFILE
    targets = set(re.findall(r"^\.PHONY: (\S+)", MAKEFILE, re.MULTILINE))
    assert targets == set(re.findall(r"^([a-z]+):.*## ", MAKEFILE, re.MULTILINE))


@pytest.mark.parametrize("command", sorted({c for c in COMMANDS if c.startswith("dynaberg ")}))
def test_every_dynaberg_command_is_understood(command):
    words = shlex.split(command)[1:]
    assert callable(cli._parser().parse_args(words).run)


def test_the_two_commands_come_first():
    assert [command for command in COMMANDS if command.startswith("make")][:2] == ["make demo", "make test"]


def test_the_notebooks_are_those_of_the_folder():
    listed = re.findall(r"\(notebooks/(\d\d_\w+)\.ipynb\)", README)
    assert listed == [path.stem for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]


def test_the_workbench_is_documented_name_by_name():
    public = {name for name, _ in inspect.getmembers(dynaberg.Workbench) if not name.startswith("_")}
    attributes = {"settings", "session", "contract"}
    documented = set(re.findall(r"`wb\.(\w+)", README))
    assert documented == public | attributes


def test_public_names_of_the_package_are_documented():
    errors = {name for name in dynaberg.__all__ if name.endswith("Error")}
    for name in set(dynaberg.__all__) - errors - {"Settings", "Workbench", "__version__"}:
        assert f"dynaberg.{name}" in README, name
    assert "dynaberg.DynabergError" in README
    assert set(plots.__all__) <= set(dir(plots))


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("https://") or (path.parent / target).exists(), target


def test_pictures_are_there_small_and_described():
    pictures = re.findall(r"!\[(.*?)\]\((.*?)\)", README)
    assert len(pictures) >= 2
    for words, target in pictures:
        assert len(words) > 30, "say what is seen"
        data = (ROOT / target).read_bytes()
        assert len(data) < 150_000
        width, height = struct.unpack(">II", data[16:24])
        assert width <= 1200
        assert height <= 800


def test_the_figures_are_between_their_marks():
    begin, end = README.index("<!-- figures: begin -->"), README.index("<!-- figures: end -->")
    assert begin < end
