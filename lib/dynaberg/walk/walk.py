"""The walk: run the notebooks in order, report how each went, and keep executed copies as pages."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import nbformat
from tqdm.auto import tqdm

from dynaberg.settings import Settings
from dynaberg.walk.notebooks import Stop, find_notebooks, read_title, run_in_order, tagged


def walk(settings: Settings, names: Sequence[str] = (), html: Path | None = None) -> int:
    """Run the notebooks in order, each in its own kernel, and report how each went.

    Args:
        settings: The project's folder and name.
        names: Notebooks to run, `04_query` or `04`; all of them if none is named.
        html: Folder for the executed copies as HTML pages.

    Returns:
        Exit code: 0, or 1 if a cell failed.

    Raises:
        NotFoundError: A notebook that does not exist.
    """
    paths = find_notebooks(settings.root / "notebooks", names)
    # The kernels' environment, so that they connect to the target of the walk.
    environment = {"DYNABERG_TARGET": settings.target, "DYNABERG_NAME": settings.name}
    typed = {path.stem: _typed(path, settings) for path in paths}
    order = [(path.stem, read_title(path)) for path in paths]
    stops: list[Stop] = []
    pages: list[Future[Path]] = []
    tqdm.write(f"Walking through {len(paths)} notebooks on the {settings.target} target.\n")
    with ThreadPoolExecutor(max_workers=1) as exporter:
        for stop in run_in_order(paths, parameters=typed, environment=environment):
            stops.append(stop)
            tqdm.write(f"  {stop.name:<20}{stop.seconds:6.1f} s   {stop.failure}".rstrip())
            if html:
                reached = order if not stop.failure else order[: len(stops)]
                pages.append(exporter.submit(_write_page, stop, html, reached))
    for page in pages:
        page.result()
    if html:
        _write_index(stops, html, settings.root / "notebooks" / "glossary.md")
    tqdm.write(_closing_words(stops, html))
    return int(any(stop.failure for stop in stops))


def _typed(path: Path, settings: Settings) -> dict[str, str]:
    """What a reader with a name of their own types into the notebook that removes everything."""
    cells = tagged(nbformat.read(path, as_version=4), "parameters")
    asked = any(cell.source.startswith("CONFIRM = ") for cell in cells)
    return {"CONFIRM": settings.name} if asked else {}


def _closing_words(stops: Sequence[Stop], html: Path | None) -> str:
    """What was delivered, and where to look."""
    done = [stop for stop in stops if not stop.failure]
    lines = ["", f"Delivered in {sum(stop.seconds for stop in stops):.0f} s:"]
    lines += [f"  {stop.title}\n     {stop.headline}" for stop in done]
    if len(done) < len(stops):
        lines = ["", f"The walk stopped in {stops[-1].name}."]
    lines += ["", "Where to look:"]
    if html:
        lines.append(f"  {html / 'index.html'}   every table and picture, page by page")
    lines.append("  make lab   the notebooks themselves, cell by cell")
    return "\n".join(lines)


def _write_page(stop: Stop, folder: Path, order: Sequence[tuple[str, str]]) -> Path:
    from dynaberg.walk.gallery import write_page

    return write_page(stop, folder, order)


def _write_index(stops: Sequence[Stop], folder: Path, glossary: Path) -> None:
    from dynaberg.walk.gallery import write_glossary, write_index

    if glossary.exists():
        write_glossary(glossary, folder)
    write_index(stops, folder)
