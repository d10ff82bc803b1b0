"""Escaped HTML cards: inline style only, in the page's own color, so that light and dark themes both work."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from dynaberg.settings import Settings

_BOX = (
    "display:inline-block;min-width:min(26em,100%);box-sizing:border-box;overflow-wrap:anywhere;"
    "padding:.7em 1.1em .8em;border:1px solid currentColor;"
    "border-radius:8px;line-height:1.5"
)
_TITLE = "font-weight:600;padding-bottom:.35em"
_LABEL = "opacity:.7;padding:0 1.6em 0 0;text-align:left;font-weight:400;background:none;border:none"
_VALUE = "padding:0;text-align:left;background:none;border:none"
_NOTE = "opacity:.7;padding-top:.45em;font-size:.92em"

# The local AWS accepts every call, so a missing permission shows only on AWS.
LOCAL_NOTE = "IAM and Lake Formation are not enforced here."


def card(title: str, rows: Mapping[str, object], *, note: str = "") -> str:
    """Draw a small card of names and values.

    Args:
        title: Heading of the card.
        rows: Values by label; every one is escaped.
        note: A sentence under the rows.

    Returns:
        HTML without script, class or color.

    Example:
        >>> HTML(card("orders", {"rows": "1,204", "files": 3}))
    """
    lines = "".join(
        f'<tr style="background:none"><th scope="row" style="{_LABEL}">{escape(str(label))}</th>'
        f'<td style="{_VALUE}">{escape(str(value))}</td></tr>'
        for label, value in rows.items()
    )
    foot = f'<div style="{_NOTE}">{escape(note)}</div>' if note else ""
    return (
        f'<div style="{_BOX}"><div style="{_TITLE}">{escape(title)}</div>'
        f'<table style="border:none;border-collapse:collapse;margin:0">{lines}</table>{foot}</div>'
    )


def workbench_card(settings: Settings, region: str | None, account: str, *, cost: str = "") -> str:
    """Draw what a workbench is connected to.

    Args:
        settings: The workbench's settings.
        region: AWS Region.
        account: AWS account id; its last four digits are shown.
        cost: The cost class; empty if nothing costs anything.
    """
    local = settings.target == "local"
    rows = {
        "Target": "local AWS, on this machine" if local else "AWS",
        "Account": mask_account(account),
        "Region": region or "none",
        **({"Cost class": cost} if cost else {}),
        "Source table stream": settings.stream_type,
        "Table bucket": settings.table_bucket_name,
        "Namespace": settings.namespace,
        "Tables": f"{settings.log_name} (change log), {settings.table_name} (current)",
    }
    return card(f"Workbench {settings.name}", rows, note=LOCAL_NOTE if local else "")


def mask_account(account: str) -> str:
    """An account id with all but its last four digits hidden."""
    return f"{'•' * max(len(account) - 4, 0)}{account[-4:]}"
