"""A scheduled run of refreshes and curated builds: with the standard library and boto3, without a notebook.

Public: a turn of a run, its jobs, and the modules with which a notebook reads what runs have recorded, and
keeps them from working meanwhile.
"""

from . import lock, records
from .building import build
from .lake import Lake
from .mirror import BusyError, LogFile, Mirror, Mirrored, copy_log, day_of, partition_of
from .refreshing import refresh
from .run import Rules, take_turn

__all__ = [
    "BusyError",
    "Lake",
    "LogFile",
    "Mirror",
    "Mirrored",
    "Rules",
    "build",
    "copy_log",
    "day_of",
    "lock",
    "partition_of",
    "records",
    "refresh",
    "take_turn",
]
