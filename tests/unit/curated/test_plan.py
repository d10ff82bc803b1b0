"""A change in one of many curated files builds what depends on it, and nothing else."""

from __future__ import annotations

import random
from typing import Any

import pytest

from dynaberg import catalog
from dynaberg.curated import plan
from dynaberg.curated.files import CuratedFile
from dynaberg.curated.state import TableState
from dynaberg.functions.statements.builds import Built
from dynaberg.settings import Settings

DEPTH, FILES = 6, 50
SOURCES = ("orders", "visits")


def drawn(draw: random.Random) -> dict[str, CuratedFile]:
    """Files in a graph of a depth, each of which reads one of the level below and some of any."""
    levels: list[list[str]] = [[*SOURCES]]
    files: dict[str, CuratedFile] = {}
    for number in range(FILES):
        if number < DEPTH:
            levels.append([])
        level = number + 1 if number < DEPTH else draw.randint(1, DEPTH)
        below = [name for names in levels[:level] for name in names]
        inputs = {draw.choice(levels[level - 1]), *draw.sample(below, min(len(below), draw.randint(0, 2)))}
        name = f"t{number:02d}"
        files[name] = CuratedFile(name, f"SELECT {number}", tuple(sorted(inputs)))
        levels[level].append(name)
    return files


def above(files: dict[str, CuratedFile], changed: str) -> set[str]:
    """What reads a table, and what reads that."""
    found: set[str] = set()
    while more := {n for n, f in files.items() if n not in found and found.union([changed]) & {*f.inputs}}:
        found |= more
    return found


@pytest.mark.parametrize("seed", range(10))
def test_a_change_builds_what_depends_on_it(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    draw = random.Random(seed)
    files = drawn(draw)
    names = [*SOURCES, *files]
    content = {name: number for number, name in enumerate(names, start=1)}
    states: dict[str, Any] = {name: TableState(name, content[name]) for name in SOURCES}
    for name, file in files.items():
        known = {each: content[each] for each in file.inputs}
        states[name] = TableState(name, content[name], built=Built(file.digest, known, "created", "", 0))
    now = dict(files)
    monkeypatch.setattr(plan, "read_files", lambda settings: now)
    monkeypatch.setattr(catalog, "table_names", lambda *given: names)
    monkeypatch.setattr(plan, "load_states", lambda *given: states)

    def built() -> set[str]:
        steps = plan.make_plan(None, Settings()).steps  # type: ignore[arg-type]
        assert max(step.depth for step in steps) == DEPTH
        return {step.file.name for step in steps if step.why}

    assert built() == set()
    # Its SQL changes.
    changed = draw.choice([*files])
    now[changed] = CuratedFile(changed, "SELECT 1 + 1", files[changed].inputs)
    assert built() == {changed} | above(files, changed)
    # Its rows change, by hand or from the source.
    now = dict(files)
    changed = draw.choice(names)
    states[changed] = TableState(changed, -1, built=states[changed].built)
    assert built() == above(files, changed)
