"""DynamoDB → Kinesis Data Streams: the record of a change, as AWS puts it on a stream.

From outside: the service that sends the changes of tables with a Kinesis destination.
"""

from local_aws.kinesis.changes import Kinesis

__all__ = ["Kinesis"]
