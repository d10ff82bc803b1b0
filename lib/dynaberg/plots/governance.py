"""The picture of the access matrix: who may do what on which resource."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from dynaberg.plots.canvas import BLUE, INK, ORANGE, draw_nothing, new_axes

_READS = re.compile(r"(BatchGet|Describe|Get|List|Select|DESCRIBE|SELECT|Decrypt|GenerateDataKey)")
_TABLES = ("change log", "every table")
# Along the flow, from the source to the reader.
_ORDER = (
    *("DynamoDB stream", "Kinesis stream", "transform function", "Firehose stream", "dead-letter queue"),
    *("parked queue", "error bucket", "Glue catalog", "table bucket", "namespace", *_TABLES),
    *("Lake Formation's credentials", "Athena workgroup", "query results", "KMS key", "logs"),
)


def plot_grants(grants: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw who may do what: a row for each resource, a column for each principal, verbs in the cells.

    Args:
        grants: From `Workbench.grants`.
        ax: Axes to draw on.
    """
    if grants.empty:
        return draw_nothing("No one may do anything", ax)
    whats = sorted(grants["what"].unique(), key=_ORDER.index, reverse=True)
    principals = list(grants["principal"].unique())
    ax = ax or new_axes(height=1.2 + 0.48 * len(whats))
    for (what, principal), cell in grants.groupby(["what", "principal"]):
        place = (principals.index(principal), whats.index(what))
        _draw_cell(ax, place, cell["permission"], letters=84 // len(principals))
    ax.set(xlim=(-0.5, len(principals) - 0.5), ylim=(-0.5, len(whats) - 0.5))
    ax.set_xticks(range(len(principals)), principals)
    ax.set_yticks(range(len(whats)), whats)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    reads = Patch(facecolor=BLUE, alpha=0.25, label="only reads")
    writes = Patch(facecolor=ORANGE, alpha=0.4, hatch="///", edgecolor="white", label="also writes")
    ax.legend(handles=[reads, writes], loc="upper center", bbox_to_anchor=(0.5, 0), ncols=2)
    ax.set_title(_finding(grants), pad=22)
    return ax


def _draw_cell(ax: Axes, place: tuple[int, int], permissions: Iterable[str], *, letters: int) -> None:
    x, y = place
    actions = [action for permission in permissions for action in _actions(permission)]
    writes = not all(map(_READS.match, actions))
    color, hatch, alpha = (ORANGE, "///", 0.4) if writes else (BLUE, "", 0.25)
    box = Rectangle((x - 0.47, y - 0.45), 0.94, 0.9, fc=color, hatch=hatch, ec="white", alpha=alpha)
    ax.add_patch(box)
    words = textwrap.fill(", ".join(dict.fromkeys(map(_verb, actions))), letters)
    ax.text(x, y, words, ha="center", va="center", fontsize=7, color=INK)


def _verb(action: str) -> str:
    """The first word of an action: `GetTableData` gets."""
    match = re.match(r"[A-Z][a-z]+|[A-Z_]+", action.removeprefix("Batch"))
    return match[0] if match else action


def _finding(grants: pd.DataFrame) -> str:
    """Who may write the tables, and whether that is enforced."""
    on_tables = grants[grants["what"].isin(_TABLES)]
    writes = [not all(map(_READS.match, _actions(each))) for each in on_tables["permission"]]
    who = " and ".join(on_tables["principal"][writes].unique())
    here = "" if grants["enforced"].all() else "; not enforced here"
    if not who:
        return f"No one may write Iceberg tables{here}"
    return f"Only {who} may write Iceberg tables{here}"


def _actions(permission: str) -> list[str]:
    """The actions of a permission without their service."""
    return [action.rpartition(":")[2] for action in permission.split(", ")]
