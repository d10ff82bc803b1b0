"""README and its pages claim nothing that is not there: commands, names, links, variables, pictures."""

import inspect
import re
import shlex
import struct
from dataclasses import fields
from pathlib import Path

import pytest

import dynaberg
from dynaberg import cli, plots

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ROOT / "lib" / "dynaberg" / "pages"
CALLS = (PAGES / "calls.md").read_text(encoding="utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
READS = re.compile(
    r'environ(?:ment)?(?:\.get\(|\[)\s*"(\w+)"|getenv\(\s*"(\w+)"|"(\w+)" (?:not )?in os\.environ'
)
OURS = re.compile(r'"((?:DYNABERG|LOCAL_AWS)_[A-Z_]+)"')
COMMANDS = [
    line.partition("#")[0].strip()
    for path in (ROOT / "README.md", PAGES / "aws.md")
    for block in re.findall(r"```sh\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]


def documents() -> list[Path]:
    return [
        *sorted(PAGES.glob("*.md")),
        *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG", "data/README")),
    ]


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


def test_a_clone_and_two_commands_come_first():
    assert COMMANDS[0].startswith("git clone ")
    assert COMMANDS[1:3] == ["make demo", "make lab"]


@pytest.mark.parametrize("path", [ROOT / "README.md", PAGES / "aws.md"], ids=lambda path: path.name)
def test_the_environment_is_activated_before_the_first_command(path):
    text = path.read_text(encoding="utf-8")
    first = re.search(r"[\n`]dynaberg [a-z]", text)
    assert text.index("source .venv/bin/activate") < first.start()


def test_the_notebooks_are_those_of_the_folder():
    listed = re.findall(r"\(notebooks/(\d\d_\w+)\.ipynb\)", README)
    assert listed == [path.stem for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]


def public(of: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(of) if not name.startswith("_")}


def test_the_workbench_is_documented_name_by_name():
    assert set(re.findall(r"`wb\.(\w+)", CALLS)) == public(dynaberg.Workbench)


def section(text: str, begins: str) -> str:
    return re.split(r"^## ", text.partition(f"\n## {begins}")[2], flags=re.MULTILINE)[0]


def test_tables_are_documented_name_by_name():
    def documented(begins):
        return set(re.findall(r"`\.(\w+)", section(CALLS, begins)))

    of_any = public(dynaberg.IcebergTable)
    assert documented("Any Iceberg table") == of_any | {"name", "key"}
    assert documented("One table") - {"current"} == public(dynaberg.Table) - of_any | {"contract"}


def test_every_setting_is_documented():
    documented = set(re.findall(r"`(\w+)`", section(CALLS, "Settings")))
    assert {field.name for field in fields(dynaberg.Settings)} - {"root", "source"} <= documented


def test_public_names_of_the_package_are_documented():
    errors = {name for name in dynaberg.__all__ if name.endswith("Error")}
    for name in set(dynaberg.__all__) - errors - {"Settings", "__version__"}:
        assert f"dynaberg.{name}" in CALLS, name
    assert "dynaberg.DynabergError" in CALLS
    assert set(plots.__all__) <= set(dir(plots))


def test_readme_can_be_read_in_one_sitting():
    assert len(README.splitlines()) <= 150


def variables(text: str) -> set[str]:
    """The environment variables in the first column of a table."""
    return set(re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE))


def sources(*folders: str) -> dict[Path, str]:
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return {path.relative_to(ROOT): path.read_text(encoding="utf-8") for path in paths}


def read_by(texts: dict[Path, str]) -> set[str]:
    whole = "\n".join(texts.values())
    return {name for found in READS.findall(whole) for name in found if name} | set(OURS.findall(whole))


def in_lambda(path: Path) -> bool:
    return path.is_relative_to("lib/dynaberg/functions")


def test_every_environment_variable_of_the_library_is_in_the_table():
    read = read_by({path: text for path, text in sources("lib").items() if not in_lambda(path)})
    assert variables(README) - {"DYNABERG_AWS_TESTS"} == read


def test_no_environment_variable_is_read_by_a_name_that_cannot_be_seen():
    by_other_means = (
        r"environ\.get\((?!\s*\")|environ\[(?!\s*\")(?!\w+\] = )|getenv\((?!\s*\")|import (environ|getenv)\b"
    )
    unseen = {path for path, text in sources("lib").items() if re.search(by_other_means, text)}
    proxies = Path("lib/local_aws/environment.py")  # NO_PROXY, which README names below the table
    assert {path for path in unseen if not in_lambda(path)} == {proxies}
    assert "`NO_PROXY`" in README


def test_what_the_functions_read_is_set_by_their_template():
    folder = ROOT / "lib/dynaberg/deploy/templates"
    template = "".join((folder / f"{part}.yaml").read_text("utf-8") for part in ("delivery", "schedule"))
    read = read_by({path: text for path, text in sources("lib").items() if in_lambda(path)})
    assert read
    assert {name for name in read if f"{name}:" not in template} == set()


def test_every_variable_that_tests_take_from_outside_is_documented():
    texts = sources("tests/integration", "tests/benchmarks", "tests/aws")
    whole = "\n".join(texts.values())
    read = set(re.findall(r'os\.environ\.get\("(\w+)"', whole)) | set(OURS.findall(whole))
    assert read - variables(README) == variables(CONTRIBUTING)
    assert "DYNABERG_AWS_TESTS" in read


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)]+)\)", text):
        target, _, anchor = link.partition("#")
        assert link.startswith("https://") or (path.parent / target).exists(), link
        if anchor and not link.startswith("https://"):
            aim = (path.parent / target if target else path).read_text(encoding="utf-8")
            assert anchor in anchors(aim), link


