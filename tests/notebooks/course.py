"""The parts of a notebook as a course: its sections, their exercises and the solutions."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat

CLOSING = ("What you learned", "Go further")
_SOLUTION = re.compile(r"<summary>Solution</summary>\s*```python\n(.*?)\n```", re.DOTALL)


def sections(cells: list[nbformat.NotebookNode]) -> dict[str, list[nbformat.NotebookNode]]:
    """The cells of each section by its heading, in order; the opening cells are left out."""
    found: dict[str, list[nbformat.NotebookNode]] = {}
    for cell in cells:
        if cell.cell_type == "markdown" and (heading := re.match(r"## (.+)", cell.source)):
            current = found[heading.group(1)] = []
        if found:
            current.append(cell)
    return found


def solution(cell: nbformat.NotebookNode) -> str:
    """The code of an exercise's solution; empty if the cell is no exercise."""
    found = _SOLUTION.search(cell.source) if "> **Exercise**" in cell.source else None
    return found.group(1) if found else ""


def put_solutions(path: Path) -> int:
    """Write a notebook anew with each solution as a cell of its own, and return how many there are.

    A solution sees what the reader sees at that place, and leaves no name behind for the cells below. If it
    ends in an expression, that must be an answer.
    """
    notebook = nbformat.read(path, as_version=4)
    cells = list(_with_solutions(notebook.cells))
    added = len(cells) - len(notebook.cells)
    notebook.cells = cells
    nbformat.write(notebook, path)
    return added


def _with_solutions(cells: list[nbformat.NotebookNode]) -> Iterator[nbformat.NotebookNode]:
    for cell in cells:
        yield cell
        if code := solution(cell):
            run = f"exec({_checked(code)!r}, dict(globals()))"
            yield nbformat.v4.new_code_cell(run, metadata={"tags": ["solution"]})


def _checked(code: str) -> str:
    tree = ast.parse(code)
    last = tree.body[-1]
    if isinstance(last, ast.Expr) and not ast.unparse(last).startswith("print("):
        check = "answer = 0\nassert answer is not None and answer is not False and len(str(answer)) > 0"
        check += "\nassert not getattr(answer, 'empty', False), 'The answer is empty.'"
        assign, *asserts = ast.parse(check).body
        assign.value = last.value
        tree.body[-1:] = [assign, *asserts]
    return ast.unparse(ast.fix_missing_locations(tree))
