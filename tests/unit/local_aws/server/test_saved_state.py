"""The last state that was kept aside survives an unclean end, whole."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_aws.server import saved_state
from local_aws.server.saved_state import Checkpoint

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def write(state_dir: Path, **contents: str) -> None:
    """Files as ministack writes them: replaced, never written into."""
    for name, content in contents.items():
        path = state_dir / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name("draft")
        draft.write_text(content)
        draft.replace(path)


def read(state_dir: Path) -> dict[str, str]:
    files = [path for name in ("state", "s3") for path in (state_dir / name).rglob("*") if path.is_file()]
    return {str(path.relative_to(state_dir)): path.read_text() for path in sorted(files)}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A state folder after a run that began empty, made two files and stopped cleanly."""
    assert saved_state.restore(tmp_path).kind == "empty"
    saved_state.mark_running(tmp_path)
    write(tmp_path, state__a="[1]", s3__000__b__object="one")
    saved_state.mark_saved(tmp_path)
    return tmp_path


def test_a_clean_stop_is_continued(saved: Path) -> None:
    before = read(saved)
    restored = saved_state.restore(saved)
    assert (restored.kind, restored.saved_at) == ("clean", saved_state.saved_at(saved))
    assert read(saved) == before


def test_an_unclean_end_goes_back_to_the_last_clean_stop(saved: Path) -> None:
    before = read(saved)
    saved_at = saved_state.restore(saved).saved_at
    saved_state.mark_running(saved)
    write(saved, s3__000__b__object="two", s3__000__b__new="x", state__a="[2]", state__b="half of a sav")
    (saved / "s3" / "000" / "b" / "new").unlink()
    for _ in range(2):
        restored = saved_state.restore(saved)
        assert (restored.kind, restored.saved_at) == ("unclean", saved_at)
        assert read(saved) == before
        saved_state.mark_running(saved)


def test_a_first_run_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    saved_state.restore(tmp_path)
    saved_state.mark_running(tmp_path)
    write(tmp_path, s3__000__b__object="one")
    restored = saved_state.restore(tmp_path)
    assert (restored.kind, restored.saved_at, read(tmp_path)) == ("unclean", None, {})


def test_a_start_that_failed_changes_nothing(saved: Path) -> None:
    saved_state.restore(saved)
    assert saved_state.restore(saved).kind == "clean"


def test_a_file_other_than_it_was_saved_is_damage(saved: Path) -> None:
    write(saved, **{"state__a.json": "[1, 2]"})
    saved_state.mark_saved(saved)
    assert saved_state.damaged_file(saved) is None
    write(saved, **{"state__a.json": "[1, 3]"})
    assert saved_state.damaged_file(saved) == saved / "state" / "a.json"
    (saved / "state" / "a.json").unlink()
    assert saved_state.damaged_file(saved) == saved / "state" / "a.json"


def test_damage_while_running_does_not_matter(saved: Path) -> None:
    saved_state.restore(saved)
    saved_state.mark_running(saved)
    write(saved, **{"state__a.json": "[1,"})
    assert saved_state.damaged_file(saved) is None


def test_a_damaged_mark_is_damage(saved: Path) -> None:
    (saved / "clean.json").write_text("{")
    assert saved_state.damaged_file(saved) == saved / "clean.json"


@pytest.fixture
def running(saved: Path) -> Path:
    """The same folder, running again, with a state file of ministack."""
    write(saved, **{"state__a.json": "[0]"})
    saved_state.mark_saved(saved)
    saved_state.restore(saved)
    saved_state.mark_running(saved)
    return saved


Change = tuple[str, str | None]
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["state__a.json", "s3__b__x", "s3__b__y", "s3__b__y.tmp", "s3__c"]),
        st.none() | st.sampled_from(["1", "2", "longer"]),
    ),
    max_size=6,
)


def change(state_dir: Path, changes: Sequence[Change]) -> None:
    """Write files, or remove them."""
    for name, content in changes:
        if content is None:
            (state_dir / name.replace("__", "/")).unlink(missing_ok=True)
        else:
            write(state_dir, **{name: content})


