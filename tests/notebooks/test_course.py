"""The notebooks are a course: honest times, concepts, exercises with solutions, a glossary, and a way on."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
from tests.notebooks.course import CLOSING, sections, solution

FOLDER = Path(__file__).parents[2] / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
GLOSSARY = (FOLDER / "glossary.md").read_text(encoding="utf-8")
# Project Pythia's rule, which says to overestimate: five minutes for a section.
MINUTES = 5
BOX = re.compile(r"<details>\n<summary>([^<]+)</summary>\n\n(.+?)\n\n</details>", re.DOTALL)
SAMPLE = "https://github.com/aws-samples/sample-for-transactional-datalake-using-s3tables"


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def cells(request):
    return nbformat.read(request.param, as_version=4).cells


def prose(cells) -> str:
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def anchors(text: str) -> list[str]:
    return [heading.replace(" ", "-").lower() for heading in re.findall(r"^## (.+)$", text, re.MULTILINE)]


def test_the_time_is_five_minutes_a_section(cells):
    taught = [name for name in sections(cells) if name not in CLOSING]
    assert re.search(r"\*\*Time\*\* (\d+) minutes", cells[1].source).group(1) == str(MINUTES * len(taught))


def test_the_concepts_to_know_come_first_each_with_a_link(cells):
    rows = re.findall(r"^\| (.+) \| (Necessary|Helpful) \| (.+) \|$", cells[1].source, re.MULTILINE)
    assert rows
    assert [row for row in rows if "](" not in row[2]] == []
    assert "Necessary" in {row[1] for row in rows}


def test_each_section_ends_in_one_exercise_with_a_closed_solution(cells):
    for name, section in sections(cells).items():
        exercises = [cell for cell in section if "> **Exercise**" in cell.source]
        if name in CLOSING:
            assert not exercises
            continue
        last = [cell for cell in section if "headline" not in cell.metadata.get("tags", [])][-1]
        assert exercises == [last], name
        assert "<details>\n<summary>Solution</summary>" in last.source, name
        assert re.search(r"\b(SQL|Python|boto3|pyiceberg|Predict|Call|Write|Give|Check|Which)\b", last.source)
        ast.parse(solution(last))
        assert solution(last), name


def test_solutions_are_thin(cells):
    assert max(len(solution(cell).splitlines()) for cell in cells) <= 8


def test_who_wants_to_know_why_opens_a_box(cells):
    boxes = re.findall(
        r"<details>\n<summary>([^<]+)</summary>\n\n(.+?)\n\n</details>", prose(cells), re.DOTALL
    )
    reasons = [text for title, text in boxes if title != "Solution"]
    assert reasons
    assert min(len(text.split()) for text in reasons) > 30
    assert prose(cells).count("<details>") == prose(cells).count("</details>") == len(boxes)
    assert all(title == "Solution" or title.startswith("Why ") for title, _ in boxes)


def test_it_ends_in_what_was_learned_and_where_to_go(cells):
    *_, learned, further = sections(cells).items()
    assert (learned[0], further[0]) == CLOSING
    assert prose(further[1]).count("\n- ") >= 3
    assert prose(further[1]).count("](https://") >= 2


def test_words_lead_to_the_glossary(cells):
    links = re.findall(r"\(glossary\.md#([\w-]+)\)", prose(cells))
    assert len(links) >= 3
    assert set(links) <= {*anchors(GLOSSARY)}
    body = re.findall(r"\(glossary\.md#([\w-]+)\)", prose(cells[2:]))
    assert len(body) == len(set(body)), "a word is linked where it comes first, and nowhere else"


def test_every_word_of_the_glossary_is_used_and_its_links_lead_somewhere():
    text = "".join(path.read_text(encoding="utf-8") for path in PATHS)
    used = {*re.findall(r"glossary\.md#([\w-]+)", text)}
    known = anchors(GLOSSARY)
    assert len(known) == len(set(known))
    assert [word for word in known if word not in used] == []
    assert {*re.findall(r"\]\(#([\w-]+)\)", GLOSSARY)} <= {*known}


def test_the_published_sample_is_named_where_it_is_first_mentioned():
    for path in PATHS:
        text = prose(nbformat.read(path, as_version=4).cells)
        if "sample" in text.replace("infer_contract` reads a sample", ""):
            assert SAMPLE in text or "published sample" not in text, path.stem
