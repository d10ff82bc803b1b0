"""Pictures: a DataFrame in, matplotlib Axes out. Each title states what the data says.

Public: every picture, as `dynaberg.plots.plot_…`, the style that all of them share, and `alt_text`: what a
picture shows, in words, which a notebook keeps as the image's alternative text.
"""

from dynaberg.plots.answers import plot_hourly, plot_merchants, plot_risk_by_region
from dynaberg.plots.canvas import alt_text, use_style
from dynaberg.plots.clocks import plot_two_clocks
from dynaberg.plots.cost import plot_cost
from dynaberg.plots.delivery import plot_delivery, plot_failures, plot_freshness
from dynaberg.plots.distributions import plot_distribution, plot_histograms
from dynaberg.plots.drift import plot_drift
from dynaberg.plots.governance import plot_grants
from dynaberg.plots.lineage import plot_lineage
from dynaberg.plots.pipeline import plot_flow, plot_operations, plot_resources
from dynaberg.plots.profiles import plot_file_sizes, plot_profile, plot_top_values
from dynaberg.plots.tables import plot_diff, plot_item_history, plot_snapshots

__all__ = [
    "alt_text",
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
    "plot_lineage",
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
