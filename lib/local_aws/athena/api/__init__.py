"""Athena's API: its operations, starting and prepared statements, result pages and objects.

From outside: the operations, which the service loads with the first call.
"""

__all__ = ["operations"]
