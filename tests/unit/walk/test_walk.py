"""The walk runs notebooks in order, tells where one failed, and writes pages that need no network."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from dynaberg.errors import NotFoundError
from dynaberg.settings import Settings
from dynaberg.walk.gallery import named_pictures, write_index, write_page
from dynaberg.walk.notebooks import Stop, find_notebooks, run_notebook
from dynaberg.walk.walk import walk

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


def notebook(title: str, *code: tuple[str, str]) -> nbformat.NotebookNode:
    cells = [new_markdown_cell(f"# {title}\n\nWhat is asked? [Next](02_more.ipynb)")]
    for source, tags in code:
        cells.append(new_code_cell(source, metadata={"tags": tags.split()} if tags else {}))
    return new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "notebooks").mkdir()
    return tmp_path


def put(project: Path, name: str, content: nbformat.NotebookNode) -> Path:
    path = project / "notebooks" / f"{name}.ipynb"
    nbformat.write(content, path)
    return path


def test_notebooks_are_found_in_order_and_by_number_or_name(project):
    for name in ("02_more", "01_first", "scratch"):
        put(project, name, notebook(name))
    folder = project / "notebooks"
    assert [path.stem for path in find_notebooks(folder)] == ["01_first", "02_more"]
    assert [path.stem for path in find_notebooks(folder, ["02"])] == ["02_more"]
    assert [path.stem for path in find_notebooks(folder, ["01_first.ipynb"])] == ["01_first"]


def test_an_unknown_notebook_is_named_with_those_that_exist(project):
    put(project, "01_first", notebook("1. First"))
    with pytest.raises(NotFoundError, match=r"'01_frist'.*01_first.*\n.*Did you mean '01_first'"):
        find_notebooks(project / "notebooks", ["01_frist"])


def test_a_folder_without_notebooks_says_so(tmp_path):
    with pytest.raises(NotFoundError, match="holds no notebooks"):
        find_notebooks(tmp_path)


def test_parameters_take_the_place_of_those_in_the_notebook(project):
    path = put(project, "01_first", notebook("1. First", ("N = 1", "parameters"), ("print(N)", "headline")))
    stop = run_notebook(path, parameters={"N": 5})
    assert (stop.failure, stop.headline, stop.title) == ("", "5", "1. First")


def test_the_walk_writes_pages_and_stops_at_a_failure(project, capsys):
    put(
        project,
        "01_first",
        notebook("1. First", ("import os\nprint(os.environ['DYNABERG_TARGET'])", "headline")),
    )
    put(project, "02_more", notebook("2. More", ("x = 1", ""), ("1 / 0  # breaks", "")))
    put(project, "03_never", notebook("3. Never"))
    html = project / "build" / "gallery"
    assert walk(Settings(root=project), html=html) == 1
    told = capsys.readouterr().out
    assert re.search(r"01_first +\d+\.\d s\n", told)
    assert (html / "01_first.html").read_text(encoding="utf-8").count("<pre>local\n") == 1
    assert "cell 3 failed" in told
    assert "1 / 0  # breaks" in told
    assert "ZeroDivisionError: division by zero" in told
    assert "stopped in 02_more" in told
    assert sorted(page.name for page in html.glob("*.html")) == [
        "01_first.html",
        "02_more.html",
        "index.html",
    ]
    assert "ZeroDivisionError" in (html / "02_more.html").read_text(encoding="utf-8")


def test_the_closing_words_tell_what_was_delivered_and_where_to_look(project, capsys):
    put(project, "01_first", notebook("1. First", ("print('ten rows')", "headline")))
    assert walk(Settings(root=project), html=project / "pages") == 0
    told = capsys.readouterr().out
    assert re.search(r"Delivered in \d+ s:\n  1\. First\n     ten rows\n", told)
    assert str(project / "pages" / "index.html") in told.partition("Where to look:")[2]


def executed(*outputs: dict[str, object], tags: str = "") -> Stop:
    content = notebook("1. <First>", ("draw()", tags))
    content.cells[1].outputs = [
        nbformat.v4.new_output("display_data", data=data, metadata={}) for data in outputs
    ]
    content.cells.append(new_markdown_cell("Two lines cross at *noon*.\n\nMore of it."))
    return Stop("01_first", content, 1.0)


def test_a_page_needs_neither_script_nor_network(tmp_path):
    page = write_page(executed({"image/png": PIXEL}, {"text/html": "<b>rows</b>"}), tmp_path)
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text
    assert not re.search(r'(src|href)="(https?:)?//', text)
    assert f"data:image/png;base64,{PIXEL}" in text
    assert 'alt="Two lines cross at *noon*."' in text
    assert 'href="02_more.html"' in text
    assert "1. &lt;First&gt;" in text


def test_widgets_are_left_out_of_a_page_but_not_of_the_notebook(tmp_path):
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}, "text/plain": "  0%| | 0/10"}
    stop = executed(widget)
    assert "0/10" not in write_page(stop, tmp_path).read_text(encoding="utf-8")
    assert len(stop.notebook.cells[1].outputs) == 1


def test_named_pictures_are_written_beside_the_pages(tmp_path):
    stop = executed({"image/png": PIXEL}, tags="figure picture-flow")
    assert list(named_pictures(stop.notebook)) == ["flow"]
    write_page(stop, tmp_path)
    assert (tmp_path / "images" / "flow.png").read_bytes().startswith(b"\x89PNG")


def test_the_notebook_itself_is_not_touched(project):
    path = put(project, "01_first", notebook("1. First", ("1 + 1", "")))
    before = path.read_bytes()
    run_notebook(path)
    assert path.read_bytes() == before
    assert json.loads(before)["cells"][1]["outputs"] == []


HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(1)">" onload="alert(1)'


def test_data_in_what_a_cell_shows_stays_text(tmp_path):
    table = pd.DataFrame({HOSTILE: [HOSTILE, {"a": [HOSTILE]}]})
    stop = executed({"image/png": PIXEL}, {"text/plain": HOSTILE}, {"text/html": table.to_html()})
    new_output = nbformat.v4.new_output
    stop.notebook.cells[1].outputs += [
        new_output("stream", name="stdout", text=HOSTILE),
        new_output("stream", name="stderr", text=HOSTILE),
        new_output("error", ename=HOSTILE, evalue=HOSTILE, traceback=[HOSTILE]),
    ]
    stop.notebook.cells[2].source = HOSTILE.replace("<script>alert(1)</script>", "")
    pages = [write_page(stop, tmp_path), write_index([replace(stop, failure=HOSTILE)], tmp_path)]
    seen = Tags()
    for page in pages:
        seen.feed(page.read_text(encoding="utf-8").partition("<main")[2])
    assert "script" not in seen.tags
    assert "onload" not in seen.attributes


class Tags(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


@pytest.mark.thorough
def test_the_walk_types_the_name_that_a_clean_up_asks_for(project, capsys):
    asks = notebook(
        "1. Last", ('CONFIRM = "dynaberg"  # yours', "parameters"), ("print(CONFIRM)", "headline")
    )
    put(project, "01_last", asks)
    assert walk(Settings(root=project, name="ada"), html=None) == 0
    assert "     ada\n" in capsys.readouterr().out
