"""What ministack knows of the versions of delivery streams."""

from __future__ import annotations

from itertools import pairwise

import pytest
from ministack.core.responses import AccountRegionScopedDict
from ministack.services import firehose
from ministack.services.cloudformation import provisioners

from local_aws.seams.firehose import stream_versions

NAME = "seen"
DESTINATION = {"RoleARN": "arn:aws:iam::000000000000:role/r", "BucketARN": "arn:aws:s3:::bucket"}
CREATED = {"DeliveryStreamName": NAME, "ExtendedS3DestinationConfiguration": DESTINATION}


def test_every_change_of_a_stream_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firehose, "_streams", AccountRegionScopedDict())
    seen = [stream_versions()]
    provisioners._firehose_delivery_stream_create("Stream", CREATED, "stack")
    seen.append(stream_versions())
    where = {
        "CurrentDeliveryStreamVersionId": "1",
        "DestinationId": firehose._streams[NAME]["destinations"][0]["id"],
    }
    update = {"DeliveryStreamName": NAME, "ExtendedS3DestinationUpdate": {"Prefix": "p/"}}
    assert firehose._update_destination(where | update)[0] == 200
    seen.append(stream_versions())
    provisioners._firehose_delivery_stream_update(NAME, CREATED, CREATED, "stack")
    seen.append(stream_versions())
    firehose._delete_delivery_stream({"DeliveryStreamName": NAME})
    seen.append(stream_versions())
    assert [before != after for before, after in pairwise(seen)] == [True] * 4
    assert seen[0] == seen[-1]
