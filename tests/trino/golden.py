"""What Trino answered, kept as data, and the differences that are known, each with its reason."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from tests.trino.compare import KINDS, difference
from tests.trino.local import LocalAthena, as_column_type
from tests.trino.server import VERSION

FOLDER = Path(__file__).parents[1] / "golden"
EXPRESSIONS = FOLDER / f"trino-{VERSION}.jsonl"
CORPUS = FOLDER / f"trino-{VERSION}-corpus.jsonl"
DIFFERENCES = FOLDER / f"trino-{VERSION}-differences.yaml"
AT_ONCE = 12
"""Expressions in one statement: that is four times as fast as one by one."""

Outcome = dict[str, Any]
PLAIN = re.compile(r"SELECT (.*) AS v", re.DOTALL)


def read(path: Path) -> list[Outcome]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path: Path, outcomes: Iterable[Outcome]) -> None:
    lines = (json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in outcomes)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def groups(section: str) -> list[dict[str, Any]]:
    """The known differences of a section, `expressions` or `corpus`, by reason."""
    found: dict[str, list[dict[str, Any]]] = yaml.safe_load(DIFFERENCES.read_text(encoding="utf-8"))
    return found[section]


def known(section: str = "expressions") -> dict[str, str]:
    """The kind of each difference that is known, by its statement."""
    return {
        sql: kind
        for group in groups(section)
        for kind, statements in group.items()
        if kind != "reason"
        for sql in statements
    }


def relist(kinds: Mapping[str, str]) -> None:
    """Lists the known differences of expressions anew: without those that are gone, each under its kind."""
    regrouped: list[dict[str, Any]] = []
    for group in groups("expressions"):
        listed = [sql for kind, statements in group.items() if kind != "reason" for sql in statements]
        by_kind = {kind: sorted(sql for sql in listed if kinds.get(sql) == kind) for kind in KINDS}
        left = {kind: statements for kind, statements in by_kind.items() if statements}
        if left:
            regrouped.append({"reason": group["reason"], **left})
    write_differences({"expressions": regrouped, "corpus": groups("corpus")})


def write_differences(sections: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    text = yaml.safe_dump(dict(sections), allow_unicode=True, sort_keys=False, width=1_000_000)
    DIFFERENCES.write_text(text, encoding="utf-8")


def found(
    local: LocalAthena, outcomes: Sequence[Outcome], listed: Mapping[str, str]
) -> dict[str, tuple[str, Outcome]]:
    """The differences that there are, by statement, with the local outcome."""
    differences: dict[str, tuple[str, Outcome]] = {}
    for theirs in alone(local, outcomes, listed):
        ours = local.run(theirs["sql"])
        if kind := difference(theirs, ours):
            differences[theirs["sql"]] = kind, ours
    return differences


def alone(local: LocalAthena, outcomes: Sequence[Outcome], listed: Mapping[str, str]) -> Iterator[Outcome]:
    """What must be asked alone: all that did not agree with Trino when it was asked together."""
    together = [
        one
        for one in outcomes
        if "error" not in one and one["sql"] not in listed and " FROM " not in one["sql"]
    ]
    asked = {one["sql"] for one in together}
    yield from (one for one in outcomes if one["sql"] not in asked)
    for start in range(0, len(together), AT_ONCE):
        part = together[start : start + AT_ONCE]
        if not agree(local, part):
            yield from part


def agree(local: LocalAthena, part: Sequence[Outcome]) -> bool:
    """Whether expressions, in one statement, have Trino's values and types."""
    texts = [PLAIN.fullmatch(one["sql"]) for one in part]
    assert all(texts), part
    sql = ", ".join(f"{text[1]} AS v{i}" for i, text in enumerate(texts) if text)
    ours = local.run(f"SELECT {sql}")
    if "error" in ours:
        return False
    return not any(
        difference(
            theirs, {"types": [ours["types"][i]], "rows": [[ours["rows"][0][i]]], "names": theirs["names"]}
        )
        for i, theirs in enumerate(part)
    )


def in_corpus(cases: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, str]:
    """The kinds of differences between what the corpus expects and what Trino answered, by statement."""
    outcomes = read(CORPUS)
    assert [case["sql"] for _, case in cases] == [one["sql"] for one in outcomes], (
        "make trino: the corpus has changed"
    )
    pairs = ((one, expectation(one, case)) for one, (_, case) in zip(outcomes, cases, strict=True))
    kinds = {theirs["sql"]: difference(theirs, ours) for theirs, ours in pairs}
    return {sql: kind for sql, kind in kinds.items() if kind}


def expectation(theirs: Outcome, case: Mapping[str, Any]) -> Outcome:
    """A case of the corpus as an outcome; what it does not say is as Trino has it."""
    if "error" in case:
        code = re.match(r"[A-Z_]+(?=:|$)", case["error"])
        return {"error": code[0] if code else theirs.get("error", "SYNTAX_ERROR")}
    digits = {
        "types": [as_column_type(name) for name in theirs.get("types", [])],
        "names": theirs.get("names", []),
    }
    rows = case["rows"]
    if case.get("any_order") and sorted(map(str, rows)) == sorted(map(str, theirs.get("rows", []))):
        rows = theirs["rows"]
    said = {key: case[key] for key in ("names", "types") if key in case}
    if "types" in said:
        # The corpus names a decimal without its digits.
        said["types"] = (
            [t if t.startswith(s) else s for s, t in zip(said["types"], digits["types"], strict=True)]
            if digits["types"]
            else said["types"]
        )
    return {**digits, **said, "rows": rows}
