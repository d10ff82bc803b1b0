"""Curated tables as a small project: SQL files, what they declare, their order, checks and lineage.

Public: building one or all of them, what a build would do, where every number comes from, which tables are
built from others and must be built as a whole, and which files read a column.
"""

from dynaberg.curated.build import build, build_all
from dynaberg.curated.files import read_files
from dynaberg.curated.lineage import lineage
from dynaberg.curated.order import built_from
from dynaberg.curated.plan import builds_in_order, preview_build
from dynaberg.curated.state import load_states, set_outdated
from dynaberg.curated.usage import files_naming

__all__ = [
    "build",
    "build_all",
    "builds_in_order",
    "built_from",
    "files_naming",
    "lineage",
    "load_states",
    "preview_build",
    "read_files",
    "set_outdated",
]
