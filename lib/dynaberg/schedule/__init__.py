"""The schedule: refreshes and curated builds without a notebook, as a stack that is optional.

What runs in Lambda is in `functions/schedule`. Public: deploying and removing it, what its runs did, and
waiting while somebody changes what they read.
"""

from dynaberg.schedule.deployment import deploy_schedule, remove_schedule, update_schedule
from dynaberg.schedule.pausing import runs_paused
from dynaberg.schedule.runs import read_runs

__all__ = ["deploy_schedule", "read_runs", "remove_schedule", "runs_paused", "update_schedule"]
