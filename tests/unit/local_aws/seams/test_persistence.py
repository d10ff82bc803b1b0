"""A state file says what ministack's own says."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import orjson
import pytest
from ministack import app
from ministack.core import persistence
from ministack.core.responses import AccountRegionScopedDict
from ministack.services import cloudformation

from local_aws.seams import persistence as persistence_seam

ACCOUNT, REGION = "000000000000", "us-east-1"


@pytest.mark.parametrize(
    "value",
    [{"a": (1, "Zoë")}, {7: b"bytes"}, {"big": 2**70}, {"half": "\ud800"}, {"nested": {"b": b"\xff"}}],
)
def test_a_state_file_says_what_ministacks_own_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: dict[str, Any]
) -> None:
    monkeypatch.setattr(persistence, "PERSIST_STATE", True)
    monkeypatch.setattr(persistence, "STATE_DIR", str(tmp_path))
    monkeypatch.setattr(persistence, "save_state", persistence.save_state)
    scoped = AccountRegionScopedDict()
    scoped.set_scoped(ACCOUNT, REGION, "orders", value)

    def saved() -> Any:
        persistence.save_state("dynamodb", {"tables": scoped})
        return persistence.load_state("dynamodb")["tables"]._data

    theirs = saved()
    persistence_seam.write_state_files_quickly()
    (tmp_path / "dynamodb.json").unlink()
    assert saved() == theirs


def test_a_state_file_that_says_the_same_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(persistence, "STATE_DIR", str(tmp_path))
    monkeypatch.setattr(persistence, "save_state", persistence.save_state)
    persistence_seam.write_state_files_quickly()
    persistence.save_state("dynamodb", {"tables": [1]})
    first = (tmp_path / "dynamodb.json").stat().st_ino
    persistence.save_state("dynamodb", {"tables": [1]})
    assert (tmp_path / "dynamodb.json").stat().st_ino == first
    kept = tmp_path / "kept"
    kept.hardlink_to(tmp_path / "dynamodb.json")
    persistence.save_state("dynamodb", {"tables": [2]})
    assert orjson.loads((tmp_path / "dynamodb.json").read_bytes())["payload"] == {"tables": [2]}
    assert orjson.loads(kept.read_bytes())["payload"] == {"tables": [1]}


@pytest.mark.parametrize(("status", "busy"), [("CREATE_COMPLETE", False), ("UPDATE_IN_PROGRESS", True)])
def test_a_stack_in_hand_is_seen(monkeypatch: pytest.MonkeyPatch, status: str, busy: bool) -> None:
    stacks = AccountRegionScopedDict()
    stacks.set_scoped(ACCOUNT, REGION, "stack", {"StackStatus": status})
    stacks.set_scoped(ACCOUNT, REGION, "planned", {"StackStatus": "REVIEW_IN_PROGRESS"})
    monkeypatch.setattr(cloudformation, "_stacks", stacks)
    assert persistence_seam.is_deploying() is busy


def test_a_compressed_body_becomes_no_larger_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "gzip", app.gzip)
    persistence_seam.inflate_no_more_than(100)
    inflate = app._decompress_request_body
    twice = gzip.compress(bytes(50)) + gzip.compress(bytes(50))
    assert inflate(twice, {"content-encoding": "gzip"}) == bytes(100)
    bomb = gzip.compress(bytes(101))
    assert inflate(bomb, {"content-encoding": "gzip"}) == bomb
