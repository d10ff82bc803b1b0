"""Maintaining tables and knowing the bill: maintenance, what-if, cost.

Public: maintenance and its previews, the estimate and the bill so far.
"""

from dynaberg.upkeep.bill import cost_so_far
from dynaberg.upkeep.cost import cost_class, estimate_cost
from dynaberg.upkeep.maintenance import maintain, maintenance, preview_maintenance
from dynaberg.upkeep.what_if import TARGET_BYTES, compaction_saving, preview_retention

__all__ = [
    "TARGET_BYTES",
    "compaction_saving",
    "cost_class",
    "cost_so_far",
    "estimate_cost",
    "maintain",
    "maintenance",
    "preview_maintenance",
    "preview_retention",
]
