"""Event source mappings of Lambda: streams and queues, batches, filters, failure destinations.

From outside: the service that polls for every mapping that is made.
"""

from local_aws.events.sources import EventSources

__all__ = ["EventSources"]
