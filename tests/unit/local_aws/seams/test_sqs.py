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


def test_a_queue_is_read_when_it_has_a_message_to_give_or_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    for held in ("_queues", "_queue_name_to_url"):
        monkeypatch.setattr(sqs, held, AccountRegionScopedDict())
    arn, found = f"arn:aws:sqs:{REGION}:{ACCOUNT}:letters", []
    url = sqs._act_create_queue({"QueueName": "letters"}, "")["QueueUrl"]
    found.append(sqs_seam.may_be_received(arn))
    sqs._act_send_message({"QueueUrl": url, "MessageBody": "later", "DelaySeconds": 60}, "")
    found.append(sqs_seam.may_be_received(arn))
    sqs._act_send_message({"QueueUrl": url, "MessageBody": "now"}, "")
    found.append(sqs_seam.may_be_received(arn))
    asyncio.run(sqs._act_receive_message({"QueueUrl": url, "VisibilityTimeout": 60}, ""))
    found.append(sqs_seam.may_be_received(arn))
    sqs._act_delete_queue({"QueueUrl": url}, "")
    found.append(sqs_seam.may_be_received(arn))
    assert found == [False, False, True, False, True]
