"""All notebooks run in order, with the solutions of their exercises."""

from collections.abc import Callable
from pathlib import Path

import pytest

import local_aws
from dynaberg.walk.notebooks import Stop, find_notebooks, tagged

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[2]
NAMES = [path.stem for path in find_notebooks(ROOT / "notebooks")]


@pytest.fixture(scope="module")
def walked(run: Callable[..., Stop]) -> dict[str, Stop]:
    """Every notebook, executed in order; 04 twice."""
    stops = {name: run(name) for name in NAMES[:4]}
    stops["04_query again"] = run("04_query")
    return stops | {name: run(name) for name in NAMES[4:]}


def outputs(stop: Stop) -> list[dict[str, object]]:
    return [output for cell in stop.notebook.cells for output in cell.get("outputs", [])]


@pytest.mark.parametrize("name", [*NAMES, "04_query again"])
def test_it_runs_quietly_and_draws(walked: dict[str, Stop], name: str) -> None:
    stop = walked[name]
    assert not stop.failure
    assert not [output for output in outputs(stop) if output.get("name") == "stderr"]
    assert stop.headline
    for cell in tagged(stop.notebook, "figure"):
        assert [output for output in cell.outputs if "image/png" in output.get("data", {})], cell.source


def test_the_walk_reached_what_it_says(walked: dict[str, Stop]) -> None:
    assert walked["03_generate_traffic"].headline.startswith("600 changes arrived: 360 inserts, 150 updates")
    assert "equal to DynamoDB;" in walked["04_query"].headline
    assert walked["11_clean_up"].headline.endswith("removed, none left.")
    assert walked["07_when_things_break"].headline.endswith("rows equal DynamoDB; nothing was lost.")
    assert walked["09_your_own_table"].headline.startswith("50 items that were there before")


def test_the_second_time_finds_nothing_to_merge_and_the_same_rows(walked: dict[str, Stop]) -> None:
    assert walked["04_query again"].headline == walked["04_query"].headline
    assert any(">none</td>" in str(output) for output in outputs(walked["04_query again"]))


def test_the_last_notebook_stopped_the_local_aws(walked: dict[str, Stop], project: Path) -> None:
    assert walked["11_clean_up"].failure == ""
    assert local_aws.status(project / "data" / "local") is None


def test_the_contract_is_fixed_in_a_copy(walked: dict[str, Stop], project: Path) -> None:
    assert walked["07_when_things_break"].failure == ""
    contract = Path("data", "tables", "transactions.yaml")
    assert (project / contract).read_bytes() == (ROOT / contract).read_bytes()
