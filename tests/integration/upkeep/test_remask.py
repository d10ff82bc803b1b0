"""A mask that is added to a live table, and a key that is rotated: rows that are there are masked, too."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from dynaberg import catalog, curated, deploy, html_tables, layers, upkeep
from dynaberg.contracts import Column, Contract
from dynaberg.contracts.mask_paths import read_path_masks
from dynaberg.curated.build import _Work as Work
from dynaberg.delivery import wait_for_delivery
from dynaberg.errors import BuildError, ContractError, DeploymentError, SettingsError
from dynaberg.masks import detokenise, mask_key_version, mask_keys
from dynaberg.proof import reconcile
from dynaberg.upkeep import mask_rotation, masked_rows

pytestmark = pytest.mark.thorough

SECRETS = ("4111111111111111", "ada@example.org", "PLANTED-phone", "PLANTED-note", "1815-12-10")
PLAIN = (
    Column("id", "string"),
    Column("card", "string"),
    Column("mail", "string"),
    Column("born", "date"),
    Column("place", "struct<phone: string, city: string>"),
    Column("amount", "long"),
)
MASKS = {"card": "hash", "mail": "tokenise", "born": "year"}
CURATED = {
    "by_card": """\
-- build: incremental, key(id), watermark(amount)
SELECT id, card, mail, place.phone AS phone, amount FROM transactions""",
    "by_mail": "SELECT mail, phone, max(card) AS card FROM by_card GROUP BY mail, phone",
    "refused": "-- check: rows > 100\nSELECT CAST(born AS varchar) AS born, card FROM transactions_changes",
}
PATHS = tuple(read_path_masks({"place.phone": "hash", "note": "tokenise"}))


def contract(name: str, *, masked: bool) -> Contract:
    columns = tuple(replace(c, mask=MASKS.get(c.name)) if masked else c for c in PLAIN)
    return Contract("transactions", f"{name}-source", "id", None, columns, PATHS if masked else ())


def item(number: int, **attributes: Any) -> dict[str, Any]:
    return {
        "id": {"S": f"item-{number}"},
        "card": {"S": SECRETS[0]},
        "mail": {"S": SECRETS[1]},
        "born": {"S": SECRETS[4]},
        "place": {"M": {"phone": {"S": SECRETS[2]}, "city": {"S": "Bern"}}},
        "note": {"S": SECRETS[3]},
        "amount": {"N": str(number)},
        **attributes,
    }


def deliver(pipeline: Any, described: Contract) -> None:
    wait_for_delivery(pipeline.session, pipeline.settings, described, progress=False)
    layers.refresh(pipeline.session, pipeline.settings, described)


def rows(pipeline: Any, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pipeline.load(name).scan().to_arrow().to_pylist()
    return found


def left(pipeline: Any) -> list[str]:
    """The secrets that rows of any table still show."""
    iceberg = catalog.open_catalog(pipeline.session, pipeline.settings)
    names = catalog.table_names(iceberg, pipeline.settings)
    text = repr([rows(pipeline, name) for name in names])
    return [each for each in SECRETS if each in text]


@pytest.fixture(scope="module")
def live(make_pipeline: Callable[..., Any]) -> Any:
    """A table without masks that has been at work, and then got some."""
    pipeline = make_pipeline("gainsmasks", contract("gainsmasks", masked=False))
    session, settings = pipeline.session, pipeline.settings
    pipeline.write(*(item(n) for n in range(4)), item(1, amount={"N": "7"}))
    deliver(pipeline, pipeline.contract)
    for name, sql in CURATED.items():
        (settings.root / "data" / "sql" / "curated" / f"{name}.sql").write_text(sql)
    with pytest.raises(BuildError, match="refused was not built"):
        curated.build_all(session, settings)
    masked = contract("gainsmasks", masked=True)
    with pytest.warns(UserWarning, match=r"rows from before the mask of born, card.*masks.preview"):
        layers.create_tables(session, settings, masked)
    deploy.deploy_firehose(session, settings, masked, buffer_seconds=0)
    pipeline.write(item(9))
    deliver(pipeline, masked)
    return replace(pipeline, contract=masked)


def test_a_mask_that_is_added_reaches_the_rows_that_are_there(
    live: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = live.session, live.settings, live.contract
    assert left(live) == [*SECRETS]
    lines = upkeep.preview_remask(*place)
    # The columns of one table are in the same files.
    assert lines["table"].duplicated().any()
    assert "total" not in html_tables.table(lines)
    preview = lines.set_index(["table", "column"])
    assert preview.loc[("transactions", "card"), "values"] == 4
    assert preview.loc[("transactions_changes", "old_image"), "values"] == 1
    staying = preview.drop("(dropped)", level="column")
    assert (staying["snapshots_with_values"] > 0).all()
    assert (staying["removed_after"] > staying["expired_after"]).all()
    with pytest.raises(SettingsError, match="Nothing was masked"):
        upkeep.remask(*place, confirm="yes")
    assert left(live) == [*SECRETS]

    monkeypatch.setattr(masked_rows, "_FILES", 1)
    once = masked_rows._Work._replace

    def killed(self: Any, *arguments: Any) -> Any:
        once(self, *arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(masked_rows._Work, "_replace", killed)
        with pytest.raises(KeyboardInterrupt):
            upkeep.remask(*place, confirm="transactions")
    done = upkeep.remask(*place, confirm="transactions").set_index(["table", "column"])
    assert done.loc[("by_card", "(built again)"), ["rows_replaced", "snapshots_with_values"]].to_list() == [
        4,
        1,
    ]
    assert (done.xs("(dropped)", level="column")["rows_replaced"] == 5).all()
    assert left(live) == []
    assert upkeep.preview_remask(*place).empty
    with pytest.raises(BuildError, match="refused was not built"):
        curated.build_all(live.session, live.settings)
    assert len(rows(live, "transactions")) == 5
    assert len(rows(live, "transactions_changes")) == 6


def test_rows_are_as_if_they_had_been_masked_at_once(live: Any) -> None:
    place = live.session, live.settings, live.contract
    found = {row["id"]: row for row in rows(live, "transactions")}
    for row in found.values():
        for name in ("card", "mail", "born", "place"):
            assert row[name] == found["item-9"][name], "the last one was masked by the function"
    assert reconcile(*place).matches
    docs = {field.name: field.doc for field in live.load("transactions_changes").schema().fields}
    assert docs["card"] == "Masked: hash, version 1 of the key."
    live.write(item(3, amount={"N": "8"}))
    deliver(live, live.contract)
    report = layers.refresh(*place)
    assert report["action"].iloc[0] == "none"
    assert reconcile(*place).matches
    layers.create_tables(live.session, live.settings, live.contract)


def test_older_snapshots_hold_the_values_and_are_named(live: Any) -> None:
    table = live.load("transactions")
    texts = [repr(table.scan(snapshot_id=s.snapshot_id).to_arrow().to_pylist()) for s in table.snapshots()]
    assert SECRETS[0] in texts[0], "time travel shows them until they expire"
    assert SECRETS[0] not in texts[-1]


def test_copies_that_cannot_be_built_again_are_named_until_they_are(live: Any) -> None:
    place = live.session, live.settings, live.contract
    change = rows(live, "transactions_changes")[0]
    planted = {n: change[n] for n in ("operation", "sequence_number")} | {"change_id": "late", "id": "late"}
    moments = dict.fromkeys(("changed_at", "received_at"), 1_700_000_000_000_000)
    live.send([planted | moments | {"card": SECRETS[0]}])
    file = live.settings.root / "data" / "sql" / "curated" / "by_card.sql"
    file.write_text("SELECT nobody FROM transactions")
    with pytest.raises(BuildError, match=r"masked, but by_card, by_mail could not be .* still show"):
        upkeep.remask(*place, confirm="transactions")
    again = [["by_card", "(built again)"], ["by_mail", "(built again)"]]
    preview = upkeep.preview_remask(*place)
    assert [line for line in preview[["table", "column"]].to_numpy().tolist() if line[1][0] == "("] == again
    file.write_text(CURATED["by_card"])
    planned = curated.preview_build(catalog.open_catalog(live.session, live.settings), live.settings)
    why = planned.set_index("table").loc["by_card", ["action", "why"]]
    assert why.to_list() == ["build", "values that it reads were masked"]
    assert list(upkeep.remask(*place, confirm="transactions")["table"]) == ["by_card", "by_mail"]
    assert upkeep.preview_remask(*place).empty


def test_a_build_that_began_before_the_masks_is_not_trusted(
    live: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = live.session, live.settings, live.contract
    change = rows(live, "transactions_changes")[0]
    planted = {n: change[n] for n in ("operation", "sequence_number")} | {"change_id": "race", "id": "race"}
    moments = dict.fromkeys(("changed_at", "received_at"), 1_700_000_000_000_000)
    live.send([planted | moments | {"card": SECRETS[0]}])
    in_place = Work._put_in_place

    def overtaken(self: Any, *arguments: Any, **options: Any) -> str:
        monkeypatch.setattr(Work, "_put_in_place", in_place)
        action = in_place(self, *arguments, **options)
        upkeep.remask(*place, confirm="transactions")
        return action

    monkeypatch.setattr(Work, "_put_in_place", overtaken)
    curated.build(live.session, live.settings, "by_card")
    assert list(upkeep.preview_remask(*place)["table"]) == ["by_card"]
    assert list(upkeep.remask(*place, confirm="transactions")["table"]) == ["by_card"]
    assert upkeep.preview_remask(*place).empty


def test_a_hash_without_a_key_gets_one(live: Any) -> None:
    place = live.session, live.settings, live.contract
    key = mask_keys(*place)[0]
    unkeyed = hashlib.sha256(SECRETS[0].encode()).hexdigest()
    base = rows(live, "transactions_changes")[0]
    row = {n: base[n] for n in ("operation", "sequence_number")} | {"change_id": "old", "id": "x"}
    row |= {"changed_at": 1_700_000_000_000_000, "received_at": 1_700_000_000_000_000, "card": unkeyed}
    live.send([row | {"old_image": json.dumps({"card": {"S": unkeyed}})}])
    with live.load("transactions_changes").transaction() as transaction:
        transaction.remove_properties(layers.MASKS_APPLIED)
    with pytest.warns(UserWarning, match="or hashed without a key"):
        layers.create_tables(live.session, live.settings, live.contract)
    upkeep.remask(*place, confirm="transactions")
    [found] = [each for each in rows(live, "transactions_changes") if each["change_id"] == "old"]
    assert found["card"] == key.hash({"S": SECRETS[0]})["S"]
    assert unkeyed not in repr(found)


@pytest.fixture(scope="module")
def keyed(make_pipeline: Callable[..., Any]) -> Any:
    pipeline = make_pipeline("rotates", contract("rotates", masked=True))
    pipeline.write(item(1), item(2), item(2, card={"S": "5555"}), item(3, card={"S": "6666"}))
    pipeline.write(item(3, card={"S": "7777"}))
    deliver(pipeline, pipeline.contract)
    return pipeline


def test_a_rotation_masks_again_and_says_what_stays(keyed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    place = keyed.session, keyed.settings, keyed.contract
    preview = upkeep.preview_mask_rotation(*place).set_index(["table", "column"])
    # 6666 is in the log only: in a row, and in the old image of the change after it.
    assert preview.loc[("transactions_changes", "card"), "older_hashes"] == 1
    assert preview.loc[("transactions", "card"), "older_hashes"] == 0
    with pytest.raises(SettingsError, match="The key is as it was"):
        upkeep.rotate_mask_key(*place, confirm="")

    def refused(*_: Any, **__: Any) -> None:
        raise DeploymentError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(deploy, "change_parameters", refused)
        with pytest.raises(DeploymentError):
            upkeep.rotate_mask_key(*place, confirm="transactions")
    with monkeypatch.context() as patch:
        patch.setattr(mask_rotation, "mask_rows", interrupted)
        with pytest.raises(KeyboardInterrupt):
            upkeep.rotate_mask_key(*place, confirm="transactions")
    done = upkeep.rotate_mask_key(*place, confirm="transactions").set_index(["table", "column"])
    pd.testing.assert_series_equal(done["values"], preview["values"])
    assert [key.version for key in mask_keys(*place)] == [2, 1]
    assert mask_key_version(keyed.session, keyed.settings) == 2
    newest, oldest = mask_keys(*place)
    cards = [row["card"] for row in rows(keyed, "transactions_changes")]
    assert sorted(cards) == sorted(
        [newest.hash({"S": card})["S"] for card in (SECRETS[0], SECRETS[0], "5555", "7777")]
        + [oldest.hash({"S": "6666"})["S"]]
    )
    assert {row["mail"][:3] for row in rows(keyed, "transactions")} == {"t2:"}
    assert reconcile(*place).matches


def interrupted(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_the_functions_mask_with_the_new_key_and_old_tokens_are_taken_back(keyed: Any) -> None:
    place = keyed.session, keyed.settings, keyed.contract
    newest, oldest = mask_keys(*place)
    keyed.write(item(4))
    deliver(keyed, keyed.contract)
    found = {row["id"]: row for row in rows(keyed, "transactions")}
    assert found["item-4"]["card"] == found["item-1"]["card"] == newest.hash({"S": SECRETS[0]})["S"]
    tokens = [key.tokenise({"S": SECRETS[1]})["S"] for key in (oldest, newest)]
    assert detokenise(*place, [*tokens, None]) == [SECRETS[1], SECRETS[1], None]
    docs = {field.name: field.doc for field in keyed.load("transactions").schema().fields}
    assert docs["card"] == "Masked: hash, version 2 of the key."
    deploy.deploy_firehose(*place, buffer_seconds=0)
    assert mask_key_version(keyed.session, keyed.settings) == 2, "a deployment does not go back"


def test_without_a_key_there_is_nothing_to_rotate(keyed: Any) -> None:
    plain = contract("rotates", masked=False)
    with pytest.raises(ContractError, match="has a key"):
        upkeep.rotate_mask_key(keyed.session, keyed.settings, plain, confirm="transactions")
