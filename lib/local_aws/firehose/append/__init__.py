"""One Iceberg append for each flush, at a cost that does not grow with the table's history.

From outside: the tables of a table bucket as targets, the data files of a flush, and the append itself.
"""

from local_aws.firehose.append.appender import FLUSH_PROPERTY
from local_aws.firehose.append.data_files import DataFiles
from local_aws.firehose.append.sink import (
    POSITION_PROPERTY,
    STREAM_PROPERTY,
    TableBucket,
    Target,
    append_once,
)

__all__ = [
    "FLUSH_PROPERTY",
    "POSITION_PROPERTY",
    "STREAM_PROPERTY",
    "DataFiles",
    "TableBucket",
    "Target",
    "append_once",
]
