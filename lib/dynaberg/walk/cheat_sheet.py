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

_POINTS = (8.0, 7.6, 7.2, 6.8, 6.4, 6.0)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_PDF_PAGE = re.compile(rb"/Type\s*/Page\b(?!s)")
_OPENING = """import dynaberg
from dynaberg import plots

wb = dynaberg.connect()
transactions = wb.table("transactions")
wb.query("SELECT count(*) FROM transactions").df"""
_STYLE = """@page { size: A4 landscape; margin: 7mm }
:root { color-scheme: light }
body { margin: 0 auto; max-width: 282mm; color: #1b1f24;
  font: POINTSpt/1.32 system-ui, Helvetica, Arial, sans-serif }
h1 { font-size: 1.6em; margin: 0 0 1mm } h2 { font-size: 1.05em; margin: 1.6mm 0 .6mm; color: #0b4f94 }
main { columns: 4; column-gap: 5mm } p { margin: 0 0 .75mm; break-inside: avoid } h2 { break-after: avoid }
code, pre { font: .96em/1.32 ui-monospace, Menlo, Consolas, monospace; color: #7a1f5c;
  overflow-wrap: anywhere }
pre { background: #f4f6f8; padding: 1.2mm; margin: 0 0 1mm; color: inherit; white-space: pre-wrap }
@media screen and (max-width: 60rem) { body { font-size: 11pt; padding: 1rem } main { columns: 1 }
  code, pre { font-size: .96em } }"""


def write_sheet(folder: Path) -> list[Path]:
    """Write the cheat sheet as HTML, and as PDF if this machine has a Chromium.

    The type is as large as one page allows.

    Args:
        folder: Where to write; created if it does not exist.

    Returns:
        The files that were written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "cheat_sheet.html"
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    for points in _POINTS:
        page.write_text(_page(points), encoding="utf-8")
        if browser is None:
            return [page]
        printed = _print(browser, page)
        if len(_PDF_PAGE.findall(printed.read_bytes())) == 1:
            break
    return [page, printed]


def _print(browser: str, page: Path) -> Path:
    """Print a page as a PDF file beside it."""
    printed = page.with_suffix(".pdf")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]
    command = [browser, *flags, f"--print-to-pdf={printed}", page.resolve().as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return printed


def _page(points: float) -> str:
    of_any = _calls(IcebergTable, "table")
    of_one = {name: line for name, line in _calls(Table, "transactions").items() if name not in of_any}
    groups = {
        "The project": _calls(Workbench, "wb"),
        "One table: transactions = wb.table(…)": of_one,
        "Any Iceberg table, and one table, too: table = wb.iceberg_table(…)": of_any,
    }
    style = _STYLE.replace("POINTS", f"{points:g}")
    body = "".join(f"<h2>{escape(title)}</h2>{''.join(lines.values())}" for title, lines in groups.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Dynaberg: cheat sheet</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head><body><h1>Dynaberg on one page</h1><main>"
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
