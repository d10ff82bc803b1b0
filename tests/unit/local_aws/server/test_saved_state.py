"""The last clean state survives an unclean end, whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_aws.server import saved_state


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


def test_a_file_shorter_than_it_was_saved_is_damaged(saved: Path) -> None:
    write(saved, **{"state__a.json": "[1, 2]"})
    saved_state.mark_saved(saved)
    assert saved_state.damaged_file(saved) is None
    write(saved, **{"state__a.json": "[1,"})
    assert saved_state.damaged_file(saved) == saved / "state" / "a.json"


def test_damage_while_running_does_not_matter(saved: Path) -> None:
    saved_state.restore(saved)
    saved_state.mark_running(saved)
    write(saved, **{"state__a.json": "[1,"})
    assert saved_state.damaged_file(saved) is None


def test_a_damaged_mark_is_damage(saved: Path) -> None:
    (saved / "clean.json").write_text("{")
    assert saved_state.damaged_file(saved) == saved / "clean.json"
