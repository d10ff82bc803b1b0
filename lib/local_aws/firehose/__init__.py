"""Amazon Data Firehose with Iceberg destinations: takes records, and leaves the rest to the delivery worker.

From outside: the service. What becomes of the records is in the rooms inside: `stream` (settings, journal and
checkpoint, which gateway and worker share), `arrow`, `append`, and `delivery`, the worker.
"""

from local_aws.firehose.api import Firehose

__all__ = ["Firehose"]
