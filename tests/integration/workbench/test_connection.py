"""From a project's folder to a session, and the command line over the wire."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

import dynaberg
from dynaberg import aws, local
from dynaberg.cli import main
from dynaberg.deploy import doctor
from dynaberg.errors import LocalAwsError, SettingsError
from dynaberg.settings import Settings, load_settings
from local_aws import Status
from local_aws.server import process

ROOT = Path(__file__).resolve().parents[3]
CONTEXT = {"name": "typed", "table_bucket_name": "typedtables", "bucket_name": "typed"}


@pytest.fixture
def project(local_aws: Status, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project's folder whose local AWS is the tests'."""
    (tmp_path / "cdk.context.json").write_text(json.dumps(CONTEXT))
    tables = tmp_path / "data" / "tables"
    tables.mkdir(parents=True)
    contract = (ROOT / "data" / "tables" / "transactions.yaml").read_text()
    (tables / "transactions.yaml").write_text(
        contract.replace("financial-transactions", "typed-transactions")
    )
    (tmp_path / "data" / "local").symlink_to(local_aws.state_dir)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    aws._leave()


def test_a_session_reaches_the_local_aws_and_nothing_else(project: Path, local_aws: Status) -> None:
    session = aws.open_session(load_settings())
    assert session.region_name == local_aws.region
    assert aws.client(session, "s3").meta.endpoint_url == local_aws.endpoint
    assert aws.client(session, "s3") is aws.client(session, "s3")
    assert aws.account_id(session) == boto3.client("sts").get_caller_identity()["Account"]


def test_another_region_than_the_one_that_runs_is_refused(project: Path) -> None:
    with pytest.raises(SettingsError, match="uses 'us-east-1'") as caught:
        aws.open_session(load_settings(region="eu-central-1"))
    assert "dynaberg local stop" in caught.value.hint


def test_code_that_has_changed_since_the_start_is_told(
    project: Path, local_aws: Status, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load_settings()
    session = aws.open_session(settings)
    assert local_aws.is_current
    before = doctor(session, settings).set_index("check").loc["local AWS"]
    assert (before["ok"], before["fix"]) == (True, "")
    monkeypatch.setattr(process, "code_digest", lambda: "of tomorrow")
    with pytest.warns(UserWarning, match="dynaberg local stop"):
        aws.open_session(settings)
    after = doctor(session, settings).set_index("check").loc["local AWS"]
    assert (after["ok"], after["fix"]) == (False, local.restart_hint())
    assert main(["local", "status"]) == 0
    assert local.restart_hint() in capsys.readouterr().out


def test_a_port_in_use_is_explained(
    local_aws: Status, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DYNABERG_LOCAL_PORT", str(local_aws.port))
    with pytest.raises(LocalAwsError, match=str(local_aws.port)) as caught:
        local.start(Settings(root=tmp_path))
    assert caught.value.hint


def test_local_env_says_what_any_aws_client_needs(
    project: Path, local_aws: Status, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["local", "env"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"export AWS_ENDPOINT_URL={local_aws.endpoint}" in lines
    assert "export AWS_REGION=us-east-1" in lines
    assert lines[-1] == "unset AWS_PROFILE AWS_SESSION_TOKEN"


def test_local_start_finds_the_one_that_runs(
    project: Path, local_aws: Status, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["local", "start"]) == 0
    assert f"{local_aws.endpoint} (process {local_aws.pid})" in capsys.readouterr().out
    assert main(["local", "status"]) == 0
    assert "MiB" in capsys.readouterr().out


def test_deploy_doctor_sql_and_clean_up(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 1
    assert "wb.enable_cdc(), notebook 01_enable_cdc" in capsys.readouterr().out
    assert main(["deploy"]) == 0
    assert "typed-forwarder" in capsys.readouterr().out
    assert main(["tables"]) == 0
    assert capsys.readouterr().out.count("unchanged") == 2
    assert main(["doctor"]) == 0
    assert "False" not in capsys.readouterr().out
    assert main(["sql", "SELECT count(*) AS changes FROM transactions_changes"]) == 0
    assert capsys.readouterr().out.split() == ["changes", "0"]
    assert main(["sql", "SELECT nonsense FROM transactions_changes"]) == 1
    out, err = capsys.readouterr()
    assert "Hint:" in err
    assert "Traceback" not in out + err
    assert main(["clean-up", "--confirm", "dynaberg"]) == 1
    assert "Nothing was removed" in capsys.readouterr().err
    assert main(["clean-up", "--confirm", "typed"]) == 0
    assert "typed-forwarder" in capsys.readouterr().out
    assert main(["clean-up", "--confirm", "typed"]) == 0
    assert capsys.readouterr().out == "nothing\n"


def test_the_target_aws_is_refused_while_the_address_is_the_local_one(project: Path) -> None:
    aws.open_session(load_settings())
    assert os.environ["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
    with pytest.raises(SettingsError, match="which is this machine"):
        aws.open_session(load_settings(target="aws", region="eu-central-1"))


@pytest.mark.thorough
def test_two_people_on_one_local_aws_need_only_names(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "cdk.context.json").write_text(json.dumps({"namespace": "shared"}))
    (project / "data" / "tables" / "transactions.yaml").write_text(
        (ROOT / "data" / "tables" / "transactions.yaml").read_text()
    )
    people = [dynaberg.connect(name=name) for name in ("ada-learns", "grace-learns")]
    for person in people:
        person.prepare(through="firehose")
        person.generate_traffic(100)
        person.table().wait_for_delivery()
        person.table().refresh()
    ada, grace = people
    ada.clean_up(confirm="ada-learns")
    assert grace.table().reconcile().matches
    grace.clean_up(confirm="grace-learns")
