"""The local Athena answers what Trino answered (`make trino`), but for the differences that are listed."""

from __future__ import annotations

import pytest
from tests.aws.test_corpus import CASES
from tests.trino import golden
from tests.trino.compare import KINDS
from tests.trino.local import LocalAthena

AGAIN = "python -m tests.trino.judge --listed takes out of the list what is gone"


@pytest.fixture(scope="module")
def differences(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, golden.Outcome]]:
    local = LocalAthena(tmp_path_factory.mktemp("athena"))
    try:
        return golden.found(local, golden.read(golden.EXPRESSIONS), golden.known())
    finally:
        local.close()


def test_nothing_differs_but_what_is_listed(differences: dict[str, tuple[str, golden.Outcome]]) -> None:
    listed = golden.known()
    unlike = {sql: found for sql, found in differences.items() if found[0] != listed.get(sql)}
    assert unlike == {}


def test_what_is_listed_differs_still(differences: dict[str, tuple[str, golden.Outcome]]) -> None:
    assert [sql for sql in golden.known() if sql not in differences] == [], AGAIN


def test_the_corpus_is_what_trino_answered() -> None:
    assert golden.in_corpus(CASES) == golden.known("corpus")


@pytest.mark.parametrize("section", ["expressions", "corpus"])
def test_each_listed_difference_has_a_reason_and_a_kind(section: str) -> None:
    for group in golden.groups(section):
        assert len(group["reason"]) > 10
        assert set(group) - {"reason"} <= set(KINDS)


def test_every_expression_was_asked_once() -> None:
    asked = [one["sql"] for one in golden.read(golden.EXPRESSIONS)]
    assert len(asked) == len(set(asked)) == 2_000
