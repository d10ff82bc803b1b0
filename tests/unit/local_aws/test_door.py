"""The door, as far as it goes without a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import local_aws
from local_aws import LocalAwsError
from local_aws.server import saved_state


def test_the_door_imports_the_standard_library_only() -> None:
    code = (
        "import sys; before = set(sys.modules); import local_aws; print(*sorted(set(sys.modules) - before))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    foreign = (
        {name.partition(".")[0] for name in printed.split()} - set(sys.stdlib_module_names) - {"local_aws"}
    )
    assert foreign == set()


def test_env_points_every_client_at_the_endpoint() -> None:
    assert local_aws.env("http://127.0.0.1:4566", "eu-west-1") == {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def test_env_goes_past_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "intranet")
    monkeypatch.delenv("NO_PROXY", raising=False)
    variables = local_aws.env("http://127.0.0.1:4566")
    assert (variables["no_proxy"], variables["NO_PROXY"]) == ("intranet,127.0.0.1", "127.0.0.1")


def test_nothing_runs_on_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert local_aws.status(tmp_path / "none") is None
    assert not local_aws.stop(tmp_path / "none")
    local_aws.reset(tmp_path / "none")


def test_a_record_of_a_process_that_is_gone_or_another_is_stale(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for pid in (gone.pid, os.getpid()):
        (tmp_path / "gateway.json").write_text(
            json.dumps({"pid": pid, "port": 1, "endpoint": "", "region": ""})
        )
        assert local_aws.status(tmp_path) is None
        assert not local_aws.stop(tmp_path)


def test_a_half_written_record_is_stale(tmp_path: Path) -> None:
    (tmp_path / "gateway.json").write_text('{"pid": 12')
    assert local_aws.status(tmp_path) is None


def test_reset_refuses_a_foreign_folder_and_leaves_foreign_files(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(LocalAwsError, match="is not a state folder"):
        local_aws.reset(tmp_path)
    (tmp_path / "clean.json").write_text("{}")
    (tmp_path / "state").mkdir()
    local_aws.reset(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(("content", "flaw"), [("[1,", "not JSON"), ("[1, 3]", "not as it was saved")])
def test_a_damaged_state_file_is_named_and_kept(tmp_path: Path, content: str, flaw: str) -> None:
    (tmp_path / "state").mkdir()
    file = tmp_path / "state" / "s3.json"
    file.write_text("[1, 2]")
    saved_state.mark_saved(tmp_path)
    saved_state.restore(tmp_path)
    file.unlink()
    file.write_text(content)
    with pytest.raises(LocalAwsError, match=rf"s3\.json is {flaw}. Nothing was deleted") as error:
        local_aws.start(tmp_path, port=1)
    assert "reset" in error.value.hint
    assert f"delete {tmp_path / 'clean.json'}" in error.value.hint
    assert file.read_text() == content
    local_aws.reset(tmp_path)
    assert list(tmp_path.iterdir()) == []
