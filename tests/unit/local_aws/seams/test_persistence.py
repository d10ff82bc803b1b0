"""A state file says what ministack's own says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ministack.core import persistence
from ministack.core.responses import AccountRegionScopedDict

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
    scoped = AccountRegionScopedDict()
    scoped.set_scoped(ACCOUNT, REGION, "orders", value)

    def saved() -> Any:
        persistence.save_state("dynamodb", {"tables": scoped})
        return persistence.load_state("dynamodb")["tables"]._data

    theirs = saved()
    persistence_seam.write_state_files_quickly()
    (tmp_path / "dynamodb.json").unlink()
    assert saved() == theirs
