"""Amazon Data Firehose with Iceberg destinations: takes records, and leaves the rest to the delivery worker.

From outside: `api`, the service; the worker, a room inside, does without it. What becomes of the records is
in the rooms inside: `stream` (settings, journal and checkpoint, which gateway and worker share), `arrow`,
`append`, and `delivery`, the worker.
"""

__all__ = ["api"]
