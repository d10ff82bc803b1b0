"""What ministack knows of a queue."""

from __future__ import annotations

import asyncio

import pytest
from ministack.core.responses import AccountRegionScopedDict
from ministack.services import sqs

from local_aws.seams import sqs as sqs_seam

ACCOUNT, REGION = "000000000000", "us-east-1"


def test_the_depth_of_a_queue_is_what_its_messages_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqs, "_queues", AccountRegionScopedDict())
    url = sqs._act_create_queue({"QueueName": "letters"}, "")["QueueUrl"]
    for number, delay in enumerate((0, 0, 0, 60)):
        sqs._act_send_message({"QueueUrl": url, "MessageBody": str(number), "DelaySeconds": delay}, "")
    asyncio.run(sqs._act_receive_message({"QueueUrl": url}, ""))
    [depth] = sqs_seam.queue_depths(REGION)
    assert (depth.name, depth.visible, depth.in_flight, depth.delayed) == ("letters", 2, 1, 1)
    assert 0 < depth.oldest_seconds < 5
    assert sqs_seam.queue_depths("eu-west-1") == []
