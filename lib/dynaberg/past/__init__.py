"""The history of a table: snapshots, reads as of a moment, differences, an item's history, bookmarks.

Public: all of these, and what other packages need to compare rows and to find the snapshot of a moment.
"""

from dynaberg.past.as_of import read_as_of, state_as_of
from dynaberg.past.bookmarks import bookmarked, bookmarks, remove_bookmark, set_bookmark
from dynaberg.past.diff import changes_between
from dynaberg.past.differences import Differences, compare, to_long_form
from dynaberg.past.item_history import check_key, item_history
from dynaberg.past.snapshots import Moment, resolve_snapshot, snapshots

__all__ = [
    "Differences",
    "Moment",
    "bookmarked",
    "bookmarks",
    "changes_between",
    "check_key",
    "compare",
    "item_history",
    "read_as_of",
    "remove_bookmark",
    "resolve_snapshot",
    "set_bookmark",
    "snapshots",
    "state_as_of",
    "to_long_form",
]
