"""Reference tables: exact from CSV to Athena, replaced whole or not at all, gone with the clean-up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dynaberg import catalog
from dynaberg.deploy import cleanup
from dynaberg.errors import ContractError, NotFoundError, SettingsError
from dynaberg.layers.references import load_reference
from dynaberg.sql.query import query

DESCRIPTION = """\
file: rates.csv
key: [currency, day]
columns:
  - {name: currency, type: string}
  - {name: day, type: date}
  - {name: rate, type: "decimal(12,6)"}
  - {name: set_at, type: timestamptz}
  - {name: final, type: boolean}
  - {name: note, type: string}
"""
HEADER = "currency,day,rate,set_at,final,note\n"
ROWS = (
    'EUR,2026-01-31,1.083400,2026-01-31T12:00:00.000001+02:00,true,"two\nlines, ""quoted"""\n'
    "GBP,2026-01-31,,,false,\n"
)
Load = Callable[..., Any]


@pytest.fixture
def load(story: Any, tmp_path: Path) -> Iterator[Load]:
    """Writes a reference of the given rows, and loads it into the story's table bucket."""
    pipeline = story.pipeline
    settings = replace(pipeline.settings, root=tmp_path)
    (tmp_path / "data" / "references").mkdir(parents=True)

    def load(rows: str, description: str = DESCRIPTION, header: str = HEADER, name: str = "rates") -> Any:
        (tmp_path / "data" / "references" / f"{name}.yaml").write_text(description, encoding="utf-8")
        (tmp_path / "data" / "rates.csv").write_text(header + rows, encoding="utf-8")
        return load_reference(pipeline.session, settings, name).iloc[0]

    yield load
    opened = catalog.open_catalog(pipeline.session, settings)
    if "rates" in catalog.table_names(opened, settings):
        opened.purge_table((settings.namespace, "rates"))


def read(story: Any) -> Any:
    sql = "SELECT * FROM rates ORDER BY currency"
    return query(story.pipeline.session, story.pipeline.settings, sql).df


def test_values_are_exact_and_a_second_time_changes_nothing(story: Any, load: Load) -> None:
    first = load(ROWS)
    assert (first["action"], first["rows"]) == ("created", 2)
    euro, pound = read(story).astype(object).to_dict("records")
    assert (euro["rate"], euro["day"], euro["final"]) == (Decimal("1.083400"), date(2026, 1, 31), True)
    assert euro["set_at"] == datetime(2026, 1, 31, 10, 0, 0, 1, tzinfo=UTC)
    assert euro["note"] == 'two\nlines, "quoted"'
    assert read(story)[["rate", "set_at", "note"]].iloc[1].isna().all()
    assert not pound["final"]
    second = load(ROWS)
    assert (second["action"], second["snapshot_id"]) == ("unchanged", first["snapshot_id"])


def test_another_file_replaces_the_rows_and_may_bring_columns(story: Any, load: Load) -> None:
    load(ROWS)
    wider = DESCRIPTION + "  - {name: source, type: string}\n"
    header = HEADER.replace("note", "note,source")
    changed = load("USD,2026-01-31,1,,true,,bank\n", wider, header)
    assert (changed["action"], changed["rows"]) == ("replaced", 1)
    assert read(story)[["currency", "source"]].to_dict("records") == [{"currency": "USD", "source": "bank"}]
    assert story.pipeline.load("rates").schema().identifier_field_names() == {"currency", "day"}


def test_the_clean_up_finds_it(story: Any, load: Load) -> None:
    load(ROWS)
    listed = cleanup.list_resources(story.pipeline.session, story.pipeline.settings)
    mine = listed[listed["name"] == f"{story.pipeline.settings.namespace}.rates"]
    assert mine[["kind", "holds"]].to_dict("records") == [{"kind": "Iceberg table", "holds": "2 rows"}]


@pytest.mark.parametrize(
    ("rows", "description", "header", "words"),
    [
        ("EUR,tomorrow,1,,,\n", DESCRIPTION, HEADER, "Row #2.*'tomorrow'"),
        ("EUR,2026-01-31,1.2345678,,,\n", DESCRIPTION, HEADER, "rates.csv does not fit its columns"),
        ("EUR,2026-01-31,1,2026-01-31T12:00:00,,\n", DESCRIPTION, HEADER, "zone"),
        ("EUR,2026-01-31,1,,maybe,\n", DESCRIPTION, HEADER, "'maybe'"),
        (",2026-01-31,1,,,\n", DESCRIPTION, HEADER, "no value in currency"),
        ("EUR,2026-01-31,1,,,\n" * 2, DESCRIPTION, HEADER, "twice the key"),
        ("EUR\n", DESCRIPTION, "currency\n", "has the columns currency, not currency, day"),
        ("", DESCRIPTION, "", "has the columns none"),
        (ROWS, DESCRIPTION.replace("type: boolean", "type: bool"), HEADER, "'bool', which is unknown"),
        (ROWS, DESCRIPTION.replace("type: boolean", "type: list<int>"), HEADER, "a CSV file cannot hold"),
        (ROWS, DESCRIPTION.replace("key: [currency", "key: [nobody"), HEADER, "The key is nobody, day"),
        (ROWS, DESCRIPTION.replace("file:", "path:"), HEADER, "the key 'path'"),
    ],
)
def test_what_does_not_fit_is_refused_and_the_table_is_as_it_was(
    story: Any, load: Load, rows: str, description: str, header: str, words: str
) -> None:
    with pytest.raises(ContractError, match=words):
        load(rows, description, header)
    opened = catalog.open_catalog(story.pipeline.session, story.pipeline.settings)
    assert "rates" not in catalog.table_names(opened, story.pipeline.settings)


def test_a_column_of_another_type_leaves_the_old_rows(story: Any, load: Load) -> None:
    load(ROWS)
    with pytest.raises(ContractError, match="'rates' cannot accept the columns"):
        load("EUR,2026-01-31,1,,true,7\n", DESCRIPTION.replace("note, type: string", "note, type: int"))
    assert len(read(story)) == 2


def test_a_table_that_is_no_reference_is_never_touched(story: Any, load: Load) -> None:
    for name in ("transactions", "transactions_changes"):
        with pytest.raises(SettingsError, match=f"{name!r} is not made from a reference. Nothing"):
            load(ROWS, name=name)
    assert story.pipeline.load("transactions").current_snapshot().snapshot_id == story.second


def test_what_does_not_exist_is_named(story: Any, load: Load, tmp_path: Path) -> None:
    load(ROWS)
    settings = replace(story.pipeline.settings, root=tmp_path)
    with pytest.raises(NotFoundError, match=r"no reference 'rate'. What exists: rates"):
        load_reference(story.pipeline.session, settings, "rate")
    (tmp_path / "data" / "rates.csv").unlink()
    with pytest.raises(NotFoundError, match=r"no CSV file 'rates.csv'. What exists: none"):
        load_reference(story.pipeline.session, settings, "rates")
