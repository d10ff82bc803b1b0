"""The gallery can be walked through page by page, read in the dark, and needs nothing but itself."""

import base64
import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pygments.styles import get_style_by_name

from dynaberg.walk import gallery
from dynaberg.walk.gallery import write_glossary, write_index, write_page
from dynaberg.walk.notebooks import Stop

ORDER = [("01_first", "1. First"), ("02_more", "2. More & <more>"), ("03_last", "3. Last")]
CSS = Path(gallery.__file__).with_name("gallery.css").read_text(encoding="utf-8")
FIRST, SECOND = (base64.b64encode(picture).decode() for picture in (b"first", b"second"))


def figure(picture: str, alt: str, *tags: str) -> nbformat.NotebookNode:
    output = new_output("display_data", data={"image/png": picture}, metadata={"image/png": {"alt": alt}})
    return new_code_cell("draw()", metadata={"tags": list(tags)}, outputs=[output])


def stop(name: str = "02_more", *cells: nbformat.NotebookNode) -> Stop:
    title = new_markdown_cell("# 2. More & <more>\n\nIt is here. What is there? And why?")
    return Stop(name, new_notebook(cells=[title, *cells]), 1.0)


def written(folder: Path, page: Stop) -> str:
    return write_page(page, folder, ORDER).read_text(encoding="utf-8")


def test_each_page_leads_to_the_one_before_the_one_after_and_all(tmp_path):
    text = written(tmp_path, stop())
    assert text.count('<a rel="prev" href="01_first.html">← 1. First</a>') == 2, "above and below"
    assert text.count('<a rel="next" href="03_last.html">3. Last →</a>') == 2
    assert text.count('<a href="index.html">Contents</a>') == 2
    assert 'rel="prev"' not in written(tmp_path, stop("01_first"))
    assert 'rel="next"' not in written(tmp_path, stop("03_last"))
    assert "2. More &amp; &lt;more&gt; →" in written(tmp_path, stop("01_first"))


def test_a_page_lists_its_sections_and_each_line_leads_to_one(tmp_path):
    text = written(
        tmp_path, stop("02_more", new_markdown_cell("## Who?\n\nWe."), new_markdown_cell("## And `why`?"))
    )
    lines = re.findall(r'<li><a href="#([^"]+)">(.*?)</a></li>', text)
    assert [re.sub("<.*?>", "", words) for _, words in lines] == ["Who?", "And why?"] * 2
    for anchor, _ in lines:
        assert f'<h2 id="{anchor}"' in text


def test_links_between_notebooks_lead_to_pages_and_others_to_the_repository(tmp_path):
    links = "[a](01_first.ipynb) [b](glossary.md#change-log) [c](../data/README.md)"
    text = written(tmp_path, stop("02_more", new_markdown_cell(links)))
    assert 'href="01_first.html"' in text
    assert 'href="glossary.html#change-log"' in text
    assert 'href="https://github.com/dynaberg/dynaberg/blob/main/data/README.md"' in text


@pytest.fixture
def glossary(tmp_path) -> str:
    source = tmp_path / "glossary.md"
    source.write_text("# Glossary\n\n## change log\n\nAll of it. See [item](#item).\n\n## item\n\nOne.\n")
    return write_glossary(source, tmp_path / "pages").read_text(encoding="utf-8")


def test_a_page_whose_words_the_glossary_explains_leads_to_it(tmp_path):
    way = '<a href="glossary.html">Glossary</a></span>'
    assert written(tmp_path, stop("02_more", new_markdown_cell("[item](glossary.md#item)"))).count(way) == 2
    assert "glossary" not in written(tmp_path, stop()).partition("<body>")[2]


def test_the_glossary_is_a_page_whose_words_can_be_linked(glossary):
    text = glossary
    assert re.findall(r'<h2 id="([^"]+)">(.*?)</h2>', text) == [
        ("change-log", "change log"),
        ("item", "item"),
    ]
    assert 'See <a href="#item">' in text


def test_the_glossary_begins_with_all_of_its_words_and_leads_to_the_contents(glossary):
    before, _, after = glossary.partition("<h2")
    assert re.findall(r'<li><a href="#([^"]+)">(.*?)</a></li>', before) == [
        ("change-log", "change log"),
        ("item", "item"),
    ]
    way = '<a href="index.html">Contents</a><span aria-current="page">Glossary</span>'
    assert (before.count(way), after.count(way)) == (1, 1)


