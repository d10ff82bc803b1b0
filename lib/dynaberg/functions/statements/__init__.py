"""The statements of refreshes and curated builds, as SQL: the same wherever they are sent from.

Public: the modules from which both a notebook and the schedule's function make them.
"""

__all__ = ["builds", "merges", "reach"]
