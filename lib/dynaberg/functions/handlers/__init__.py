"""The handlers `forwarder`, `redrive` and `transform`, and what each keeps between invocations.

Nothing here is used from Python: Lambda calls them, by the names in the template of the delivery.
"""

__all__: list[str] = []
