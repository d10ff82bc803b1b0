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

from dynaberg.walk.notebooks import REPOSITORY

if TYPE_CHECKING:
    from dynaberg.walk.notebooks import Stop

WIDGET = "application/vnd.jupyter.widget-view+json"
PICTURE = "image/png"
COVER = "cover"
NAME = "Dynaberg: the walk"
# Their colors are readable on the paper of either theme; a test measures it.
LIGHT, DARK = "xcode", "github-dark"
GLOSSARY = "glossary"


def write_page(stop: Stop, folder: Path, order: Sequence[tuple[str, str]] = ()) -> Path:
    """Write an executed notebook as a page, and its named pictures as files.

    Args:
        stop: The executed notebook.
        folder: Where to write; created if it does not exist.
        order: Name and title of each page of the gallery, in order; pages link to their neighbors.

    Returns:
        The page's path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    body, _ = _exporter().from_notebook_node(_readable(stop.notebook))
    page = folder / f"{stop.name}.html"
    words = f'<a href="{GLOSSARY}.html">Glossary</a>' if f'href="{GLOSSARY}.html' in body else ""
    links = _links(stop.name, order, words)
    text = f'<main class="page">{_contents(body)}<div class="body">{body}</div></main>'
    page.write_text(_page(stop.title, f"{links}{text}{links}"), encoding="utf-8")
    for name, picture in named_pictures(stop.notebook).items():
        (folder / "images").mkdir(exist_ok=True)
        (folder / "images" / f"{name}.png").write_bytes(picture)
    return page


def write_glossary(source: Path, folder: Path) -> Path:
    """Write the glossary, a Markdown file, as a page; it begins with a list of its words, as links.

    Args:
        source: The Markdown file.
        folder: The pages' folder.

    Returns:
        The page's path.
    """
    from nbconvert.filters.markdown_mistune import markdown2html_mistune

    body = markdown2html_mistune(source.read_text(encoding="utf-8"))
    body = re.sub(r"<h2[^>]*>(.*?)</h2>", _anchored, body)
    body = body.replace("<h2", f'<ul class="terms">{_sections(body)}</ul><h2', 1)
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / f"{GLOSSARY}.html"
    links = _links("", (), '<span aria-current="page">Glossary</span>')
    text = f'{links}<main class="words">{body}</main>{links}'
    page.write_text(_page("Glossary", text), encoding="utf-8")
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
    glossary = f' The <a href="{GLOSSARY}.html">glossary</a> explains the words.'
    body = (
        f"<h1>{NAME}</h1><p>How the changes of a DynamoDB table get into Iceberg, what an analyst can ask, "
        f"and what happens when something breaks: {len(stops)} notebooks, run in order in "
        f"{seconds:.0f}&nbsp;s. Each page shows one notebook with its results."
        f'{glossary if (folder / f"{GLOSSARY}.html").exists() else ""}</p><div class="cards">{cards}</div>'
    )
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / "index.html"
    index.write_text(_page(NAME, f'<main class="wide">{body}</main>'), encoding="utf-8")
    return index


def named_pictures(notebook: nbformat.NotebookNode) -> dict[str, bytes]:
    """The pictures of cells tagged `picture-<name>`, by name."""
    return {
        tag.removeprefix("picture-"): base64.b64decode(picture)
        for cell in notebook.cells
        for tag in cell.metadata.get("tags", ())
        if tag.startswith("picture-")
        for picture, _ in _pictures(cell)[:1]
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
    light, dark = (HtmlFormatter(style=name).get_style_defs(".highlight") for name in (LIGHT, DARK))
    return f"{light}@media (prefers-color-scheme: dark) {{{dark}}}{own}"


def _readable(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A copy with links to pages, described pictures, and no widgets, which a page cannot show."""
    page = copy.deepcopy(notebook)
    for cell, after in zip(page.cells, [*page.cells[1:], None], strict=True):
        if _pictures(cell) and after and after.cell_type == "markdown":
            # The text on what to see in the picture is what a screen reader reads.
            cell.metadata["alt"] = after.source.partition("\n\n")[0]
        if cell.cell_type == "markdown":
            cell.source = re.sub(rf"\((\d\d_\w+|{GLOSSARY})\.(?:ipynb|md)", r"(\1.html", cell.source)
            cell.source = cell.source.replace("](../", f"]({REPOSITORY}/blob/main/")
        else:
            cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
    return page


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_style()}</style></head><body>{body}</body></html>"
    )


def _links(name: str, order: Sequence[tuple[str, str]], words: str) -> str:
    """The way to the page before, to all of them, to the words, and to the page after."""
    names = [known for known, _ in order]
    place = names.index(name) if name in names else None
    before = order[place - 1] if place else None
    after = order[place + 1] if place is not None and place + 1 < len(order) else None
    parts = [
        f'<a rel="prev" href="{before[0]}.html">← {escape(before[1])}</a>' if before else "<span></span>",
        f'<span class="all"><a href="index.html">Contents</a>{words}</span>',
        f'<a rel="next" href="{after[0]}.html">{escape(after[1])} →</a>' if after else "<span></span>",
    ]
    return f"<nav>{''.join(parts)}</nav>"


def _contents(body: str) -> str:
    """The page's headings as links: beside the page where there is room, else in a box to open."""
    lines = _sections(body)
    if not lines:
        return ""
    return (
        f"<aside><strong>On this page</strong><ul>{lines}</ul></aside>"
        f'<details class="contents"><summary>On this page</summary><ul>{lines}</ul></details>'
    )


def _sections(body: str) -> str:
    """A line for each heading, which leads to it."""
    headings = re.findall(r'<h2 id="([^"]+)">(.*?)(?:<a class="anchor-link"|</h2>)', body, re.DOTALL)
    return "".join(f'<li><a href="#{anchor}">{text.strip()}</a></li>' for anchor, text in headings)


def _anchored(heading: re.Match[str]) -> str:
    text = re.sub(r"<a class=\"anchor-link\".*?</a>", "", heading.group(1))
    return f'<h2 id="{text.lower().replace(" ", "-")}">{text}</h2>'


def _card(stop: Stop) -> str:
    covers = [cell for cell in stop.notebook.cells if COVER in cell.metadata.get("tags", ())]
    pictures = [picture for cell in (*covers, *stop.notebook.cells) for picture in _pictures(cell)]
    data, alt = pictures[0] if pictures else ("", "")
    image = f'<img alt="{escape(alt)}" src="data:{PICTURE};base64,{data}">' if data else ""
    questions = re.findall(r"[^.?!]+\?", stop.notebook.cells[0].source.partition("\n")[2])
    question = questions[0].strip() if questions else ""
    reached = stop.failure.splitlines()[0] if stop.failure else stop.headline
    return (
        f'<a class="card" href="{stop.name}.html">{image}<div><h2>{escape(stop.title)}</h2>'
        f"<p>{escape(question)}</p>"
        f'<p class="reached">{escape(reached)} (ran&nbsp;in&nbsp;{stop.seconds:.0f}&nbsp;s)</p></div></a>'
    )


def _pictures(cell: nbformat.NotebookNode) -> list[tuple[str, str]]:
    """The pictures that a cell shows, each with what it says."""
    return [
        (output.data[PICTURE], output.metadata.get(PICTURE, {}).get("alt", ""))
        for output in cell.get("outputs", ())
        if PICTURE in output.get("data", {})
    ]
