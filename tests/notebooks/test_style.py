"""The notebooks keep one rhythm: short cells, the why in prose, an explained picture, a check at the end."""

import ast
import json
import re
from pathlib import Path
from statistics import median

import nbformat
import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
FORBIDDEN = {
    "a definition": r"^\s*(async def|def|class) ",
    "an installation": r"^\s*[!%].*pip",
    "a question to the reader": r"\b(input|getpass)\(",
    "a sleep": r"\bsleep\(",
    "a client of its own": r"boto3\.client\(",
    "a branch on the target": r"\bif\b.*target",
    "SQL formatted in": r"query\(\s*f[\"']",
    "an address of this machine": r"localhost|127\.0\.0\.1",
}


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def path(request) -> Path:
    return request.param


@pytest.fixture
def cells(path):
    return nbformat.read(path, as_version=4).cells


def code(cells):
    return [cell for cell in cells if cell.cell_type == "code"]


def tags(cell):
    return cell.metadata.get("tags", [])


def lines(cell) -> int:
    return len([line for line in cell.source.splitlines() if line.strip()])


def test_their_names_are_these_and_count_without_a_gap():
    names = [path.stem for path in PATHS]
    assert [name[:2] for name in names] == [f"{number:02}" for number in range(1, len(names) + 1)]
    assert names == [
        "01_enable_cdc",
        "02_deploy_firehose",
        "03_generate_traffic",
        "04_query",
        "05_time_travel",
        "06_profile",
        "07_when_things_break",
        "08_look_after_files",
        "09_your_own_table",
        "10_day_two",
        "11_clean_up",
    ]


def test_valid_and_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.outputs and cell.execution_count is None for cell in code(notebook.cells))
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata) == {"kernelspec"}, "a Python version or widget state was committed"


def test_sources_are_kept_as_text(path):
    """Formatters write lists of lines; one form for all keeps differences small."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert not [cell["id"] for cell in cells if not isinstance(cell["source"], str)]
    assert [cell["id"].partition("-")[0] for cell in cells] == [path.stem[:2]] * len(cells)


def test_one_title_and_it_comes_first(cells, path):
    titles = [cell.source.splitlines()[0] for cell in cells if cell.source.startswith("# ")]
    assert titles == [cells[0].source.splitlines()[0]]
    assert titles[0].startswith(f"# {int(path.stem[:2])}. ")


def test_prose_holds_its_own(cells):
    assert len(cells) - len(code(cells)) >= len(code(cells))


def test_cells_are_short(cells):
    lengths = [lines(cell) for cell in code(cells)]
    assert max(lengths) <= 10
    assert median(lengths) <= 3


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_cell_holds(cells, what):
    found = [cell.source for cell in code(cells) if re.search(FORBIDDEN[what], cell.source, re.MULTILINE)]
    assert not found


def test_one_parameters_cell_of_plain_values_with_their_meaning(cells):
    (parameters,) = [cell for cell in cells if "parameters" in tags(cell)]
    for line in parameters.source.splitlines():
        assert re.fullmatch(r"[A-Z_]+ = [^#]+  # .+", line), (
            f"{line!r}: a value, and a comment that says what it is"
        )
    for statement in ast.parse(parameters.source).body:
        ast.literal_eval(statement.value)


def test_every_parameter_says_what_it_may_be(cells):
    (parameters,) = [cell for cell in cells if "parameters" in tags(cell)]
    for line in parameters.source.splitlines():
        value, _, comment = line.partition("  # ")
        if isinstance(ast.literal_eval(value.partition(" = ")[2]), int):
            assert re.search(r"\d or more|\d to [\d,]*\d|any whole number", comment), line
        else:
            assert re.search(r"\w or \w|\d to \d|your workbench", comment), line


def test_every_picture_is_tagged_and_followed_by_what_is_seen(cells):
    pictures = [number for number, cell in enumerate(cells) if "plots.plot_" in cell.source]
    assert pictures
    for number in pictures:
        assert "figure" in tags(cells[number])
        assert any(tag.startswith("picture-") for tag in tags(cells[number]))
        assert cells[number + 1].cell_type == "markdown"
        assert not cells[number + 1].source.startswith("#"), "say what is seen before the next heading"


def test_the_last_code_cell_checks_and_says_what_was_reached(cells):
    last = code(cells)[-1]
    assert "headline" in tags(last)
    assert "assert " in last.source
    assert "print(" in last.source
    assert sum("headline" in tags(cell) for cell in cells) == 1


def test_prose_leads_to_code_and_on_to_the_next_notebook(cells, path):
    assert cells[-1].cell_type == "markdown"
    following = PATHS[(PATHS.index(path) + 1) % len(PATHS)]
    assert f"({following.name})" in cells[-1].source


@pytest.mark.parametrize("name", ["04_query", "05_time_travel", "06_profile", "08_look_after_files"])
def test_an_analyst_predicts_runs_and_reads_why(name):
    cells = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4).cells
    exercises = [number for number, cell in enumerate(cells) if "> **Predict, then run**" in cell.source]
    assert exercises
    for number in exercises:
        prompt, run, why = cells[number : number + 3]
        assert prompt.source.rstrip().endswith("?"), "a question comes last, and the answer in the next cell"
        assert run.cell_type == "code"
        assert why.cell_type == "markdown"
        assert len(why.source.split()) > 20, "what was seen, and why"


def test_links_lead_somewhere(cells):
    for cell in cells:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", cell.source):
            assert not target.startswith(("/", "http://")), target
            assert target.startswith("https://") or (FOLDER / target).exists(), target


def test_paths_come_from_the_workbench(cells):
    assert not [cell.source for cell in code(cells) if re.search(r"[\"']\.\./", cell.source)]


def test_no_account_and_no_key(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"(?<!\d)\d{12}(?!\d)", text)
    assert not re.search(r"AKIA|arn:aws:[a-z0-9]+:[a-z0-9-]*:\d", text)


def test_most_notebooks_show_the_native_call():
    native = r"wb\.client\(|pyathena|\.scan\(|\.inspect\."
    without = [
        path.stem
        for path in PATHS
        if not any(re.search(native, cell.source) for cell in code(nbformat.read(path, as_version=4).cells))
    ]
    assert not without
