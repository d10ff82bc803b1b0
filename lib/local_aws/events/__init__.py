"""Event source mappings of Lambda: streams and queues, batches, what failed for good.

From outside: the service that polls for every mapping that is made.
"""

from local_aws.events.sources import EventSources

__all__ = ["EventSources"]
