"""A room is checked before people come, each has a seat of their own, and one of them can start again."""

import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from dynaberg import cli, local
from dynaberg.errors import LocalAwsError, NotFoundError, SettingsError
from dynaberg.settings import Settings
from dynaberg.walk import room

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "notebooks" / "teach" / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_first.ipynb").write_text("{}")
    (tmp_path / "notebooks" / "glossary.md").write_text("# Glossary")
    monkeypatch.setattr(local, "status", lambda _: None)
    monkeypatch.setattr(local, "stop", lambda _, **__: True)
    monkeypatch.setattr(local, "start", lambda _: type("S", (), {"endpoint": "http://here"})())
    return Settings(root=tmp_path)


def checked(settings: Settings, people: int = 1) -> dict[str, tuple[bool, str]]:
    rows = room.check(settings, people).to_dict("records")
    return {row["check"]: (row["ok"], f"{row['found']} {row['fix']}") for row in rows}


def test_a_room_that_is_large_enough_passes_and_one_that_is_not_says_what_would_be(
    project: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    small, large = checked(project), checked(project, 100_000)
    assert small["cores"][0]
    assert large["cores"] == (False, "4 for 100000 people Use a machine with 10000 cores, or more machines.")
    assert not large["memory"][0]
    assert "GiB needed" in large["memory"][1]


def test_a_port_that_somebody_has_is_named(project: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("DYNABERG_LOCAL_PORT", str(taken.getsockname()[1]))
        ok, words = checked(project)["port"]
    assert not ok
    assert "DYNABERG_LOCAL_PORT" in words


def test_a_check_that_cannot_be_made_is_one_that_fails(
    project: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Settings) -> None:
        raise LocalAwsError("It does not start.", hint="Start it.")

    monkeypatch.setattr(local, "start", fail)
    assert checked(project)["local AWS"] == (False, "It does not start. Start it.")


@pytest.mark.parametrize("people", [0, -3])
def test_a_room_has_people(project: Settings, people: int) -> None:
    with pytest.raises(SettingsError, match="1 or more"):
        room.check(project, people)


def test_a_seat_is_a_copy_that_keeps_what_was_written_until_it_is_cleared(project: Settings) -> None:
    (folder,) = room.seat(project, ["ada"])
    assert sorted(path.name for path in folder.iterdir()) == ["01_first.ipynb", "glossary.md"]
    (folder / "01_first.ipynb").write_text("mine")
    assert room.seat(project, ["ada", "grace"])[0] == folder
    assert (folder / "01_first.ipynb").read_text() == "mine"
    room.clear_seat(project, "ada")
    assert (folder / "01_first.ipynb").read_text() == "{}"


def test_nobody_gets_a_seat_by_a_reset(project: Settings) -> None:
    room.seat(project, ["ada", "grace"])
    with pytest.raises(NotFoundError, match=r"seat 'adda'\. What exists: ada, grace"):
        room.clear_seat(project, "adda")
    assert sorted(path.name for path in project.root.glob("room-*")) == ["room-ada", "room-grace"]


@pytest.mark.parametrize("name", ["dynaberg", "Ada", "", "../x", "a" * 20])
def test_a_name_that_could_not_be_deployed_gets_no_seat(project: Settings, name: str) -> None:
    with pytest.raises(SettingsError):
        room.seat(project, ["grace", name])
    assert list(project.root.glob("room-*")) == [], "all or none"


def commands(text: str) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```|`(dynaberg [^`]+)`", text, re.DOTALL)
    lines = [
        line.partition("#")[0].strip() for block in blocks for part in block for line in part.splitlines()
    ]
    return sorted({line for line in lines if line.startswith("dynaberg ")})


@pytest.mark.parametrize("command", commands(GUIDE))
def test_every_command_of_the_trainer_s_page_is_understood(command: str) -> None:
    understood: Callable[[object], int] = cli._parser().parse_args(command.split()[1:]).run
    assert callable(understood)


def test_the_agendas_add_up_and_lead_to_notebooks() -> None:
    for minutes, title in ((90, "Ninety minutes"), (240, "Half a day")):
        agenda = GUIDE.partition(f"## {title}")[2].partition("\n## ")[0]
        times = [tuple(map(int, pair)) for pair in re.findall(r"^\| (\d+).(\d+) \|", agenda, re.MULTILINE)]
        assert [begin for begin, _ in times] == [0, *(end for _, end in times[:-1])]
        assert times[-1][1] == minutes
    for target in re.findall(r"\]\(([^)]+)\)", GUIDE):
        assert (ROOT / "notebooks" / "teach" / target).exists(), target


def test_the_messages_that_are_explained_are_those_that_are_written() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "lib").rglob("*.py"))
    rows = re.findall(r"^\| `([^`]+)`", GUIDE.partition("## What goes wrong")[2], re.MULTILINE)
    elsewhere = ("The kernel appears", "No module named", "dynaberg: command not found", "AssertionError")
    for message in rows:
        if not message.startswith(elsewhere):
            words = max(re.split(r"…|\d+", message), key=len).strip(" .,")
            assert words in sources, message
    assert len(rows) >= 7
