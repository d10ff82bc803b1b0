"""Every notebook in JupyterLab, in a real browser, to its end; then the gallery made of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest
from tests.browser.lab import (
    ROOT,
    SHOTS,
    cut_code,
    height_of_cells,
    open_lab,
    run_all,
    set_theme,
    shoot,
    sideways,
)
from tests.browser.pages import faults, height_of

from dynaberg.walk.gallery import write_glossary, write_index, write_page
from dynaberg.walk.notebooks import Stop, find_notebooks, read_title

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is missing: make browser")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="There is no chromium; on Debian: apt install chromium"),
]
PATHS = find_notebooks(ROOT / "notebooks")
NAMES = [path.stem for path in PATHS]
THEMES = ("light", "dark")
LAB_WIDTHS = (1280, 1920)
PAGE_WIDTHS = (390, 1000, 1440)
# JupyterLab itself asks for what a laptop does not have.
NOT_OURS = ("favicon", "ResizeObserver", "Content Security Policy", "translations", "Deprecat")

PLACES = ".jp-NotebookPanel .jp-WindowedPanel-outer, .jp-OutputArea-output, .jp-RenderedHTML > div"
"""What may not be wider than its place: the notebook, an output, and a table within one."""


@dataclass
class Seen:
    """What the browser showed of one notebook."""

    cells: list[dict[str, Any]]
    seconds: float
    complaints: list[str] = field(default_factory=list)
    pictures: int = 0
    bars: list[float] = field(default_factory=list)
    wide: dict[str, list[str]] = field(default_factory=dict)
    cut: list[str] = field(default_factory=list)
    height: dict[str, float] = field(default_factory=dict)


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def chromium(driver: Any) -> Iterator[Any]:
    browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def walked(driver: Any, folder: Path) -> dict[str, Seen]:
    """Every notebook, run once, and looked at in each theme and width."""
    clear_shots("lab")
    # Playwright hides scroll bars, which take width from a notebook.
    browser = driver.chromium.launch(
        executable_path=CHROMIUM, args=["--no-sandbox"], ignore_default_args=["--hide-scrollbars"]
    )
    with open_lab(folder) as address:
        seen = {name: look_at(browser, address, name) for name in NAMES}
    browser.close()
    return seen


def clear_shots(kind: str) -> None:
    """Remove the pictures of an earlier run, of which there may have been more."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    for picture in SHOTS.glob(f"{kind}_*.png"):
        picture.unlink()


def look_at(browser: Any, address: str, name: str) -> Seen:
    page = browser.new_page(viewport={"width": LAB_WIDTHS[0], "height": 900})
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    seen = Seen(*run_all(page, address, name), complaints)
    seen.pictures = page.locator(".jp-RenderedImage img").count()
    seen.bars = page.eval_on_selector_all(
        ".jp-OutputArea .progress-bar", "bars => bars.map(bar => parseFloat(bar.style.width))"
    )
    seen.cut = cut_code(page)
    for theme in THEMES:
        set_theme(page, theme)
        for width in LAB_WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(300)
            seen.wide[f"{theme} {width}"] = sideways(page, PLACES)
            seen.height[f"{theme}_{width}"] = height_of_cells(page)
            shoot(page, SHOTS / f"lab_{name}_{theme}_{width}.png")
    page.close()
    return seen


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_to_its_end_without_a_complaint(walked: dict[str, Seen], name: str) -> None:
    seen = walked[name]
    code = [cell for cell in seen.cells if cell["cell_type"] == "code"]
    outputs = [output for cell in code for output in cell["outputs"]]
    assert [output for output in outputs if output["output_type"] == "error"] == []
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert [output for output in outputs if output.get("name") == "stderr"] == []
    assert [line for line in seen.complaints if not any(word in line for word in NOT_OURS)] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_picture_is_drawn_and_bars_end_full(walked: dict[str, Seen], name: str) -> None:
    figures = [cell for cell in walked[name].cells if "figure" in cell["metadata"].get("tags", [])]
    assert walked[name].pictures == len(figures) > 0
    assert set(walked[name].bars) <= {100.0}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_has_to_be_scrolled_sideways(walked: dict[str, Seen], name: str) -> None:
    assert {place: wide for place, wide in walked[name].wide.items() if wide} == {}


@pytest.mark.parametrize("name", NAMES)
def test_no_line_of_code_is_cut_off(walked: dict[str, Seen], name: str) -> None:
    assert walked[name].cut == []


@pytest.mark.parametrize("name", NAMES)
def test_the_pictures_show_the_whole_notebook(walked: dict[str, Seen], name: str) -> None:
    for place, height in walked[name].height.items():
        pictures = list(SHOTS.glob(f"lab_{name}_{place}*.png"))
        assert sum(map(height_of, pictures)) > height, place


@pytest.fixture(scope="module")
def gallery(walked: dict[str, Seen], folder: Path) -> Path:
    """The gallery of the notebooks as they ran in the browser."""
    clear_shots("page")
    pages = folder / "gallery"
    order = [(path.stem, read_title(path)) for path in PATHS]
    ran = {name: nbformat.read(folder / "notebooks" / f"{name}.ipynb", as_version=4) for name in NAMES}
    stops = [Stop(name, ran[name], walked[name].seconds) for name in NAMES]
    for stop in stops:
        write_page(stop, pages, order)
    write_glossary(ROOT / "notebooks" / "glossary.md", pages)
    write_index(stops, pages)
    return pages


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", ["index", "glossary", *NAMES])
def test_a_page_of_the_gallery_fits_every_screen(gallery: Path, chromium: Any, name: str, theme: str) -> None:
    page = chromium.new_page(color_scheme=theme)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for width in PAGE_WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.goto((gallery / f"{name}.html").as_uri())
        assert sideways(page, "html, body, main") == [], width
        assert faults(page) == {}, width
        picture = SHOTS / f"page_{name}_{theme}_{width}.png"
        page.screenshot(path=picture, full_page=True)
        assert height_of(picture) == page.evaluate("() => document.documentElement.scrollHeight")
    assert {address.partition(":")[0] for address in asked} <= {"file", "data"}
    page.close()


def test_the_index_tells_its_story_on_one_screen(gallery: Path, chromium: Any) -> None:
    page = chromium.new_page(viewport={"width": 1440, "height": 900})
    page.goto((gallery / "index.html").as_uri())
    assert page.evaluate("() => document.documentElement.scrollHeight") <= 900
    page.close()


@pytest.mark.parametrize("width", PAGE_WIDTHS)
def test_the_index_shows_pictures_large_and_cuts_no_text(gallery: Path, chromium: Any, width: int) -> None:
    page = chromium.new_page(viewport={"width": width, "height": 900})
    page.goto((gallery / "index.html").as_uri())
    widths = page.eval_on_selector_all(".card img", "found => found.map(picture => picture.clientWidth)")
    assert len(widths) == len(NAMES)
    assert min(widths) >= 320
    cut = "found => found.filter(card => card.scrollHeight > card.clientHeight).length"
    assert page.eval_on_selector_all(".card", cut) == 0
    page.close()
