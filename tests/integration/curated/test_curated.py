"""Builds: only what changed, in order, checked before anything shows, and exact from a watermark on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import dynaberg
from dynaberg import catalog, plots
from dynaberg.curated.state import BUILT, FAILED, load_states
from dynaberg.errors import BuildError, NotFoundError, QueryError
from dynaberg.sql import query
from dynaberg.workbench import Workbench

ORDERS = "INSERT INTO orders VALUES (1, DATE '2026-01-01', 'open'), (2, DATE '2026-01-02', 'done')"
BY_STATUS = "SELECT status, count(*) AS items FROM orders GROUP BY status"


@pytest.fixture(scope="module")
def tables(make_pipeline: Callable[..., Any]) -> Any:
    """A namespace whose tables are written by SQL; nothing is delivered here."""
    pipeline = make_pipeline("curated", is_delivered=False)
    run(
        pipeline,
        "CREATE TABLE orders (id int, day date, status string) TBLPROPERTIES ('table_type' = 'ICEBERG')",
    )
    run(pipeline, ORDERS)
    return pipeline


@pytest.fixture
def project(tables: Any) -> Iterator[Any]:
    """The same without curated files and tables."""
    yield tables
    wb = workbench(tables)
    for path in folder(tables).glob("*.sql"):
        path.unlink()
    for name in catalog.table_names(wb.catalog, tables.settings):
        if name not in ("orders", "transactions", "transactions_changes"):
            wb.catalog.purge_table((tables.settings.namespace, name))
    run(tables, "DELETE FROM orders")
    run(tables, ORDERS)


def run(pipeline: Any, statement: str) -> list[tuple[Any, ...]]:
    frame = query(pipeline.session, pipeline.settings, statement).df
    return sorted(frame.itertuples(index=False, name=None))


def workbench(pipeline: Any) -> Workbench:
    return Workbench(pipeline.settings, pipeline.session, pipeline.contract)


def folder(pipeline: Any) -> Path:
    return pipeline.settings.root / "data" / "sql" / "curated"


def write(pipeline: Any, **files: str) -> None:
    for name, text in files.items():
        (folder(pipeline) / f"{name}.sql").write_text(text)


def actions(frame: Any) -> dict[str, str]:
    return dict(zip(frame["table"], frame["action"], strict=True))


def staging(pipeline: Any) -> list[str]:
    names = catalog.table_names(workbench(pipeline).catalog, pipeline.settings)
    return [name for name in names if "__staging_" in name]


def test_only_what_changed_and_what_depends_on_it_is_built(project: Any) -> None:
    write(
        project,
        by_status=BY_STATUS,
        days="SELECT DISTINCT year(day) AS y FROM transactions_days",
        transactions_days="SELECT day, count(*) AS n FROM transactions GROUP BY day",
        summary="-- check: rows > 0\nSELECT sum(items) AS items FROM by_status",
    )
    wb = workbench(project)
    assert wb.preview_build()["action"].tolist() == ["build"] * 4
    first = wb.build()
    assert actions(first) == dict.fromkeys(("by_status", "transactions_days", "days", "summary"), "created")
    assert first["table"].tolist().index("by_status") < first["table"].tolist().index("summary")
    assert set(actions(wb.build()).values()) == {"unchanged"}

    run(project, "INSERT INTO orders VALUES (3, DATE '2026-01-03', 'open')")
    preview = wb.preview_build().set_index("table")
    assert preview["why"].to_dict() == {
        "by_status": "orders changed",
        "transactions_days": "",
        "days": "",
        "summary": "by_status is built",
    }
    again = actions(wb.build())
    assert again == {
        "by_status": "replaced",
        "summary": "replaced",
        "days": "unchanged",
        "transactions_days": "unchanged",
    }
    assert run(project, "SELECT * FROM by_status") == [("done", 1), ("open", 2)]
    assert run(project, "SELECT * FROM summary") == [(3,)]

    write(project, by_status=f"-- Only a comment.\n{BY_STATUS}")
    assert set(actions(wb.build()).values()) == {"unchanged"}
    write(project, days="SELECT DISTINCT year(day) + 0 AS y FROM transactions_days")
    assert [name for name, action in actions(wb.build()).items() if action == "replaced"] == ["days"]
    assert staging(project) == []


def test_a_compaction_of_an_input_is_no_change(project: Any) -> None:
    write(project, by_status=BY_STATUS)
    wb = workbench(project)
    wb.build()
    run(project, "INSERT INTO orders VALUES (4, DATE '2026-01-04', 'open')")
    wb.build()
    before = wb.catalog.load_table((project.settings.namespace, "orders")).current_snapshot()
    wb.iceberg_table("orders").maintain(target_mb=64, confirm="orders")
    after = wb.catalog.load_table((project.settings.namespace, "orders")).current_snapshot()
    assert after.snapshot_id != before.snapshot_id, "nothing was compacted"
    assert after.summary.operation.value == "replace"
    assert actions(wb.build()) == {"by_status": "unchanged"}


@pytest.mark.parametrize(
    "check",
    [
        "rows > 2",
        "SELECT * FROM checked WHERE status = 'bad'",
        *(
            pytest.param(check, marks=pytest.mark.thorough)
            for check in ("unique(status)", "not_null(status)", "accepted(status, 'open', 'done')")
        ),
    ],
)
def test_content_that_fails_a_check_never_shows(project: Any, check: str) -> None:
    write(
        project,
        checked=f"-- check: {check}\nSELECT status FROM orders WHERE status <> 'x' OR status IS NULL",
        above="SELECT count(*) AS n FROM checked",
        beside=BY_STATUS,
    )
    wb = workbench(project)
    run(project, "INSERT INTO orders VALUES (5, DATE '2026-01-05', 'x')")
    if check != "rows > 2":
        wb.build()
    else:
        run(project, "DELETE FROM orders WHERE id = 5")
        write(project, checked="-- check: rows > 1\nSELECT status FROM orders")
        wb.build()
        write(project, checked=f"-- check: {check}\nSELECT status FROM orders")
    before = run(project, "SELECT * FROM checked")
    snapshots = len(wb.iceberg_table("checked").snapshots())

    if check != "rows > 2":
        run(project, "INSERT INTO orders VALUES (6, DATE '2026-01-06', 'open')")
        run(project, "INSERT INTO orders VALUES (7, DATE '2026-01-06', NULL), (8, DATE '2026-01-06', 'bad')")
    with pytest.raises(BuildError) as caught:
        wb.build()
    assert check in caught.value.message
    assert "above reads checked, and waits" in caught.value.message
    assert run(project, "SELECT * FROM checked") == before
    assert len(wb.iceberg_table("checked").snapshots()) == snapshots
    # What failed can be looked at, and is known to the next notebook.
    (left,) = staging(project)
    shown = caught.value.hint.split("'''")[1]
    assert left in shown
    assert run(project, shown)
    outcome = wb.preview_build().set_index("table")["outcome"]
    assert outcome["checked"].startswith("failed: checked was not built")
    assert not outcome["beside"].startswith("failed")

    run(project, "DELETE FROM orders WHERE id > 5")
    write(project, checked="-- check: rows > 0\nSELECT status FROM orders")
    assert actions(wb.build())["checked"] == "replaced"
    assert staging(project) == []
    assert wb.preview_build().set_index("table")["outcome"]["checked"] == "replaced"
    assert FAILED not in wb.iceberg_table("checked").current.properties


def test_a_first_build_that_fails_leaves_no_table(project: Any) -> None:
    write(project, by_status=f"-- check: rows > 9\n{BY_STATUS}")
    wb = workbench(project)
    with pytest.raises(BuildError, match="rows > 9: 1 row"):
        wb.build("by_status")
    assert "by_status" not in catalog.table_names(wb.catalog, project.settings)
    assert wb.preview_build()["outcome"].iloc[0].startswith("failed: ")
    with pytest.raises(BuildError, match="rows > 9"):
        wb.build("by_status")
    assert len(staging(project)) == 1


INCREMENTAL = """\
-- build: incremental, key(day, status), watermark(day), lookback(1 day)
SELECT day, status, count(*) AS items FROM orders GROUP BY day, status"""


def test_an_incremental_build_is_exact_from_its_watermark_on(project: Any) -> None:
    write(project, daily=INCREMENTAL)
    wb = workbench(project)
    assert actions(wb.build()) == {"daily": "created"}
    run(
        project,
        "INSERT INTO orders VALUES (3, DATE '2026-01-02', 'done'), (4, DATE '2026-01-01', 'new'), "
        "(5, DATE '2025-12-31', 'early'), (6, DATE '2026-01-09', 'open')",
    )
    run(project, "DELETE FROM orders WHERE id = 1")
    built = wb.build().iloc[0]
    assert (built["action"], built["why"]) == ("merged", "orders changed")
    rows = [(str(day), status, items) for day, status, items in run(project, "SELECT * FROM daily")]
    # What is older than the lookback is not computed again; everything else is as the SELECT has it.
    assert rows == [("2026-01-01", "new", 1), ("2026-01-02", "done", 2), ("2026-01-09", "open", 1)]
    assert actions(wb.build()) == {"daily": "unchanged"}
    assert actions(wb.build(full=True)) == {"daily": "replaced"}
    assert len(run(project, "SELECT * FROM daily")) == 4
    assert staging(project) == []


def test_a_key_that_is_not_unique_stops_an_incremental_build(project: Any) -> None:
    write(project, daily=INCREMENTAL.replace("key(day, status)", "key(status)"))
    wb = workbench(project)
    wb.build()
    run(project, "INSERT INTO orders VALUES (3, DATE '2026-01-03', 'open'), (4, DATE '2026-01-04', 'open')")
    before = run(project, "SELECT * FROM daily")
    with pytest.raises(BuildError, match='unique\\("status"\\): 1 row'):
        wb.build()
    assert run(project, "SELECT * FROM daily") == before


def test_a_row_that_moves_past_the_watermark_is_moved(project: Any) -> None:
    write(
        project, newest="-- build: incremental, key(id), watermark(day)\nSELECT id, day, status FROM orders"
    )
    wb = workbench(project)
    wb.build()
    run(project, "INSERT INTO orders VALUES (3, DATE '2026-01-05', 'late')")
    wb.build()
    run(project, "UPDATE orders SET day = DATE '2026-02-01' WHERE id = 3")
    assert actions(wb.build()) == {"newest": "merged"}
    assert [row for row in run(project, "SELECT id, CAST(day AS varchar) FROM newest") if row[0] == 3] == [
        (3, "2026-02-01")
    ]


def test_a_build_of_one_table_is_done_in_any_case(project: Any) -> None:
    write(project, by_status=BY_STATUS, above="SELECT count(*) AS n FROM by_status")
    wb = workbench(project)
    assert wb.build("by_status")["action"].tolist() == ["created"]
    assert wb.build("by_status")["action"].tolist() == ["replaced"]
    assert run(project, "SELECT * FROM by_status") == [("done", 1), ("open", 1)]
    assert "above" not in catalog.table_names(wb.catalog, project.settings)


def test_errors_name_the_file_and_leave_everything_as_it_was(project: Any) -> None:
    wb = workbench(project)
    write(project, by_status=BY_STATUS)
    wb.build()
    before = run(project, "SELECT * FROM by_status")
    write(project, by_status=BY_STATUS.replace("items", "things"))
    with pytest.raises(QueryError, match="things") as refused:
        wb.build("by_status")
    assert "DROP TABLE" in refused.value.hint
    for files, error, words in (
        (
            {"by_status": "SELECT * FROM above", "above": "SELECT * FROM by_status"},
            BuildError,
            "above → by_status",
        ),
        ({"by_status": "SELECT * FROM ordes"}, NotFoundError, "by_status.sql"),
        ({"by_status": "SELECT nothing FROM orders"}, BuildError, "nothing"),
        ({"by_status": f"-- check: SELECT nothing FROM by_status\n{BY_STATUS}"}, BuildError, "by_status.sql"),
    ):
        write(project, above="SELECT 1 AS one FROM orders")
        write(project, **files)
        with pytest.raises(error, match=words):
            wb.build()
        assert run(project, "SELECT * FROM by_status") == before


def test_a_plan_loads_each_table_once_however_deep_the_graph(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for depth in range(6):
        for place in range(8):
            above = (
                "orders"
                if depth == 0
                else f"t{depth - 1}_{place} JOIN t{depth - 1}_{(place + 1) % 8} USING (n)"
            )
            write(project, **{f"t{depth}_{place}": f"SELECT 1 AS n FROM {above}"})
    loaded: list[str] = []
    load = catalog.load_table
    monkeypatch.setattr(catalog, "load_table", lambda *given: loaded.append(given[2]) or load(*given))
    preview = workbench(project).preview_build()
    assert (len(preview), preview["depth"].max()) == (48, 6)
    assert loaded == ["orders"]


def test_what_it_was_built_from_is_kept_with_the_table(project: Any) -> None:
    write(project, by_status=BY_STATUS)
    workbench(project).build()
    other = dynaberg.Workbench(project.settings, project.session, project.contract)
    assert actions(other.build()) == {"by_status": "unchanged"}
    with other.iceberg_table("by_status").current.transaction() as transaction:
        transaction.remove_properties(BUILT)
    assert actions(other.build()) == {"by_status": "replaced"}
    states = load_states(other.catalog, project.settings, ["by_status"])
    assert states["by_status"].built is not None


def test_the_lineage_goes_from_the_source_to_the_chart(project: Any) -> None:
    write(
        project,
        by_status=f"-- chart: plot_hourly\n{BY_STATUS}",
        above="-- check: rows > 9\n-- chart: plot_risk_by_region\n"
        "SELECT count(*) AS n FROM by_status JOIN transactions ON true",
    )
    wb = workbench(project)
    with pytest.raises(BuildError, match="rows > 9"):
        wb.build()
    boxes = wb.lineage_boxes().set_index("box")
    source, log, current = project.contract.source_table, "transactions_changes", "transactions"
    assert boxes["kind"].to_dict() == {
        source: "source",
        log: "change log",
        current: "current table",
        "orders": "table",
        "by_status": "curated",
        "above": "curated",
        "plot_hourly": "chart",
        "plot_risk_by_region": "chart",
    }
    inputs = [[], [source], [log], [], ["orders"], ["by_status", current], ["by_status"], ["above"]]
    assert [*boxes["inputs"]] == inputs
    # No chart is fresher than its table.
    assert boxes["status"][["plot_hourly", "plot_risk_by_region"]].to_list() == ["fresh", "missing"]
    assert boxes["status"].to_dict() | {"above": "failed", "by_status": "fresh"} == boxes["status"].to_dict()
    assert (boxes["rows"]["orders"], boxes["rows"]["by_status"]) == (2, 2)
    assert boxes["outcome"]["by_status"] == "created"
    assert boxes["age_seconds"]["by_status"] >= 0
    run(project, "INSERT INTO orders VALUES (3, DATE '2026-01-03', 'open')")
    plots.use_style()
    title = " ".join(wb.lineage().get_title(loc="left").split())
    assert "failed: above" in title
    assert "behind: by_status and plot_hourly" in title
