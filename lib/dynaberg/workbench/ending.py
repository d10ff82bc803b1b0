"""The bill and the end."""

from __future__ import annotations

import pandas as pd

from dynaberg import aws, bill, cleanup, cost
from dynaberg.workbench.ground import Ground


class Ending(Ground):
    """What it costs, and how it goes away."""

    def estimate_cost(self, changes_per_day: int, item_bytes: int = 1_000, **workload: int) -> pd.DataFrame:
        """A month's bill of both patterns, and of zero-ETL beside them, from dated list prices.

        Args:
            changes_per_day: Inserts, updates and deletes; 0 gives what the pipeline costs while idle.
            item_bytes: Average size of an item, as DynamoDB counts it.
            **workload: The other arguments of `cost.estimate_cost`, such as `refreshes_per_day`.
        """
        return cost.estimate_cost(changes_per_day, item_bytes, **workload)

    def cost_so_far(self) -> pd.DataFrame:
        """What this deployment has cost so far, at list prices; locally, what AWS would bill."""
        return bill.cost_so_far(self.session, self.settings)

    def list_resources(self) -> pd.DataFrame:
        """Everything that this workbench created and that still exists, and what each costs while idle."""
        return cleanup.list_resources(self.session, self.settings)

    def clean_up(self, *, confirm: str) -> pd.DataFrame:
        """Remove everything that this workbench created, its data too.

        Args:
            confirm: The workbench's name, typed.

        Raises:
            SettingsError: The name does not match; nothing was removed.
        """
        self.__dict__.pop("catalog", None)
        return cleanup.clean_up(self.session, self.settings, confirm=confirm)

    def stop(self) -> None:
        """Stop the local AWS, its state kept; on AWS there is nothing to stop."""
        aws.stop_local(self.settings)