def test_the_index_shows_the_chosen_picture_in_words_too_and_leads_to_the_glossary(tmp_path):
    page = stop("02_more", figure(FIRST, "one"), figure(SECOND, 'the "best"', "figure", "cover"))
    text = write_index([page], tmp_path).read_text(encoding="utf-8")
    assert f'<img alt="the &quot;best&quot;" src="data:image/png;base64,{SECOND}">' in text
    assert "<p>What is there?</p>" in text
    assert "glossary.html" not in text
    write_glossary(Path(__file__).parents[3] / "notebooks" / "glossary.md", tmp_path)
    assert 'href="glossary.html"' in write_index([page], tmp_path).read_text(encoding="utf-8")


def test_no_picture_is_cropped():
    assert "object-fit: contain" in CSS
    assert "object-fit: cover" not in CSS


def test_the_index_says_how_long_each_notebook_ran_and_all_of_them(tmp_path):
    ran = [Stop(name, stop().notebook, seconds) for name, seconds in (("01_first", 12.4), ("02_more", 30.0))]
    text = write_index(ran, tmp_path).read_text(encoding="utf-8").replace("&nbsp;", " ")
    assert "2 notebooks, run in order in 42 s." in text
    assert re.findall(r"\(ran in \d+ s\)", text) == ["(ran in 12 s)", "(ran in 30 s)"]


def test_it_needs_nothing_but_itself(tmp_path):
    text = written(tmp_path, stop("02_more", figure(FIRST, "one"), new_code_cell("x = 1")))
    assert "<script" not in text
    assert "<link" not in text
    assert "@import" not in text
    assert "url(" not in text
    assert {source.partition(":")[0] for source in re.findall(r'src="([^"]+)"', text)} == {"data"}


def colors(block: str) -> dict[str, str]:
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))


LIGHT_PAGE, DARK_PAGE = (colors(block) for block in CSS.split("@media (prefers-color-scheme: dark)", 1))
THEMES = {"light": (LIGHT_PAGE, gallery.LIGHT), "dark": ({**LIGHT_PAGE, **DARK_PAGE}, gallery.DARK)}


def luminance(color: str) -> float:
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", THEMES)
def test_text_links_and_code_can_be_read_in_both_themes(theme):
    page, code = THEMES[theme]
    for ink in ("ink", "soft", "link"):
        for paper in ("back", "paper", "ask", "tint"):
            assert contrast(page[ink], page[paper]) >= 4.5, (ink, paper)
    style = get_style_by_name(code)
    unseen = ("Token.Generic", "Token.Text.Whitespace")
    used = [token for token, rules in style if rules["color"] and not str(token).startswith(unseen)]
    weak = {str(token): f"#{style.style_for_token(token)['color']}" for token in used}
    assert {name: ink for name, ink in weak.items() if contrast(ink, page["paper"]) < 4.5} == {}


@pytest.mark.parametrize("theme", THEMES)
def test_code_in_a_sentence_and_more_to_scroll_to_can_be_seen(theme):
    """Without a tint, the padding of code reads as a space before the comma that follows."""
    page, _ = THEMES[theme]
    assert re.search(r"p code, .*var\(--tint\)", CSS)
    assert contrast(page["tint"], page["back"]) >= 1.15
    assert contrast(page["shade"], page["back"]) >= 1.5


def test_the_style_names_only_what_pages_have(tmp_path, glossary):
    """A class that the exporter no longer writes would silently lose its style."""
    shown = new_code_cell("rows", outputs=[new_output("display_data", data={"text/html": "<table></table>"})])
    prose = new_markdown_cell("## Who?\n\n| a |\n|---|\n| b |")
    text = written(tmp_path, stop("02_more", figure(FIRST, "one"), shown, prose)) + glossary
    text += write_index([stop("02_more", figure(FIRST, "one"))], tmp_path).read_text(encoding="utf-8")
    written_classes = {name for names in re.findall(r'class="([^"]+)"', text) for name in names.split()}
    assert set(re.findall(r"\.([a-z][\w-]+)(?=[ ,:{])", re.sub(r"\{[^{}]*\}", "{}", CSS))) <= written_classes
