"""JSON records to Arrow, with the exact types of an Iceberg table, or a mismatch that says why.

From outside: the converter of rows, and its errors.
"""

from local_aws.firehose.arrow.rows import RowConverter
from local_aws.firehose.arrow.values import MismatchError

__all__ = ["MismatchError", "RowConverter"]
