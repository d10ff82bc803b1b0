"""The picture of the access matrix: who may do what on which resource."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from dynaberg.plots.canvas import (
    BLUE,
    INK,
    ORANGE,
    counted,
    draw_nothing,
    first_lines,
    listed,
    new_axes,
    require,
    shorten,
    write_title,
)

_READS = re.compile(r"(BatchGet|Describe|Get|List|Select|DESCRIBE|SELECT|Decrypt|GenerateDataKey)")
_TABLES = ("change log", "every table")
# Pale, as there is text on them; the edge is what sets them off from the paper. Reads, then writes.
_LOOKS: tuple[dict[str, Any], dict[str, Any]] = (
    {"facecolor": "#d5e5f4", "edgecolor": BLUE, "linewidth": 0.8},
    {"facecolor": "#fbe3c8", "edgecolor": ORANGE, "linewidth": 1.6, "linestyle": "--"},
)
_LABELS = ("only reads", "also writes")
_MOST_PRINCIPALS = 7
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
        return draw_nothing("No one is granted anything", ax)
    require(grants, "principal", "what", "permission", "enforced")
    grants = grants.assign(
        **{
            name: grants[name].astype(object).where(grants[name].notna(), "unknown")
            for name in ("principal", "what")
        }
    )
    in_order = pd.DataFrame({"what": sorted(grants["what"].unique(), key=_place)})
    lines, rest = first_lines(in_order, "resource")
    whats = list(lines["what"])[::-1]
    shown = grants[grants["what"].isin(whats)]
    principals = list(shown["principal"].unique())[:_MOST_PRINCIPALS]
    shown = shown[shown["principal"].isin(principals)]
    if left := grants["principal"].nunique() - len(principals):
        rest = "; ".join(filter(None, (rest, f"not drawn: {counted(left, 'principal')} more")))
    ax = ax or new_axes(height=1.5 + 0.55 * len(whats))
    for (what, principal), cell in shown.groupby(["what", "principal"]):
        place = (principals.index(principal), whats.index(what))
        _draw_cell(ax, place, cell["permission"], letters=74 // len(principals))
    ax.set(xlim=(-0.5, len(principals) - 0.5), ylim=(-0.5, len(whats) - 0.5))
    names = [shorten(name, 70 // len(principals)) for name in principals]
    ax.set_xticks(range(len(principals)), names)
    ax.set_yticks(range(len(whats)), [shorten(name, 30) for name in whats])
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    reads, writes = (Patch(**look, label=label) for look, label in zip(_LOOKS, _LABELS, strict=True))
    ax.legend(handles=[reads, writes], loc="upper center", bbox_to_anchor=(0.5, 0), ncols=2)
    ax.set_xlabel(rest)
    write_title(ax, _finding(grants), pad=22)
    return ax


def _place(what: str) -> tuple[int, str]:
    """Where a resource is in the flow; what is not known comes last."""
    return (_ORDER.index(what) if what in _ORDER else len(_ORDER)), what


def _draw_cell(ax: Axes, place: tuple[int, int], permissions: Iterable[str], *, letters: int) -> None:
    x, y = place
    actions = [action for permission in permissions for action in _actions(permission)]
    writes = not all(map(_READS.match, actions))
    ax.add_patch(Rectangle((x - 0.47, y - 0.45), 0.94, 0.9, **_LOOKS[writes]))
    words = textwrap.fill(", ".join(dict.fromkeys(map(_verb, actions))), max(letters, 8))
    ax.text(x, y, words, ha="center", va="center", fontsize=8, color=INK)


def _verb(action: str) -> str:
    """The first word of an action: `GetTableData` gets."""
    match = re.match(r"[A-Z][a-z]+|[A-Z_]+", action.removeprefix("Batch"))
    return match[0] if match else action


def _finding(grants: pd.DataFrame) -> str:
    """Which of these principals may write which tables, and whether that is enforced; of others, nothing."""
    on_tables = grants[grants["what"].isin(_TABLES)]
    writes = on_tables["permission"].map(lambda each: not all(map(_READS.match, _actions(each))))
    writers = on_tables[writes.astype(bool)].groupby("principal", sort=False)["what"].unique()
    here = "" if grants["enforced"].all() else "; not enforced here"
    of = f"Of the {grants['principal'].nunique():,} principals here"
    if grants["principal"].nunique() == 1:
        of = f"{shorten(grants['principal'].iloc[0])} is the only principal here"
        return f"{of}, and may write {listed(writers.iloc[0]) if len(writers) else 'no Iceberg table'}{here}"
    if writers.empty:
        return f"{of}, none may write an Iceberg table{here}"
    who = [f"{shorten(name)} ({listed(tables)})" for name, tables in writers.head(3).items()]
    more = [f"{len(writers) - 3} more"] if len(writers) > 3 else []
    return f"{of}, {len(writers)} may write Iceberg tables: {listed([*who, *more])}{here}"


def _actions(permission: str) -> list[str]:
    """The actions of a permission without their service."""
    return [action.rpartition(":")[2] for action in permission.split(", ")]
