"""A project of its own for the notebooks of a file, and a way to run them there."""

import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.notebooks.course import put_solutions

import local_aws
from dynaberg.walk.notebooks import Stop, find_notebooks, run_notebook

ROOT = Path(__file__).parents[2]
# The least that their comments allow, which is also quick; except where an exercise needs rows (04).
PARAMETERS = {
    "01_enable_cdc": {"COLUMNS_SHOWN": 1},
    "02_deploy_firehose": {"BUFFER_SECONDS": 0},
    # Later notebooks need rows; a single change is in `test_from_the_middle.py`.
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
