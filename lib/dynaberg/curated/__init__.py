"""Curated tables as a small project: SQL files, what they declare, their order, checks and lineage.

Public: building one or all of them, what a build would do, where every number comes from, and which tables
are built from others.
"""

from dynaberg.curated.build import build, build_all
from dynaberg.curated.files import STAGING, read_files
from dynaberg.curated.lineage import lineage
from dynaberg.curated.order import built_from
from dynaberg.curated.plan import builds_in_order, preview_build

__all__ = [
    "STAGING",
    "build",
    "build_all",
    "built_from",
    "builds_in_order",
    "lineage",
    "preview_build",
    "read_files",
]
