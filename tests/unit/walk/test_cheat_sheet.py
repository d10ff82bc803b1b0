"""The cheat sheet holds every call in the words of its docstring, on one page."""

import html
import inspect
import re
import shutil
from pathlib import Path

import pytest

from dynaberg.walk import cheat_sheet
from dynaberg.walk.cheat_sheet import BROWSERS, write_sheet
from dynaberg.workbench import IcebergTable, Table, Workbench


@pytest.fixture
def without_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cheat_sheet.shutil, "which", lambda _: None)


def text_of(folder: Path) -> str:
    (page, *_) = write_sheet(folder)
    return page.read_text(encoding="utf-8")


@pytest.mark.usefixtures("without_browser")
def test_every_public_name_is_there_once_with_its_first_sentence(tmp_path: Path) -> None:
    text = text_of(tmp_path)
    lines = re.findall(r"<p><code>(.*?)</code> (.*?)</p>", text)
    names = [call.partition("(")[0] for call, _ in lines]
    assert len(names) == len(set(names))
    expected = {f"wb.{name}" for name in dir(Workbench) if not name.startswith("_")}
    expected |= {f"table.{name}" for name in dir(IcebergTable) if not name.startswith("_")}
    only = set(dir(Table)) - set(dir(IcebergTable))
    assert set(names) == expected | {f"transactions.{name}" for name in only if not name.startswith("_")}
    assert all(words.endswith(".") for _, words in lines)
    first = html.escape(str(inspect.getdoc(Workbench.clean_up)).splitlines()[0])
    assert f"wb.clean_up(confirm=…, …)</code> {first}" in text


@pytest.mark.usefixtures("without_browser")
def test_without_a_browser_there_is_a_page_and_no_pdf(tmp_path: Path) -> None:
    assert [path.name for path in write_sheet(tmp_path / "new")] == ["cheat_sheet.html"]
    assert "<script" not in text_of(tmp_path)


@pytest.mark.thorough
@pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="There is no Chromium to print with.")
def test_it_is_printed_on_one_page(tmp_path: Path) -> None:
    _, printed = write_sheet(tmp_path)
    assert re.findall(rb"/Type\s*/Page\b(?!s)", printed.read_bytes()) == [b"/Type /Page"]
