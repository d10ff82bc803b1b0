"""Curated tables as a small project: SQL files, what they declare, their order, checks and lineage.

Public: building one or all of them, what a build would do, and where every number comes from.
"""

from dynaberg.curated.build import build, build_all
from dynaberg.curated.lineage import lineage
from dynaberg.curated.plan import builds_in_order, preview_build

__all__ = ["build", "build_all", "builds_in_order", "lineage", "preview_build"]