@settings(max_examples=40, deadline=None)
@given(rounds=st.lists(CHANGES, min_size=1, max_size=4), lost=CHANGES, linked=st.booleans())
def test_a_kill_goes_back_to_the_last_checkpoint(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[list[Change]], lost: list[Change], linked: bool
) -> None:
    state_dir = tmp_path_factory.mktemp("kept")
    saved_state.restore(state_dir)
    saved_state.mark_running(state_dir)
    with pytest.MonkeyPatch.context() as monkeypatch:
        if not linked:
            monkeypatch.setattr(os, "link", no_links)
        for number, changes in enumerate(rounds):
            change(state_dir, changes)
            Checkpoint(state_dir, NOON + timedelta(minutes=number)).finish()
        before, last = read(state_dir), NOON + timedelta(minutes=len(rounds) - 1)
        change(state_dir, lost)
        Checkpoint(state_dir, NOON + timedelta(days=1))  # it is killed before that is finished
        for _ in range(2):
            change(state_dir, lost)
            restored = saved_state.restore(state_dir)
            assert (restored.kind, restored.saved_at, read(state_dir)) == ("unclean", last, before)


def no_links(source: Any, target: Any) -> None:
    raise OSError(errno.EPERM, "This file system has no links")


def test_a_checkpoint_costs_what_changed(running: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(50):
        write(running, **{f"s3__000__b__{number}": "x"})
    for _ in range(2):
        Checkpoint(running, NOON).finish()
    linked: list[str] = []
    link = os.link
    monkeypatch.setattr(os, "link", lambda source, target: (linked.append(source), link(source, target)))
    write(running, s3__000__b__7="y")
    Checkpoint(running, NOON).finish()
    assert linked == [str(running / "s3" / "000" / "b" / "7")]


def full_disk(monkeypatch: pytest.MonkeyPatch, running: Path) -> None:
    def refuse(source: Any, target: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(shutil, "copy2", refuse)


def read_only(monkeypatch: pytest.MonkeyPatch, running: Path) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)


def disk_that_fails_at_the_end(monkeypatch: pytest.MonkeyPatch, running: Path) -> None:
    def fail(_: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)


@pytest.mark.parametrize("trouble", [full_disk, read_only, disk_that_fails_at_the_end])
def test_the_last_checkpoint_stays_where_none_can_be_made(
    running: Path, trouble: Callable[[pytest.MonkeyPatch, Path], None]
) -> None:
    for minute in (1, 2):
        write(running, **{"state__a.json": f"[{minute}]", "s3__000__b__x": f"{minute}"})
        Checkpoint(running, NOON + timedelta(minutes=minute)).finish()
    before = read(running)
    write(running, **{"state__a.json": "[3]", "s3__000__b__x": "3"})
    with pytest.MonkeyPatch.context() as monkeypatch:
        trouble(monkeypatch, running)
        for _ in range(2):
            with pytest.raises(OSError, match=r"device|system|error"):
                Checkpoint(running, NOON + timedelta(minutes=3)).finish()
    restored = saved_state.restore(running)
    assert (restored.saved_at, read(running)) == (NOON + timedelta(minutes=2), before)


def test_a_mark_comes_after_all_that_it_vouches_for_is_on_the_disk(
    running: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without power nothing else is left of what was only written, names of files included."""
    on_disk: list[list[str]] = []

    def sync() -> None:
        on_disk.append([str(path.relative_to(running)) for path in sorted(running.rglob("*"))])

    monkeypatch.setattr(os, "sync", sync)
    write(running, **{"state__a.json": "[5]", "s3__000__b__8": "y", "firehose__journal": "z"})
    Checkpoint(running, NOON).finish()
    newest = saved_state.kept(running)[0].name
    assert {f"{newest}/s3/000/b/8", f"{newest}/firehose/journal"} <= set(on_disk[0])
    assert f"{newest}/clean.json" not in on_disk[0]
    saved_state.mark_saved(running)
    assert "clean.json" not in on_disk[1]
    assert (running / "clean.json").exists()


@pytest.mark.parametrize("damaged", ["state/a.json", "clean.json"])
@pytest.mark.parametrize("content", [b"", b"[9]", b"\0" * 40])
def test_a_damaged_checkpoint_is_passed_over(running: Path, damaged: str, content: bytes) -> None:
    contents = []
    for minute in (1, 2):
        write(running, **{"state__a.json": f"[{minute}]"})
        Checkpoint(running, NOON + timedelta(minutes=minute)).finish()
        contents.append(read(running))
    newest, older = saved_state.kept(running)
    (newest / damaged).write_bytes(content)
    assert saved_state.damaged_file(running) is None
    restored = saved_state.restore(running)
    assert (restored.saved_at, restored.damaged) == (NOON + timedelta(minutes=1), newest / damaged)
    assert read(running) == contents[0]
    Checkpoint(running, NOON)
    assert saved_state.kept(running) == [older]
    (older / "state" / "a.json").write_bytes(b"[8]")
    assert saved_state.damaged_file(running) == older / "state" / "a.json"
    with pytest.raises(ValueError, match=r"a\.json is damaged"):
        saved_state.restore(running)
