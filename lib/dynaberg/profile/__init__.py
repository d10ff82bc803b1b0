"""Profiles: columns by Athena statements, files and partitions from metadata, and how far columns drifted.

Public: the four calls of a table.
"""

from dynaberg.profile.columns import profile_columns
from dynaberg.profile.drift import drift
from dynaberg.profile.files import profile_files, profile_partitions

__all__ = ["drift", "profile_columns", "profile_files", "profile_partitions"]
