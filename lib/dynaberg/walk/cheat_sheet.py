"""The cheat sheet: every call on one page, in the words of its docstring, as HTML and as PDF."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
from html import escape
from pathlib import Path
from typing import Any

from dynaberg.workbench import IcebergTable, Table, Workbench

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_OPENING = """import dynaberg
from dynaberg import plots

wb = dynaberg.connect()
transactions = wb.table("transactions")
wb.query("SELECT count(*) FROM transactions").df"""
_STYLE = """@page { size: A4 landscape; margin: 7mm }
:root { color-scheme: light }
body { margin: 0 auto; max-width: 282mm; color: #1b1f24;
  font: 8pt/1.32 system-ui, Helvetica, Arial, sans-serif }
h1 { font-size: 13pt; margin: 0 0 1mm } h2 { font-size: 8.4pt; margin: 1.6mm 0 .6mm; color: #0b4f94 }
main { columns: 4; column-gap: 5mm } p { margin: 0 0 .75mm; break-inside: avoid } h2 { break-after: avoid }
code, pre { font: 7.7pt/1.32 ui-monospace, Menlo, Consolas, monospace; color: #7a1f5c;
  overflow-wrap: anywhere }
pre { background: #f4f6f8; padding: 1.2mm; margin: 0 0 1mm; color: inherit; white-space: pre-wrap }
@media screen and (max-width: 60rem) { body { font-size: 11pt; padding: 1rem } main { columns: 1 }
  code, pre { font-size: 10.5pt } }"""


def write_sheet(folder: Path) -> list[Path]:
    """Write the cheat sheet as HTML, and as PDF if this machine has a Chromium.

    Args:
        folder: Where to write; created if it does not exist.

    Returns:
        The files that were written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "cheat_sheet.html"
    page.write_text(_page(), encoding="utf-8")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        return [page]
    printed = page.with_suffix(".pdf")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]
    command = [browser, *flags, f"--print-to-pdf={printed}", page.resolve().as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return [page, printed]


def _page() -> str:
    of_any = _calls(IcebergTable, "table")
    of_one = {name: line for name, line in _calls(Table, "transactions").items() if name not in of_any}
    groups = {
        "The project": _calls(Workbench, "wb"),
        "One table: transactions = wb.table(…)": of_one,
        "Any Iceberg table, and one table, too: table = wb.iceberg_table(…)": of_any,
    }
    body = "".join(f"<h2>{escape(title)}</h2>{''.join(lines.values())}" for title, lines in groups.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Dynaberg: cheat sheet</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>Dynaberg on one page</h1><main>"
        f"<pre>{escape(_OPENING)}</pre>{body}</main></body></html>"
    )


def _calls(of: type, name: str) -> dict[str, str]:
    """One line for each public method and property: how it is called, and its docstring's first sentence."""
    found: dict[str, str] = {}
    for attribute, value in inspect.getmembers_static(of):
        if not attribute.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
            words = re.split(r"(?<=[.])\s", inspect.getdoc(value) or "", maxsplit=1)[0]
            text = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(" ".join(words.split())))
            call = f"{name}.{attribute}{'' if isinstance(value, property) else _arguments(value)}"
            found[attribute] = f"<p><code>{escape(call)}</code> {text}</p>"
    return found


def _arguments(function: Any) -> str:
    """The arguments that must be given, and a sign that there are others."""
    parameters = list(inspect.signature(function).parameters.values())[1:]
    needed = [
        f"{p.name}=…" if p.kind is p.KEYWORD_ONLY else p.name
        for p in parameters
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    return f"({', '.join([*needed, *(['…'] if len(needed) < len(parameters) else [])])})"
