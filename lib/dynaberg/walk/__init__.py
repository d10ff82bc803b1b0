"""Running the notebooks in order, and the gallery of pages made from them.

Public: `walk`, which the command line calls.
"""

from dynaberg.walk.walk import walk

__all__ = ["walk"]
