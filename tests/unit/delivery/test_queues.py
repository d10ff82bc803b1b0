"""Messages are held while they are looked at, and given back whatever happens."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from dynaberg import aws, deploy
from dynaberg.delivery import queues
from dynaberg.settings import Settings

SETTINGS = Settings()


class FakeSqs:
    """Two queues; a message that was received is invisible until it is given back."""

    def __init__(self, **messages: list[str]) -> None:
        self.visible = {url: list(bodies) for url, bodies in messages.items()}
        self.held: dict[str, tuple[str, str]] = {}

    def receive_message(self, **call: Any) -> dict[str, Any]:
        url, most = call["QueueUrl"], call["MaxNumberOfMessages"]
        assert call["VisibilityTimeout"] == queues.HOLD_SECONDS
        bodies, self.visible[url] = self.visible[url][:most], self.visible[url][most:]
        if not bodies:
            return {}
        self.held |= {f"receipt-{body}": (url, body) for body in bodies}
        attributes = {"SentTimestamp": "1764000000000", "ApproximateReceiveCount": "3"}
        return {
            "Messages": [
                {"MessageId": b, "ReceiptHandle": f"receipt-{b}", "Body": b, "Attributes": attributes}
                for b in bodies
            ]
        }

    def change_message_visibility_batch(self, **call: Any) -> None:
        assert len(call["Entries"]) <= 10
        for entry in call["Entries"]:
            assert entry["VisibilityTimeout"] == 0
            if found := self.held.pop(entry["ReceiptHandle"], None):
                assert found[0] == call["QueueUrl"]
                self.visible[found[0]].append(found[1])

    def delete_message(self, **call: Any) -> None:
        assert self.held.pop(call["ReceiptHandle"])[0] == call["QueueUrl"]

    def get_queue_attributes(self, **call: Any) -> dict[str, Any]:
        told = dict.fromkeys(call["AttributeNames"], "0")
        waiting = len(self.visible[call["QueueUrl"]])
        return {"Attributes": told | {"ApproximateNumberOfMessages": str(waiting)}}


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> FakeSqs:
    fake = FakeSqs(dead=[f"d{n}" for n in range(13)], parked=["p0"])
    outputs = {"DeadLetterQueueUrl": "dead", "ParkedQueueUrl": "parked", "DeliveryStreamName": "s"}
    monkeypatch.setattr(aws, "client", lambda *_: fake)
    monkeypatch.setattr(deploy, "outputs", lambda *_: outputs)
    return fake


def test_looking_takes_nothing(sqs: FakeSqs) -> None:
    for _ in range(2):
        with queues.held_messages(None, SETTINGS) as messages:  # type: ignore[arg-type]
            assert len(messages) == 14
            assert [len(bodies) for bodies in sqs.visible.values()] == [0, 0], "nobody else gets them"
        assert sorted(sqs.visible["dead"]) == sorted(f"d{n}" for n in range(13))
        assert sqs.visible["parked"] == ["p0"]
    assert {message.queue for message in messages} == {queues.DEAD_LETTERS, queues.PARKED}
    assert messages[0].sent_at == datetime(2025, 11, 24, 16, tzinfo=UTC)
    assert messages[0].attempts == 3


def test_they_are_given_back_after_an_error(sqs: FakeSqs) -> None:
    with pytest.raises(KeyboardInterrupt), queues.held_messages(None, SETTINGS):  # type: ignore[arg-type]
        raise KeyboardInterrupt
    assert len(sqs.visible["dead"]) == 13


def test_what_is_removed_stays_away(sqs: FakeSqs) -> None:
    with queues.held_messages(None, SETTINGS) as messages:  # type: ignore[arg-type]
        queues.remove(None, messages[-1])  # type: ignore[arg-type]
    assert sqs.visible["parked"] == []
    depths = queues.queue_depths(None, SETTINGS).set_index("queue")["waiting"]  # type: ignore[arg-type]
    assert depths.to_dict() == {queues.DEAD_LETTERS: 13, queues.PARKED: 0}


def test_a_deployment_without_queues_has_none(monkeypatch: pytest.MonkeyPatch, sqs: FakeSqs) -> None:
    monkeypatch.setattr(deploy, "outputs", lambda *_: {"DeliveryStreamName": "s"})
    with queues.held_messages(None, SETTINGS) as messages:  # type: ignore[arg-type]
        assert messages == []
    assert queues.queue_depths(None, SETTINGS).empty  # type: ignore[arg-type]
