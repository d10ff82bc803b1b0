"""What `seams.cloudformation` relies on in ministack, and that it is the version this was read in."""

from __future__ import annotations

import inspect
from importlib.metadata import version

import pytest
import yaml
from ministack.services import dynamodb

from local_aws.seams import cloudformation
from local_aws.seams.cloudformation import AROUND_DELETE, BEFORE_CREATE, refuse_aliases


def test_ministack_is_the_version_whose_private_parts_were_read() -> None:
    assert version("ministack") == "1.5.33"


@pytest.mark.parametrize("kind", BEFORE_CREATE)
def test_create_handlers_take_what_the_checks_hand_on(kind: str) -> None:
    provisioners = pytest.importorskip("ministack.services.cloudformation.provisioners")
    create = inspect.unwrap(provisioners._RESOURCE_HANDLERS[kind]["create"])
    assert list(inspect.signature(create).parameters) == ["logical_id", "props", "stack_name"]


@pytest.mark.parametrize("kind", [*AROUND_DELETE, "AWS::S3Tables::Table"])
def test_delete_handlers_take_what_the_checks_hand_on(kind: str) -> None:
    provisioners = pytest.importorskip("ministack.services.cloudformation.provisioners")
    handler = provisioners._RESOURCE_HANDLERS[kind]
    assert list(inspect.signature(inspect.unwrap(handler["delete"])).parameters) == ["physical_id", "props"]
    assert not handler.get("delete_with_logical_id")


def test_the_update_handler_of_tables_takes_what_is_handed_on() -> None:
    provisioners = pytest.importorskip("ministack.services.cloudformation.provisioners")
    update = inspect.unwrap(provisioners._RESOURCE_HANDLERS["AWS::S3Tables::Table"]["update"])
    assert list(inspect.signature(update).parameters) == [
        "physical_id",
        "old_props",
        "new_props",
        "stack_name",
    ]


def test_a_template_has_no_aliases(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = pytest.importorskip("ministack.services.cloudformation.engine")
    monkeypatch.setattr(engine.CfnLoader, "compose_node", engine.CfnLoader.compose_node)
    refuse_aliases()
    assert engine._parse_template("a: &x [1]\nb: !Sub '*x'")["a"] == [1]
    with pytest.raises(yaml.YAMLError, match="YAML aliases are not allowed"):
        engine._parse_template("a: &x [1]\nb: *x")


@pytest.mark.parametrize(("given", "expected"), [(True, True), ("true", True), (False, False), (None, False)])
def test_a_table_of_a_template_has_its_point_in_time_recovery(
    given: object, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    provisioners = pytest.importorskip("ministack.services.cloudformation.provisioners")
    table = {name: lambda *_: ("recovered", {}) for name in ("create", "update", "delete")}
    monkeypatch.setitem(provisioners._RESOURCE_HANDLERS, "AWS::DynamoDB::Table", table)
    monkeypatch.setattr(cloudformation, "set_kinesis_destination", lambda *_: None)
    cloudformation.honor_settings_of_tables()
    specification = {} if given is None else {"PointInTimeRecoveryEnabled": given}
    properties = {"PointInTimeRecoverySpecification": specification}
    table["create"]("Table", properties, "stack")
    assert dynamodb._pitr_settings["recovered"] is expected
    table["update"]("recovered", properties, {}, "stack")
    assert dynamodb._pitr_settings.pop("recovered") is False
