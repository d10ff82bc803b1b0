"""The gallery: executed notebooks as plain HTML pages that need no script and no network."""

from __future__ import annotations

import base64
import copy
import re
from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

if TYPE_CHECKING:
    from dynaberg.walk.notebooks import Stop

WIDGET = "application/vnd.jupyter.widget-view+json"
PICTURE = "image/png"


def write_page(stop: Stop, folder: Path) -> Path:
    """Write an executed notebook as a page, and its named pictures as files.

    Args:
        stop: The executed notebook.
        folder: Where to write; created if it does not exist.

    Returns:
        The page's path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    body, _ = _exporter().from_notebook_node(_readable(stop.notebook))
    page = folder / f"{stop.name}.html"
    page.write_text(_page(stop.title, body), encoding="utf-8")
    for name, picture in named_pictures(stop.notebook).items():
        (folder / "images").mkdir(exist_ok=True)
        (folder / "images" / f"{name}.png").write_bytes(picture)
    return page


def write_index(stops: Sequence[Stop], folder: Path) -> Path:
    """Write the index page: for each page its question, its result, and a picture.

    Args:
        stops: The executed notebooks, in order.
        folder: The pages' folder.

    Returns:
        The index page's path.
    """
    cards = "".join(_card(stop) for stop in stops)
    seconds = sum(stop.seconds for stop in stops)
    body = (
        f"<h1>Dynaberg: the walk</h1><p>{len(stops)} notebooks, run in order in {seconds:.0f} s. "
        f'Each page is the notebook as it ran.</p><div class="cards">{cards}</div>'
    )
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / "index.html"
    index.write_text(_page("Dynaberg: the walk", body, wide=True), encoding="utf-8")
    return index


def named_pictures(notebook: nbformat.NotebookNode) -> dict[str, bytes]:
    """The pictures of cells tagged `picture-<name>`, by name."""
    return {
        tag.removeprefix("picture-"): base64.b64decode(picture)
        for cell in notebook.cells
        for tag in cell.metadata.get("tags", ())
        if tag.startswith("picture-")
        for picture in _pictures(cell)[:1]
    }


@cache
def _exporter() -> Any:
    from nbconvert import HTMLExporter

    # The basic template is the body alone; the addresses of MathJax and others are never requested.
    return HTMLExporter(template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True)


@cache
def _style() -> str:
    from pygments.formatters import HtmlFormatter

    own = Path(__file__).with_name("gallery.css").read_text(encoding="utf-8")
    return f"{own}{HtmlFormatter(style='friendly').get_style_defs('.highlight')}"


def _readable(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A copy with links to pages, described pictures, and no widgets, which a page cannot show."""
    page = copy.deepcopy(notebook)
    for cell, after in zip(page.cells, [*page.cells[1:], None], strict=True):
        if _pictures(cell) and after and after.cell_type == "markdown":
            # The text on what to see in the picture is what a screen reader reads.
            cell.metadata["alt"] = after.source.partition("\n\n")[0]
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"\((\d\d_\w+)\.ipynb", r"(\1.html", cell.source)
        else:
            cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
    return page


def _page(title: str, body: str, *, wide: bool = False) -> str:
    nav = "" if wide else '<nav><a href="index.html">Dynaberg: the walk</a></nav>'
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_style()}</style></head>"
        f'<body>{nav}<main class="{"wide" if wide else "page"}">{body}</main></body></html>'
    )


def _card(stop: Stop) -> str:
    first = next((picture for cell in stop.notebook.cells for picture in _pictures(cell)), "")
    image = f'<img alt="" src="data:{PICTURE};base64,{first}">' if first else ""
    question = stop.notebook.cells[0].source.partition("\n")[2].strip().split("\n\n")[0]
    reached = stop.failure.splitlines()[0] if stop.failure else stop.headline
    return (
        f'<a class="card" href="{stop.name}.html">{image}<div><h2>{escape(stop.title)}</h2>'
        f"<p>{escape(question)}</p>"
        f'<p class="reached">{escape(reached)} ({stop.seconds:.0f} s)</p></div></a>'
    )


def _pictures(cell: nbformat.NotebookNode) -> list[str]:
    outputs = cell.get("outputs", ())
    return [output.data[PICTURE] for output in outputs if PICTURE in output.get("data", {})]
