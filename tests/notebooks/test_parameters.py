"""A parameter out of its bounds is named, with the bounds of its comment, before anything is created."""

import ast
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pandas as pd
import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"
# Refused by `clean_up`, which removes nothing then.
CHECKED_LATER = {"CONFIRM"}
LARGE = 50_000
# What no parameter may be, or none of its kind.
NEVER = (None, "", "some text", [], -LARGE)
NO_NUMBER, NO_LETTERS = (*NEVER, -1, 2.5, "7"), (*NEVER, 0, 1, LARGE, "a-b", "x" * 31)


def cells_of(name: str) -> list[nbformat.NotebookNode]:
    cells = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4).cells
    return [cell for cell in cells if cell.cell_type == "code"]


def parameters_of(name: str) -> dict[str, str]:
    """What the comment of each parameter says."""
    (cell,) = [cell for cell in cells_of(name) if "parameters" in cell.metadata.get("tags", [])]
    return dict(re.findall(r"^(\w+) = .*?  # (.+)$", cell.source, re.MULTILINE))


ALL = [
    (path.stem, parameter, comment)
    for path in sorted(FOLDER.glob("*.ipynb"))
    for parameter, comment in parameters_of(path.stem).items()
    if parameter not in CHECKED_LATER
]
EVERY = pytest.mark.parametrize(
    ("notebook", "parameter", "comment"), ALL, ids=[f"{n[:2]} {p}" for n, p, _ in ALL]
)


def complaint(notebook: str, parameter: str, value: Any) -> str:
    """What the notebook's own check says of a value; empty if it accepts it."""
    parameters, first = (cell.source for cell in cells_of(notebook)[:2])
    names: dict[str, Any] = {}
    exec(parameters, names)
    names[parameter] = value
    for statement in ast.parse(first).body:
        if isinstance(statement, ast.Assert):
            try:
                exec(ast.unparse(statement), names)
            except AssertionError as error:
                return str(error)
    return ""


def number(text: str) -> int:
    return int(text.replace(",", ""))


def bounds(comment: str) -> tuple[list[Any], list[Any]]:
    """Values that a comment allows, and values that it does not."""
    if found := re.search(r"([\d,]+) to ([\d,]+) letters", comment):
        most = number(found[2])
        return ["a", "a" * most], [*NO_LETTERS, "a" * (most + 1)]
    if found := re.search(r"([\d,]+) to ([\d,]+)", comment):
        least, most = number(found[1]), number(found[2])
        return [least, least + 1, most], [*NO_NUMBER, least - 1, most + 1]
    if found := re.search(r"([\d,]+) or more", comment):
        least = number(found[1])
        return [least, least + 1, LARGE], [*NO_NUMBER, least - 1]
    if "any whole number" in comment:
        return [-1, 0, 1, LARGE], [None, "", "7", 2.5]
    listed = re.search(r": ((?:\w+, )*\w+ or \w+)", comment)
    assert listed, comment
    return re.split(r", | or ", listed[1]), [*NEVER, 0, 1, LARGE]


@EVERY
def test_its_notebook_names_it_and_repeats_its_bounds(notebook: str, parameter: str, comment: str) -> None:
    _, bad = bounds(comment)
    for value in bad:
        said = complaint(notebook, parameter, value)
        wanted = re.fullmatch(rf"{parameter} must be (.+)\.", said)
        assert wanted, (value, said)
        assert wanted[1] in comment


@EVERY
def test_what_its_comment_allows_is_accepted(notebook: str, parameter: str, comment: str) -> None:
    good, _ = bounds(comment)
    assert {value: complaint(notebook, parameter, value) for value in good} == dict.fromkeys(good, "")


@pytest.mark.parametrize("notebook", sorted({notebook for notebook, _, _ in ALL}))
def test_the_check_comes_before_anything_is_created(notebook: str) -> None:
    first = ast.parse(cells_of(notebook)[1].source).body
    kinds = [type(statement).__name__ for statement in first]
    before = kinds[: len(kinds) - kinds[::-1].index("Assert")]
    assert set(before) <= {"Import", "ImportFrom", "Assert"}


@pytest.mark.parametrize(("approved", "words"), [(499, "Lower FLAGGED, or raise BURST"), (500, "")])
def test_more_flags_than_payments_are_refused_before_one_is_set(approved: int, words: str) -> None:
    (cell,) = [cell for cell in cells_of("05_time_travel") if "approved.head(FLAGGED)" in cell.source]
    found = SimpleNamespace(df=pd.DataFrame({"transaction_id": range(approved)}))
    wb = SimpleNamespace(query=lambda sql, parameters: found)
    said = ""
    try:
        exec(cell.source, {"wb": wb, "FLAGGED": 400})
    except AssertionError as error:
        said = str(error)
    assert said.startswith(words)
    assert bool(said) == bool(words)
