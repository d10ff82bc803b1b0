"""The DynamoDB side: the items of the table, the change records of its stream, and generated traffic.

Public: scans and reads by key, the change records that a stream still holds, and `generate_traffic`.
"""

from dynaberg.source.change_stream import StreamRecord, oldest_moment, read_changes
from dynaberg.source.items import Item, get_items, query_items, scan_items, scan_sample, source_size
from dynaberg.source.traffic import TrafficReport, generate_traffic

__all__ = [
    "Item",
    "StreamRecord",
    "TrafficReport",
    "generate_traffic",
    "get_items",
    "oldest_moment",
    "query_items",
    "read_changes",
    "scan_items",
    "scan_sample",
    "source_size",
]
