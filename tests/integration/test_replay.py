"""What failed is listed, replayed after the fix, and archived; what a stream still holds is read again."""

from __future__ import annotations

import json
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from dynaberg import deploy, layers
from dynaberg.errors import ContractError
from dynaberg.failures import error_bucket, failures
from dynaberg.reconcile import reconcile
from dynaberg.replay import ARCHIVE, preview_replay, replay_errors


@pytest.fixture(scope="module")
def pipeline(make_pipeline: Callable[[str], Any]) -> Any:
    return make_pipeline("replay")


@pytest.fixture(autouse=True)
def _clean_slate(pipeline: Any) -> Any:
    """Each test begins with an empty error bucket."""
    s3, bucket = pipeline.session.client("s3"), error_bucket(pipeline.session, pipeline.settings)
    for key in keys(pipeline, ""):
        s3.delete_object(Bucket=bucket, Key=key)


def keys(pipeline: Any, prefix: str) -> list[str]:
    bucket = error_bucket(pipeline.session, pipeline.settings)
    listed = pipeline.session.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)
    return [found["Key"] for found in listed.get("Contents", ())]


def write(pipeline: Any, item_id: str, **attributes: Any) -> None:
    pipeline.write({"id": {"S": item_id}, "at": {"N": "1"}, **attributes})


def fixed(pipeline: Any) -> Any:
    """The contract with room for larger amounts."""
    columns = [
        replace(column, type="decimal(18,2)") if column.name == "amount" else column
        for column in pipeline.contract.columns
    ]
    return replace(pipeline.contract, columns=tuple(columns))


def failed(pipeline: Any, count: int) -> pd.DataFrame:
    """The failures, once there are so many."""
    deadline = time.monotonic() + 20
    while True:
        frame = failures(pipeline.session, pipeline.settings, pipeline.contract)
        if len(frame) >= count:
            return frame.sort_values("id", ignore_index=True)
        assert time.monotonic() < deadline, f"{len(frame)} of {count} failed"
        time.sleep(0.1)


def log_ids(pipeline: Any) -> Counter[str]:
    rows = pipeline.load(pipeline.contract.log_name).scan(selected_fields=("change_id",)).to_arrow()
    return Counter(rows.column("change_id").to_pylist())


def objects(pipeline: Any, prefix: str) -> list[list[dict[str, Any]]]:
    """The objects below a prefix, as their lines."""
    s3, bucket = pipeline.session.client("s3"), error_bucket(pipeline.session, pipeline.settings)
    bodies = [s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys(pipeline, prefix)]
    return [[json.loads(line) for line in body.splitlines()] for body in bodies]


def wait_for_log(pipeline: Any, changes: int) -> None:
    deadline = time.monotonic() + 20
    while len(log_ids(pipeline)) < changes:
        assert time.monotonic() < deadline, f"{len(log_ids(pipeline))} of {changes} arrived"
        time.sleep(0.1)


def refresh_and_check(pipeline: Any, contract: Any, *, missing: list[str]) -> None:
    """Refresh the current table; it equals the source but for some keys."""
    layers.refresh(pipeline.session, pipeline.settings, contract)
    report = reconcile(pipeline.session, pipeline.settings, contract)
    assert report.df["id"].to_list() == missing, report.df.to_string()


def test_failures_are_replayed_after_the_fix_and_archived(pipeline: Any) -> None:
    session, settings, fix = pipeline.session, pipeline.settings, fixed(pipeline)
    write(pipeline, "good")
    write(pipeline, "large", amount={"N": "12345678901.25"})
    write(pipeline, "odd", amount={"N": "12345678902.25"}, day={"S": "soon"})
    listed = failed(pipeline, 2)
    assert listed["id"].to_list() == ["large", "odd"]
    assert listed["error_code"].to_list() == ["Conversion.OutOfRange"] * 2
    assert set(listed["where"]) == {"error bucket"}
    assert listed["operation"].to_list() == ["INSERT"] * 2

    told = preview_replay(session, settings, fix).set_index("id")["outcome"].to_dict()
    assert told == {"large": "replayed", "odd": "failed again"}
    with pytest.raises(ContractError, match="not yet as the contract says: amount"):
        replay_errors(session, settings, fix, progress=False)
    assert keys(pipeline, ARCHIVE) == [], "neither did anything"

    layers.create_tables(session, settings, fix)
    deploy.deploy_firehose(session, settings, fix, buffer_seconds=1)
    done = replay_errors(session, settings, fix, progress=False).set_index("id")
    assert done["outcome"].to_dict() == told
    assert done.loc["odd", "reason"].startswith("Conversion.WrongFormat: Attribute `day`")
    archived = [line for lines in objects(pipeline, ARCHIVE) for line in lines]
    assert [json.loads(b64decode(line["rawData"]))["eventID"] for line in archived] == [
        listed["change_id"][0]
    ]
    left = failures(session, settings, fix)
    assert left[["id", "error_code", "attempts"]].to_numpy().tolist() == [
        ["odd", "Conversion.WrongFormat", 2]
    ]

    wait_for_log(pipeline, 2)
    refresh_and_check(pipeline, fix, missing=["odd"])
    again = replay_errors(session, settings, fix, progress=False)
    assert again["outcome"].to_list() == ["failed again"]
    assert sum(log_ids(pipeline).values()) == 2
    assert len(keys(pipeline, ARCHIVE)) == 1
