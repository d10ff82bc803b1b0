"""All notebooks run in order, with the solutions of their exercises; then from the middle, from nothing."""

import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.notebooks.course import put_solutions

import local_aws
from dynaberg.walk.notebooks import Stop, find_notebooks, run_notebook, tagged

ROOT = Path(__file__).parents[2]
NAMES = [path.stem for path in find_notebooks(ROOT / "notebooks")]
# The least that their comments allow, which is also quick; except where an exercise needs rows (04).
PARAMETERS = {
    "01_enable_cdc": {"COLUMNS_SHOWN": 1},
    "02_deploy_firehose": {"BUFFER_SECONDS": 0},
    # Later notebooks need rows; a single change is made at the end.
    "03_generate_traffic": {"CHANGES": 600},
    "05_time_travel": {"BURST": 20, "FLAGGED": 4},
    "06_profile": {"FAULTY": 500},
    "07_when_things_break": {"CHANGES": 20, "BUFFER_SECONDS": 0},
    "08_look_after_files": {"SETTLED": 1, "RUNS": 1},
    "09_your_own_table": {"CUSTOMERS": 10, "BUFFER_SECONDS": 0},
    "10_day_two": {"CHANGES": 100, "BUFFER_SECONDS": 0},
    "11_clean_up": {"CHANGES_PER_DAY": 0, "ITEM_BYTES": 1},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of what the notebooks need, so that nobody's own local AWS and state are touched."""
    root = tmp_path_factory.mktemp("project")
    shutil.copy(ROOT / "cdk.context.json", root)
    shutil.copytree(ROOT / "notebooks", root / "notebooks", ignore=shutil.ignore_patterns(".ipynb_*"))
    shutil.copytree(ROOT / "data", root / "data", ignore=shutil.ignore_patterns("local"))
    for path in find_notebooks(root / "notebooks"):
        assert put_solutions(path)
    yield root
    local_aws.stop(root / "data" / "local")


@pytest.fixture(scope="module")
def run(project: Path) -> Callable[..., Stop]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])

    def run(name: str, **changed: int) -> Stop:
        path = project / "notebooks" / f"{name}.ipynb"
        environment = {"DYNABERG_LOCAL_PORT": port, "DYNABERG_TARGET": "local"}
        return run_notebook(path, parameters=PARAMETERS.get(name, {}) | changed, environment=environment)

    return run


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
    assert "equal to DynamoDB in every column" in walked["04_query"].headline
    assert walked["11_clean_up"].headline.endswith("removed, none left.")
    assert walked["07_when_things_break"].headline.endswith(
        "rows equal DynamoDB and the log; nothing was lost."
    )
    assert walked["09_your_own_table"].headline.startswith("50 items of a table that was there before")


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


def test_a_notebook_from_the_middle_builds_what_it_needs(
    walked: dict[str, Stop], run: Callable[..., Stop]
) -> None:
    """After the clean-up nothing is there: no local AWS, no stack, no table."""
    assert walked["11_clean_up"].failure == ""
    # With the least that can be made; what a workbench makes by itself is in the tests of `prepare`.
    stop = run("03_generate_traffic", CHANGES=1)
    assert not stop.failure
    assert stop.headline.startswith("1 changes arrived: 1 inserts, 0 updates")
    stop = run("08_look_after_files")
    assert not stop.failure
    assert stop.headline.startswith("The log has ")
