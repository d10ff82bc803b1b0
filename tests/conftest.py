"""No test reaches AWS: at import, every AWS client of this process is pointed at a dead port here."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import hypothesis
import pytest

import local_aws
from local_aws import Status

NOWHERE = "http://127.0.0.1:1"
UNWANTED = (
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CA_BUNDLE",
)
MARKED_FOLDERS = ("integration", "notebooks", "browser")
# Processes take the files in this order: the longest first, and last the short ones, which fill what is left.
FIRST_TO_LAST = (
    "notebooks/test_execution.py",
    "integration/deploy/test_permissions.py",
    "integration/proof/test_faults_survived.py",
    "integration/delivery/test_kills.py",
    "integration/schedule/test_scheduled_day.py",
    "integration/erasure/test_nothing_left.py",
    "integration/local_aws/test_maintenance.py",
    "integration/profile/test_wide.py",
    "integration/layers/test_refresh_reach.py",
    "notebooks/test_killed.py",
    "notebooks/test_room.py",
    "integration",
    "aws",
    "notebooks",
    "unit/plots/test_seeing.py",
    "unit/plots/test_extremes.py",
    "unit/local_aws/s3tables/maintenance/test_compaction.py",
    "unit/local_aws/athena",
    "unit/local_aws",
    "unit",
)


def guard_environment() -> None:
    """Dummy credentials, no profile, no configuration files, and an endpoint where nobody listens."""
    for name in (*UNWANTED, *(n for n in os.environ if n.startswith(("AWS_ENDPOINT_URL_", "DYNABERG_")))):
        os.environ.pop(name, None)
    os.environ.update(local_aws.env(NOWHERE))
    os.environ.update(AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull)


# jsonschema, which nbformat imports, would make a parser of addresses: a second in each process, for nobody.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
# botocore reads the models of its services anew for each session: a fifth of a second for each pipeline.
botocore.session.create_loader = cache(botocore.session.create_loader)
ENVIRONMENT_BEFORE = dict(os.environ)
guard_environment()
# A busy machine is no reason to fail.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")


@cache
def place(path: Path) -> tuple[int, str]:
    """Where a file stands in the order of files, and the folder by which its tests are marked, if any."""
    name = path.relative_to(Path(__file__).parent).as_posix()
    order = next((n for n, start in enumerate(FIRST_TO_LAST) if name.startswith(start)), len(FIRST_TO_LAST))
    folder = name.partition("/")[0]
    return order, folder if folder in MARKED_FOLDERS else ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test by the folder that it lies in, and put long files first."""
    items.sort(key=lambda item: place(item.path)[0])
    for item in items:
        if folder := place(item.path)[1]:
            item.add_marker(folder)


@pytest.fixture(autouse=True)
def own_style() -> Iterator[None]:
    """No test draws in the style that another one chose."""
    pictures = sys.modules.get("matplotlib")
    if pictures is None:
        yield
        if "matplotlib" in sys.modules:
            sys.modules["matplotlib"].rcdefaults()
        return
    with pictures.rc_context():
        yield


def free_port() -> int:
    """A TCP port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def own_local_aws(folder: Path, **options: Any) -> Iterator[Status]:
    """A local AWS for some tests alone, with this process's AWS clients pointed at it for as long."""
    status = local_aws.start(folder, port=free_port(), **options)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in local_aws.env(status.endpoint, status.region).items():
            patch.setenv(name, value)
        yield status
    local_aws.stop(folder)


@pytest.fixture(scope="session")
def environment_before() -> Mapping[str, str]:
    """The environment before the guard; `tests/aws` alone may put it back, and only when told to."""
    return ENVIRONMENT_BEFORE


@pytest.fixture
def usual_recursion() -> Iterator[None]:
    """The recursion limit that a Lambda has; jedi, for one, raises it for the whole process."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000)
    yield
    sys.setrecursionlimit(before)


@pytest.fixture(scope="session", name="local_aws")
def _local_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Status]:
    """One local AWS for all tests, with this process's AWS clients pointed at it."""
    state_dir = tmp_path_factory.mktemp("local-aws")
    status = local_aws.start(state_dir, port=free_port())
    os.environ.update(local_aws.env(status.endpoint, status.region))
    try:
        yield status
    finally:
        guard_environment()
        local_aws.stop(state_dir)
