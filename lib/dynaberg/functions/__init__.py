"""Code that runs inside Lambda: it uses only the standard library and boto3, nothing else of Dynaberg.

The handlers are in `handlers`, what a scheduled run does in `schedule`, its SQL in `statements`. Public: the
modules with which a notebook does what a handler would do.
"""

__all__ = [
    "attributes",
    "change_row",
    "dead_letters",
    "error_bucket",
    "export_files",
    "handover",
    "masks",
    "packing",
    "routing",
    "snapshots",
    "to_firehose",
    "tombstones",
]
