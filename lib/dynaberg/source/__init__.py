"""The DynamoDB side: existing tables, the items of the table, its change stream, and generated traffic.

Public: what adopting a table needs, scans and reads by key, exports, the change records that a stream still
holds, `generate_traffic`, and `infer_contract` for a table that exists already.
"""

from dynaberg.source.adoption import (
    ExistingTable,
    check_source,
    describe_source,
    recovers_to_a_point,
    start_sending,
    stop_sending,
    stream_readers,
    switch_off_stream,
    switch_on_stream,
)
from dynaberg.source.change_stream import (
    Shard,
    StreamRecord,
    oldest_moment,
    read_changes,
    read_shard,
    shards_of,
)
from dynaberg.source.exports import (
    DataFile,
    Export,
    await_export,
    named_export,
    read_export,
    start_export,
    stream_began,
)
from dynaberg.source.infer import InferredContract, infer_contract, infer_contracts
from dynaberg.source.items import Item, get_items, query_items, scan_items, scan_sample, source_size
from dynaberg.source.paged_scan import Page, PageReader
from dynaberg.source.traffic import TrafficReport, generate_traffic, holds_items_of_others

__all__ = [
    "DataFile",
    "ExistingTable",
    "Export",
    "InferredContract",
    "Item",
    "Page",
    "PageReader",
    "Shard",
    "StreamRecord",
    "TrafficReport",
    "await_export",
    "check_source",
    "describe_source",
    "generate_traffic",
    "get_items",
    "holds_items_of_others",
    "infer_contract",
    "infer_contracts",
    "named_export",
    "oldest_moment",
    "query_items",
    "read_changes",
    "read_export",
    "read_shard",
    "recovers_to_a_point",
    "scan_items",
    "scan_sample",
    "shards_of",
    "source_size",
    "start_export",
    "start_sending",
    "stop_sending",
    "stream_began",
    "stream_readers",
    "switch_off_stream",
    "switch_on_stream",
]
