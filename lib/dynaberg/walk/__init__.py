"""Running the notebooks in order, the gallery of pages made from them, and what a room of learners needs.

Public, for the command line: `walk`; `room`, which checks a room and gives seats; `write_sheet`.
"""

from dynaberg.walk import room
from dynaberg.walk.cheat_sheet import write_sheet
from dynaberg.walk.walk import walk

__all__ = ["room", "walk", "write_sheet"]
