"""What `seams.cloudformation` relies on in ministack, and that it is the version this was read in."""

from __future__ import annotations

import inspect
import json
from importlib.metadata import version

import pytest
import yaml
from ministack.core.persistence import _json_default
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


def test_a_template_is_parsed_once_and_each_gets_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    modules = [
        pytest.importorskip(f"ministack.services.cloudformation.{name}")
        for name in ("engine", "changesets", "handlers")
    ]
    parse, parsed = modules[0]._parse_template, []
    for module in modules:
        assert module._parse_template is parse
        monkeypatch.setattr(module, "_parse_template", lambda body: [parsed.append(body), parse(body)][1])
    cloudformation.parse_a_template_once()
    for module in modules:
        template = module._parse_template("Resources: {a: {Type: !Sub b}}")
        assert template == {"Resources": {"a": {"Type": {"Fn::Sub": "b"}}}}
        template["Resources"].clear()
    assert len(parsed) == 1
    with pytest.raises(ValueError, match="must be a JSON or YAML mapping"):
        modules[0]._parse_template("[]")


def test_stacks_are_saved_as_a_copy_of_them_would_be(monkeypatch: pytest.MonkeyPatch) -> None:
    stacks = pytest.importorskip("ministack.services.cloudformation")
    monkeypatch.setattr(stacks, "get_state", stacks.get_state)
    stacks._stacks["saved"] = {"StackName": "saved", "StackStatus": "CREATE_COMPLETE"}
    try:
        copied = json.dumps(stacks.get_state(), default=_json_default)
        cloudformation.save_stacks_as_they_are()
        assert json.dumps(stacks.get_state(), default=_json_default) == copied
        assert "CREATE_COMPLETE" in copied
    finally:
        stacks._stacks.clear()


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
