"""The records of a shard, held compressed."""

from __future__ import annotations

from local_aws.streams import record_log
from local_aws.streams.shard_log import BYTES_PER_CALL, ShardLog


def test_one_answer_holds_ten_mebibytes_at_most() -> None:
    log = ShardLog()
    for number in range(3):
        log.hold(record_log.Held(0.0, str(number), "k", bytes(BYTES_PER_CALL // 2)))
    assert [len(log.read(position, 100)) for position in range(3)] == [2, 2, 1]
