"""Running the notebooks in order, and the gallery of pages that they leave.

From outside: `walk`, which the command line calls.
"""

from dynaberg.walk.walk import walk

__all__ = ["walk"]
