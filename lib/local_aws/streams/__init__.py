"""The records of DynamoDB streams and Kinesis shards, held in order of time, older ones compressed.

From outside: the logs of a stream and of a shard. They know nothing of ministack or of any API.
"""

from local_aws.streams.record_log import BLOCK_RECORDS, Held
from local_aws.streams.shard_log import RECORDS_PER_CALL, ShardLog, as_member
from local_aws.streams.stream_log import StreamLog, StreamRecord

__all__ = ["BLOCK_RECORDS", "RECORDS_PER_CALL", "Held", "ShardLog", "StreamLog", "StreamRecord", "as_member"]
