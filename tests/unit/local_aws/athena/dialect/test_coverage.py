from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from tests.athena_corpus.coverage import FUNCTIONS_NOT_YET, NOT_YET, SUPPORTED, coverage, markdown
from tests.athena_corpus.judges import DOCUMENTATION, NOBODY, TRINO
from trino_sql_validator import validate

import local_aws.athena
from local_aws.athena.dialect.functions import FUNCTIONS
from local_aws.athena.dialect.shapes import SHAPES

CORPUS = Path(__file__).parents[4] / "athena_corpus"
ANSWERED = FUNCTIONS.keys() | SHAPES.keys()


def is_documented(name: str) -> bool:
    """Whether Trino documents a function of this name."""
    return not validate(f'SELECT "{name}"(1)', function_arguments="off").unknown_functions


def test_every_function_is_one_of_athenas() -> None:
    assert [name for name in sorted(ANSWERED) if not is_documented(name)] == []


def test_what_is_missing_is_athenas_and_missing() -> None:
    assert [name for name in FUNCTIONS_NOT_YET if name in ANSWERED or not is_documented(name)] == []


def test_every_function_has_a_case_in_the_corpus() -> None:
    cases = [case for file in CORPUS.glob("*.yaml") for case in yaml.safe_load(file.read_text())]
    called = {
        name.lower() for case in cases if "rows" in case for name in re.findall(r"\b(\w+)\s*\(", case["sql"])
    }
    assert sorted(ANSWERED - called) == []


def test_the_page_is_what_the_command_prints() -> None:
    page = Path(local_aws.athena.__file__).with_name("README.md")
    fix = "python -m tests.athena_corpus.coverage > lib/local_aws/athena/README.md"
    assert page.read_text(encoding="utf-8") == markdown(), fix


@pytest.mark.parametrize("status", [SUPPORTED, NOT_YET, "refused as on AWS"])
def test_the_table_has_every_status(status: str) -> None:
    assert any(row.status == status for row in coverage())
    assert f"| {status} |" in markdown()


def test_each_row_says_who_judged_it() -> None:
    rows = list(coverage())
    assert {row.judge for row in rows if row.status == NOT_YET} == {NOBODY}
    judged = [row for row in rows if row.status == SUPPORTED and row.judge.startswith(TRINO)]
    by_nobody_but_the_page = [row.name for row in rows if row.status == SUPPORTED and row not in judged]
    assert all(row.judge == DOCUMENTATION for row in rows if row.name in by_nobody_but_the_page)
    assert len(judged) > 0.95 * sum(row.status == SUPPORTED for row in rows), by_nobody_but_the_page
    (sqrt,) = (row.judge for row in rows if row.name == "sqrt")
    assert re.fullmatch(rf"{TRINO}: \d+ cases, \d+ otherwise", sqrt)
