"""The delivery worker: reads, transforms, converts, buffers and flushes, in a process of its own.

It is started as `python -m local_aws.firehose.delivery`, and nothing of it is imported from outside.
"""

__all__: list[str] = []
