"""The contracts of a project: one that cannot be used stops its own source, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynaberg.contracts import Contract, project_contracts, read_project
from dynaberg.deploy.doctor import _contract
from dynaberg.errors import ContractError
from dynaberg.settings import Settings

CONTRACT = """\
source_table: {source}
table: {table}
key: {{partition: pk}}
{when}columns:
  - {{name: pk, attribute: PK, type: string}}
"""
ORDER, CUSTOMER = (f"when: {{attribute: kind, equals: {kind}}}\n" for kind in ("Order", "Customer"))


def write(root: Path, table: str, source: str, when: str = "") -> Path:
    path = root / "data" / "tables" / f"{table}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(CONTRACT.format(table=table, source=source, when=when))
    return path


def stopped(root: Path, given: Contract | None = None) -> set[str]:
    """The tables whose sources are not deployed."""
    found = read_project(Settings(root=root), given)
    return {each.table for each in found.contracts if found.why_stopped(each)}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """One table for itself, and two that share a source."""
    write(tmp_path, "logs", "Logs")
    write(tmp_path, "orders", "Shop", ORDER)
    write(tmp_path, "customers", "Shop", CUSTOMER)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "stops"),
    [
        (b"source_table: Shop\ntable: [", {"orders", "customers", "shop_other"}),
        (b"source_table: 'Shop'\ntable: wishes\n", {"orders", "customers", "shop_other"}),
        (b"source_table: Logs\ntable: wishes\nkey: 7\n", {"logs"}),
        (b"source_table: Elsewhere\nkey: \xff", set()),
        # What names no source may be of any that several tables share.
        (b"\x00\xff", {"orders", "customers", "shop_other"}),
        (b"", {"orders", "customers", "shop_other"}),
    ],
)
def test_what_cannot_be_read_stops_its_own_source(project: Path, text: bytes, stops: set[str]) -> None:
    path = write(project, "wishes", "Shop")
    path.write_bytes(text)
    assert stopped(project) == stops
    found = read_project(Settings(root=project))
    assert [each.name for each in found.broken] == ["wishes"]
    assert found.broken[0].error.hint
    with pytest.raises(ContractError, match="wishes"):
        project_contracts(Settings(root=project))
    with pytest.raises(ContractError, match="wishes"):
        found.refuse_broken("wishes")


def test_contracts_that_contradict_each_other_stop_their_source(project: Path) -> None:
    write(project, "people", "Shop", CUSTOMER)
    assert stopped(project) == {"orders", "customers", "people"}


def test_two_sources_that_need_one_table_are_both_stopped(project: Path) -> None:
    path = write(project, "more", "Other")
    path.write_text(path.read_text().replace("table: more", "table: logs"))
    write(project, "free", "Free")
    assert stopped(project) == {"logs"}
    assert {each.source_table for each in read_project(Settings(root=project)).broken} == {"Logs", "Other"}


def test_a_contract_whose_file_has_become_unreadable_keeps_its_siblings(project: Path) -> None:
    settings = Settings(root=project, table_name="orders")
    given = next(each for each in project_contracts(settings) if each.table == "orders")
    (project / "data" / "tables" / "orders.yaml").write_text("source_table: Shop\n- [")
    assert "customers" in [each.table for each in read_project(settings, given).contracts]
    assert "customers" in stopped(project, given)


def test_the_doctor_names_it(project: Path) -> None:
    settings = Settings(root=project, table_name="logs")
    assert _contract(None, settings)[0]  # type: ignore[arg-type]
    write(project, "wishes", "Shop").write_text("source_table: Shop\ntable: [")
    ok, found, fix = _contract(None, settings)  # type: ignore[arg-type]
    assert not ok
    assert "wishes cannot be used" in found
    assert "'Shop'" in fix
