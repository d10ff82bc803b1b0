"""The schedule: refreshes and curated builds without a notebook, as a stack that is optional.

What runs in Lambda is in `functions/schedule`. Public: deploying and removing it, and what its runs did.
"""

from dynaberg.schedule.deployment import deploy_schedule, remove_schedule, update_schedule
from dynaberg.schedule.runs import read_runs

__all__ = ["deploy_schedule", "read_runs", "remove_schedule", "update_schedule"]
