"""The order of a build: inputs first, no circles, no unknown tables."""

from __future__ import annotations

import random

import pytest

from dynaberg.curated.files import CuratedFile
from dynaberg.curated.order import build_order
from dynaberg.errors import BuildError, NotFoundError


def files(**inputs: str) -> dict[str, CuratedFile]:
    return {name: CuratedFile(name, "SELECT 1", tuple(read.split())) for name, read in inputs.items()}


def test_inputs_come_first_in_any_graph() -> None:
    draw = random.Random(7)
    for _ in range(50):
        names = [f"t{n:02d}" for n in range(50)]
        draw.shuffle(names)
        graph = {
            name: " ".join(draw.sample(names[:place], min(place, 3))) or "orders"
            for place, name in enumerate(names)
        }
        shuffled = dict(draw.sample([*graph.items()], len(graph)))
        order = build_order(files(**shuffled), ["orders"])
        done: set[str] = {"orders"}
        for name, depth in order.items():
            read = graph[name].split()
            assert set(read) <= done
            assert depth == 1 + max((order.get(each, 0) for each in read), default=0)
            done.add(name)
        assert len(order) == 50


@pytest.mark.parametrize(
    ("graph", "circle"),
    [
        ({"a": "a"}, "a → a"),
        ({"a": "b", "b": "c", "c": "b"}, "b → c → b"),
        ({"a": "o b", "b": "a"}, "a → b → a"),
    ],
)
def test_a_circle_is_shown(graph: dict[str, str], circle: str) -> None:
    with pytest.raises(BuildError) as caught:
        build_order(files(**graph), ["o"])
    assert circle in caught.value.message
    assert caught.value.hint


def test_an_unknown_input_names_the_file_and_what_exists() -> None:
    with pytest.raises(NotFoundError) as caught:
        build_order(files(by_day="ordes"), ["orders"])
    assert "by_day.sql" in caught.value.message
    assert "orders" in caught.value.hint
