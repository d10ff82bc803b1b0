"""Change log → current table → curated tables, and the reference tables beside them.

From outside: creating the tables, the refresh, builds, and what of the log is merged.
"""

from dynaberg.layers.curated import build
from dynaberg.layers.log_progress import Unmerged, unmerged_changes
from dynaberg.layers.references import load_reference
from dynaberg.layers.refresh import MERGED_SNAPSHOT, refresh
from dynaberg.layers.tables import create_tables

__all__ = [
    "MERGED_SNAPSHOT",
    "Unmerged",
    "build",
    "create_tables",
    "load_reference",
    "refresh",
    "unmerged_changes",
]
