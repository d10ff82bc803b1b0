"""A change log is folded in one commit: the same states afterwards, and a plain word about what is gone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dynaberg import layers
from dynaberg.delivery import wait_for_delivery
from dynaberg.erasure import apply_retention, preview_retention
from dynaberg.errors import NotFoundError, SettingsError
from dynaberg.past import item_history, state_as_of
from dynaberg.proof import reconcile
from dynaberg.upkeep import rewriting

pytestmark = pytest.mark.thorough

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def pipeline(make_pipeline: Callable[[str], Any]) -> Any:
    return make_pipeline("folding")


def row(item_id: str, number: int, made: datetime, operation: str, status: str | None) -> dict[str, Any]:
    made_us = int(made.timestamp()) * 1_000_000
    return {
        "change_id": f"{item_id}-{number}",
        "operation": operation,
        "changed_at": made_us,
        "sequence_number": str(number).zfill(40),
        "received_at": made_us + 1_000_000,
        "id": item_id,
        "at": 1,
        "status": status,
        "old_image": '{"status":{"S":"what was before"}}' if operation != "INSERT" else None,
    }


def states(place: tuple[Any, Any, Any], moments: list[datetime]) -> list[list[tuple[Any, ...]]]:
    columns = ("id", "status", "changed_at")
    found = [state_as_of(place[0], place[1], place[2], when, columns=columns) for when in moments]
    return [sorted(frame.itertuples(index=False, name=None)) for frame in found]


def test_old_days_are_folded_and_later_states_stay(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    place = pipeline.session, pipeline.settings, pipeline.contract
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    rows = [row("kept", n, today - (9 - n) * DAY, "MODIFY" if n else "INSERT", f"v{n}") for n in range(7)]
    rows += [row("gone", 1, today - 9 * DAY, "INSERT", "x"), row("gone", 2, today - 8 * DAY, "REMOVE", None)]
    rows += [row("back", 1, today - 9 * DAY, "INSERT", "x"), row("back", 2, today - 8 * DAY, "REMOVE", None)]
    rows += [row("back", 3, today - DAY, "INSERT", "y"), row("quiet", 1, today - 30 * DAY, "INSERT", "z")]
    pipeline.send(rows)
    pipeline.write({"id": {"S": "real"}, "at": {"N": "1"}, "status": {"S": "now"}})
    wait_for_delivery(*place, progress=False)
    layers.refresh(*place)
    for item in ("kept", "back", "quiet"):
        pipeline.write({"id": {"S": item}, "at": {"N": "1"}, "status": {"S": "in DynamoDB"}})
    wait_for_delivery(*place, progress=False)
    cut = today - 5 * DAY
    moments = [cut, cut + DAY / 2, today - 4 * DAY, today - 2 * DAY, today, datetime.now(UTC)]
    before = states(place, moments)

    preview = preview_retention(*place, days=5)
    assert int(preview["folded"].sum()) > 0
    with pytest.raises(SettingsError, match="Nothing was changed"):
        apply_retention(*place, days=5, confirm="folding")
    with pytest.raises(SettingsError, match="`days` is 0; it can be 1"):
        apply_retention(*place, days=0, confirm="transactions")
    with monkeypatch.context() as patch:
        patch.setattr(rewriting._Commit, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            apply_retention(*place, days=5, confirm="transactions")
    assert states(place, moments) == before
    current = pipeline.load("transactions").current_snapshot().snapshot_id

    done = apply_retention(*place, days=5, confirm="transactions")
    assert int(done["folded"].sum()) == 3 + 2 + 1
    assert states(place, moments) == before
    with pytest.raises(NotFoundError, match="history in 'transactions_changes' begins at"):
        states(place, [cut - timedelta(seconds=1)])
    log = pipeline.load("transactions_changes")
    kept = {r["change_id"]: r for r in log.scan().to_arrow().to_pylist()}
    assert kept["kept-3"]["operation"] == kept["quiet-1"]["operation"] == "SNAPSHOT"
    assert kept["kept-3"]["old_image"] is None
    assert kept["back-2"]["operation"] == "REMOVE"
    assert "kept-2" not in kept

    # Nothing is read again, nothing changes, and the proof holds.
    refreshed = layers.refresh(*place).iloc[0]
    assert (refreshed["action"], refreshed["bytes_scanned"]) == ("none", 0)
    assert pipeline.load("transactions").current_snapshot().snapshot_id == current
    assert reconcile(*place).matches
    history = item_history(*place, {"id": "kept", "at": 1})
    assert history.attrs["history_begins"] == cut
    assert history["operation"].iloc[0] == "SNAPSHOT"
    again = apply_retention(*place, days=5, confirm="transactions")
    assert int(again["folded"].sum()) == 0


def interrupted(*_: Any) -> None:
    raise KeyboardInterrupt
