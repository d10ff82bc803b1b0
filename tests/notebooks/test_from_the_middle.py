"""A notebook builds what it needs: no local AWS, no stack and no table is there."""

from collections.abc import Callable

import pytest

from dynaberg.walk.notebooks import Stop

pytestmark = pytest.mark.thorough


def test_a_single_change_is_enough(run: Callable[..., Stop]) -> None:
    """The least that can be made; what a workbench makes by itself is in the tests of `prepare`."""
    stop = run("03_generate_traffic", CHANGES=1)
    assert not stop.failure
    assert stop.headline.startswith("1 changes arrived: 1 inserts, 0 updates")


def test_a_late_notebook_makes_traffic(run: Callable[..., Stop]) -> None:
    stop = run("08_look_after_files")
    assert not stop.failure
    assert stop.headline.startswith("The log has ")