def anchors(text: str) -> set[str]:
    """What GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


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
    figures = (PAGES / "figures.md").read_text(encoding="utf-8")
    assert figures.index("<!-- figures: begin -->") < figures.index("<!-- figures: end -->")


@pytest.mark.parametrize("package", ["dynaberg", "local_aws"])
def test_the_tree_of_contributing_is_that_of_the_folders_in_their_order(package):
    tree = CONTRIBUTING.partition("```\n")[2].partition("```")[0]
    part = tree.partition(f"lib/{package}/")[2].partition("\nlib/")[0].partition("\ntests/")[0]
    rooms = re.findall(r"^  (\w+)/", part, re.MULTILINE)
    folders = {path.name for path in (ROOT / "lib" / package).iterdir() if path.is_dir()}
    assert set(rooms) == folders - {"__pycache__"}
    architecture = (ROOT / "tests/unit/test_architecture.py").read_text(encoding="utf-8")
    order = re.findall(rf'^    "{package}\.(\w+)",', architecture, re.MULTILINE)
    assert [room for room in rooms if room != "pages"] == order


def test_the_places_of_contributing_exist():
    looked = re.findall(r"^\| .+\? \| `(.+)` \|$", CONTRIBUTING, re.MULTILINE)
    assert len(looked) >= 7
    rows = re.findall(r"^\| (.+?) \| .+ \| `(.+)` \|$", section(CONTRIBUTING, "Words"), re.MULTILINE)
    assert len(rows) >= 20
    words = [word for names, _ in rows for word in names.split(", ")]
    assert len(words) == len(set(words)), "one place for each word"
    places = looked + [f"dynaberg/{place}" for _, place in rows]
    assert [place for place in places if not (ROOT / "lib" / place).exists()] == []


def test_the_changelog_says_what_moved_where():
    rows = re.findall(r"^\| (`wb\..+?) \| (.+?) \|$", CHANGELOG, re.MULTILINE)
    assert len(rows) >= 10
    tables = public(dynaberg.Table) | {"contract"}
    for before, now in rows:
        moved = set(re.findall(r"`wb\.(\w+)", before))
        assert moved, before
        assert not moved & public(dynaberg.Workbench), before
        assert set(re.findall(r"\)\.(\w+)|`\.(\w+)", now)) <= {
            pair for name in tables for pair in ((name, ""), ("", name))
        }, now
