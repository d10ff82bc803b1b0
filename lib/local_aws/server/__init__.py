"""The server process: its start and end, the one port, and the state that it keeps.

From outside (the door): the process as it is seen from elsewhere, and the saved state. `serve` runs it, and
`gateway` answers what ministack lacks and passes everything else on.
"""

__all__ = ["process", "saved_state"]
