"""Pictures: a DataFrame in, matplotlib Axes out. Each title states what the data says.

Public: every picture, as `dynaberg.plots.plot_…`, and the style that all of them share.
"""

from dynaberg.plots.answers import plot_hourly, plot_merchants, plot_risk_by_region
from dynaberg.plots.canvas import use_style
from dynaberg.plots.cost import plot_cost
from dynaberg.plots.delivery import plot_failures, plot_freshness
from dynaberg.plots.drift import plot_drift
from dynaberg.plots.governance import plot_grants
from dynaberg.plots.histograms import plot_histograms
from dynaberg.plots.pipeline import plot_delivery, plot_flow, plot_operations, plot_resources
from dynaberg.plots.profiles import plot_distribution, plot_file_sizes, plot_profile, plot_top_values
from dynaberg.plots.tables import plot_diff, plot_item_history, plot_snapshots, plot_two_clocks

__all__ = [
    "plot_cost",
    "plot_delivery",
    "plot_diff",
    "plot_distribution",
    "plot_drift",
    "plot_failures",
    "plot_file_sizes",
    "plot_flow",
    "plot_freshness",
    "plot_grants",
    "plot_histograms",
    "plot_hourly",
    "plot_item_history",
    "plot_merchants",
    "plot_operations",
    "plot_profile",
    "plot_resources",
    "plot_risk_by_region",
    "plot_snapshots",
    "plot_top_values",
    "plot_two_clocks",
    "use_style",
]
