"""The exception tree."""

from __future__ import annotations

import inspect

import pytest

from dynaberg import errors
from dynaberg.errors import DynabergError, NotFoundError, SettingsError

TREE = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, DynabergError)]


@pytest.mark.parametrize("cls", TREE)
def test_the_docstring_draws_every_error(cls: type[DynabergError]) -> None:
    assert cls.__name__ in (errors.__doc__ or "")


def test_an_error_says_what_happened_and_then_the_hint() -> None:
    error = SettingsError("`target` is 'moon'.", hint="Use 'local'.")
    assert str(error) == "`target` is 'moon'.\nHint: Use 'local'."
    assert str(SettingsError("No hint.")) == "No hint."


def test_a_notebook_shows_no_stack_trace_of_ours() -> None:
    assert SettingsError("Wrong.", hint="Right.")._render_traceback_() == [
        "SettingsError: Wrong.\nHint: Right."
    ]


def test_a_near_name_is_suggested() -> None:
    error = NotFoundError.among("table", "transaction", ["transactions", "hourly_activity"], hint="Build it.")
    assert error.message == "There is no table 'transaction'. What exists: hourly_activity, transactions."
    assert error.hint == "Did you mean 'transactions'?"


def test_where_nothing_is_near_the_hint_stays() -> None:
    error = NotFoundError.among("table", "zebra", [], hint="Build it.")
    assert error.message.endswith("What exists: none.")
    assert error.hint == "Build it."
