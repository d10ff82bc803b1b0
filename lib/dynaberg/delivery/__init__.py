"""From the source to the change log: backfill, waiting, freshness, failures, queues and replay.

Public: everything that a table offers of these, the way back into the pipeline that a repair uses, and the
messages of the queues, which forgetting reads.
"""

from dynaberg.delivery.backfill import SMALL_BYTES, backfill, preview_backfill
from dynaberg.delivery.envelopes import log_of, source_of
from dynaberg.delivery.failures import failed_records, failures, wait_for_failures
from dynaberg.delivery.freshness import freshness
from dynaberg.delivery.queues import Message, held_messages, queue_depths, remove
from dynaberg.delivery.reentry import delivered_ids, open_reentry, row_converter
from dynaberg.delivery.replay import ARCHIVE, preview_replay, replay_errors
from dynaberg.delivery.replay import changed_at as change_time
from dynaberg.delivery.stream_replay import replay_stream
from dynaberg.delivery.waiting import wait_for_delivery

__all__ = [
    "ARCHIVE",
    "SMALL_BYTES",
    "Message",
    "backfill",
    "change_time",
    "delivered_ids",
    "failed_records",
    "failures",
    "freshness",
    "held_messages",
    "log_of",
    "open_reentry",
    "preview_backfill",
    "preview_replay",
    "queue_depths",
    "remove",
    "replay_errors",
    "replay_stream",
    "row_converter",
    "source_of",
    "wait_for_delivery",
    "wait_for_failures",
]
