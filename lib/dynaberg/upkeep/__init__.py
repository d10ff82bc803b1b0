"""Maintaining tables and knowing the bill: maintenance, what-if, rows that are written again, cost.

Public: maintenance and its previews, masks and gained columns of rows that are there, the estimate and the
bill so far.
"""

from dynaberg.upkeep.bill import cost_so_far
from dynaberg.upkeep.cost import cost_class, estimate_cost
from dynaberg.upkeep.filled_log import count_unfilled, fill_log
from dynaberg.upkeep.maintenance import maintain, maintenance, preview_maintenance
from dynaberg.upkeep.mask_rotation import preview_mask_rotation, rotate_mask_key
from dynaberg.upkeep.masked_rows import preview_remask, remask
from dynaberg.upkeep.rewriting import rewrite
from dynaberg.upkeep.what_if import TARGET_BYTES, compaction_saving, preview_retention

__all__ = [
    "TARGET_BYTES",
    "compaction_saving",
    "cost_class",
    "cost_so_far",
    "count_unfilled",
    "estimate_cost",
    "fill_log",
    "maintain",
    "maintenance",
    "preview_maintenance",
    "preview_mask_rotation",
    "preview_remask",
    "preview_retention",
    "remask",
    "rewrite",
    "rotate_mask_key",
]
