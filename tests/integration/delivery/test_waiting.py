"""A wait that ends too late names what holds the delivery up."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from dynaberg import deploy
from dynaberg.delivery.waiting import wait_for_delivery
from dynaberg.errors import NotReadyError


def test_the_last_error_of_the_delivery_is_named(make_pipeline: Callable[[str], Any]) -> None:
    pipeline = make_pipeline("late")
    session, settings, contract = pipeline.session, pipeline.settings, pipeline.contract
    bucket = deploy.outputs(session, settings, "foundation")["ErrorBucketName"]
    stream = deploy.outputs(session, settings, "delivery")["DeliveryStreamName"]
    session.client("s3").delete_bucket(Bucket=bucket)
    session.client("firehose").put_record(DeliveryStreamName=stream, Record={"Data": b"no change row"})
    logs, deadline = session.client("logs"), time.monotonic() + 60
    while not logs.filter_log_events(logGroupName=f"/aws/kinesisfirehose/{settings.name}")["events"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    began = datetime.now(UTC)
    pipeline.write({"id": {"S": "a"}, "at": {"N": "1"}})
    with pytest.raises(NotReadyError, match=r"1 of 1 changes .*: NoSuchBucket.*firehose") as late:
        wait_for_delivery(session, settings, contract, expected=1, since=began, timeout=4, progress=False)
    assert f"The error bucket {bucket} could not be read: NoSuchBucket." in late.value.hint
    session.client("s3").create_bucket(Bucket=bucket)
    done = wait_for_delivery(session, settings, contract, expected=1, since=began, progress=False)
    assert done["changes"].tolist() == [1]
