"""Code that runs inside Lambda: the standard library and boto3, and nothing else of Dynaberg.

The handlers are `forwarder`, `redrive` and `transform`. From outside: the modules by which a replay does
what a handler would do.
"""

__all__ = ["attributes", "conversion", "dead_letters", "delivery", "handover"]
