"""From the source to the change log: backfill, waiting, freshness, failures, queues and replay.

Public: everything that a table offers of these, and the way back into the pipeline that a repair uses.
"""

from dynaberg.delivery.backfill import backfill, preview_backfill
from dynaberg.delivery.failures import failed_records, failures, wait_for_failures
from dynaberg.delivery.freshness import freshness
from dynaberg.delivery.landings import find_landings
from dynaberg.delivery.queues import queue_depths
from dynaberg.delivery.reentry import delivered_ids, open_reentry, row_converter
from dynaberg.delivery.replay import preview_replay, replay_errors
from dynaberg.delivery.stream_replay import replay_stream
from dynaberg.delivery.waiting import wait_for_delivery

__all__ = [
    "backfill",
    "delivered_ids",
    "failed_records",
    "failures",
    "find_landings",
    "freshness",
    "open_reentry",
    "preview_backfill",
    "preview_replay",
    "queue_depths",
    "replay_errors",
    "replay_stream",
    "row_converter",
    "wait_for_delivery",
    "wait_for_failures",
]
