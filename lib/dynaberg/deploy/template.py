"""A template for several change logs; and one evaluated for given parameters, its references filled in.

It supports only what the templates of this folder use: `Ref`, `Fn::Sub`, `Fn::GetAtt`, `Fn::If` and the
conditions.
Source: "Intrinsic function reference", AWS CloudFormation Template Reference.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

TEMPLATES = Path(__file__).parent / "templates"
_NOTHING = object()
# "Quotas", AWS CloudFormation User Guide: a template that is read from S3.
MOST_TEMPLATE_BYTES = 1_000_000
# "Dashboard Body Structure and Syntax", Amazon CloudWatch API Reference: a dashboard has 24 columns.
_DASHBOARD_WIDTH, _FIRST_ROWS, _ROW_CHARTS = 24, 2, 4
# "CloudWatch service quotas": 500 widgets and 2,500 metrics for each dashboard; a row has up to 12 metrics.
_MOST_ROWS, _LARGE_ROW_BYTES = 100, 5_000


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms, such as `!Ref`."""


def _short_form(loader: yaml.SafeLoader, name: str, node: yaml.Node) -> dict[str, Any]:
    construct: Mapping[type, Callable[[Any], Any]] = {
        yaml.ScalarNode: loader.construct_scalar,
        yaml.SequenceNode: lambda sequence: loader.construct_sequence(sequence, deep=True),
        yaml.MappingNode: lambda mapping: loader.construct_mapping(mapping, deep=True),
    }
    value = construct[type(node)](node)
    if name == "GetAtt":
        value = value.split(".", 1)
    return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}


_Loader.add_multi_constructor("!", _short_form)


def load_template(path: Path) -> dict[str, Any]:
    """A template, its short forms written out."""
    return parse_template(path.read_text(encoding="utf-8"))


def template_for(part: str, others: Sequence[str] = ()) -> dict[str, Any]:
    """The template of a part: `access` for example, with further change logs of its source."""
    template = load_template(TEMPLATES / f"{part}.yaml")
    return with_logs(template, others) if others else template


def parse_template(template: str | dict[str, Any]) -> dict[str, Any]:
    """The same of a template's text; what was parsed already is returned as it is."""
    if not isinstance(template, str):
        return dict(template)
    loaded: dict[str, Any] = yaml.load(template, _Loader)  # noqa: S506, a SafeLoader
    return loaded


def template_body(
    path: Path, others: Sequence[str] = (), watched: Sequence[Mapping[str, str]] = (), stream_type: str = ""
) -> str:
    """The text of a template; with further change logs of the source, each with what it needs of its own.

    Args:
        path: The template.
        others: The names of the change logs beside the one that its parameter names.
        watched: The parameters of the further sources' observations, which share this one's dashboard.
        stream_type: The stream type of this source, for its dashboard.
    """
    if not others and not watched:
        return path.read_text(encoding="utf-8")
    template = with_logs(load_template(path), others)
    return json.dumps(with_rows(template, stream_type, watched) if watched else template)


def with_rows(
    template: dict[str, Any], stream_type: str, watched: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    """A template of the observation whose dashboards have a row of charts for each further source.

    A second dashboard begins where the first one is full. Where CloudFormation would not take that many, some
    hundreds, the last ones are left out.

    Args:
        template: The template, from `load_template`, or as it is deployed.
        stream_type: The stream type of the first source.
        watched: The parameters of the further sources' observations.
    """
    resources, rows = template["Resources"], list(watched)
    while True:
        for name in [name for name in resources if re.fullmatch(r"Dashboard\d+", name)]:
            del resources[name]
        first, *more = _dashboards(stream_type, rows)
        resources["Dashboard"]["Properties"]["DashboardBody"] = {"Fn::Sub": first}
        for number, body in enumerate(more, start=2):
            name = {"Fn::Sub": f"${{Project}}--dashboard-{number}"}
            properties = {"DashboardName": name, "DashboardBody": {"Fn::Sub": body}}
            resources[f"Dashboard{number}"] = resources["Dashboard"] | {"Properties": properties}
        excess = len(json.dumps(template)) - MOST_TEMPLATE_BYTES
        if excess <= 0 or not rows:
            return template
        del rows[-max(excess // _LARGE_ROW_BYTES, 1) :]


def _dashboards(stream_type: str, watched: Sequence[Mapping[str, str]]) -> list[str]:
    """The dashboards: the first source's charts and as many rows as fit, and then more rows."""
    own = _dashboard(stream_type).partition("[")[2].rpartition("]")[0]
    bodies = []
    for first in range(0, max(len(watched), 1), _MOST_ROWS):
        above = 0 if first else _FIRST_ROWS
        rows = [_row(given, above + n) for n, given in enumerate(watched[first : first + _MOST_ROWS])]
        bodies.append(f'{{"widgets": [{",".join(rows if first else [own, *rows])}]}}')
    return bodies


@cache
def _dashboard(stream_type: str) -> str:
    """The dashboard of one source, in JSON."""
    resource = load_template(TEMPLATES / "observe.yaml")["Resources"]["Dashboard"]
    _, *bodies = resource["Properties"]["DashboardBody"]["Fn::If"]
    return str(bodies[stream_type != "kinesis"]["Fn::Sub"])


def _row(given: Mapping[str, str], place: int) -> str:
    """The first charts of a further source, in one row of a dashboard, as JSON without the list around."""
    named = re.sub(r"\$\{(\w+)\}", lambda match: given[match[1]], _dashboard(given["StreamType"]))
    widgets = json.loads(named)["widgets"][:_ROW_CHARTS]
    for number, widget in enumerate(widgets):
        width, height = _DASHBOARD_WIDTH // _ROW_CHARTS, widget["height"]
        widget |= {"x": number * width, "y": place * height, "width": width}
        widget["properties"]["title"] = f"{given['SourceTableName']}: {widget['properties']['title']}"
    return ",".join(json.dumps(widget, separators=(",", ":")) for widget in widgets)


def with_logs(template: dict[str, Any], others: Sequence[str]) -> dict[str, Any]:
    """A template with copies of what belongs to a change log, one for each further one.

    Each change log has its own delivery stream: streams cost nothing in themselves, and a table that cannot
    be written to does not hold up another.

    Args:
        template: A template, from `load_template`.
        others: The names of the further change logs.
    """
    for log in others:
        _copy_for(template, log)
    resources = template["Resources"]
    for name in _SENDERS & resources.keys():
        streams = {"${LogTableName}": "${DeliveryStream}"}
        streams |= {log: f"${{Stream{log_id(log)}}}" for log in others}
        _variables(resources[name])["DELIVERY_STREAM_NAMES"] = {"Fn::Sub": json.dumps(streams)}
    for name in resources:
        for policy in resources[name].get("Properties", {}).get("Policies", ()):
            for given in policy["PolicyDocument"]["Statement"]:
                _widen(given["Fn::If"][1] if "Fn::If" in given else given, others)
    return template


# What there is once for each change log, and how the names of the copies begin: some may not be long.
_COPIED = {"DeliveryStream": "Stream", "KinesisDeliveryStream": "KinesisStream"} | {
    name: name
    for name in (
        *("Transform", "FirehoseOnChangeLog", "FreshnessAlarm", "KinesisFreshnessAlarm", "FailedRowsAlarm"),
        *("KinesisFailedRowsAlarm", "ProcessingAlarm", "KinesisLagAlarm"),
    )
}
STREAM_OUTPUTS = {"DeliveryStreamName": "Stream{}Name", "KinesisDeliveryStreamName": "KinesisStream{}Name"}
STREAM_OUTPUT = re.compile(r"(Kinesis)?(DeliveryStream|Stream[0-9a-f]{8})Name")
"""The outputs of the delivery that name delivery streams."""
_SENDERS = {"Forwarder", "Redrive"}
_OWN_NAMES = ("AlarmName", "FunctionName")


def stream_output(log: str, name: str) -> str:
    """The output of the delivery that names the stream of a further change log.

    Args:
        log: Name of the change log.
        name: `DeliveryStreamName` or `KinesisDeliveryStreamName`, as the first change log has it.
    """
    return STREAM_OUTPUTS[name].format(log_id(log))


def stream_name(outputs: Mapping[str, str], log: str, name: str = "DeliveryStreamName") -> str:
    """The delivery stream of a change log, by the outputs of the delivery; the first one's has no own output.

    Args:
        outputs: Outputs of the delivery.
        log: Name of the change log.
        name: `DeliveryStreamName` or `KinesisDeliveryStreamName`; empty is returned if there is none.
    """
    return outputs.get(stream_output(log, name), outputs.get(name, ""))


def _copy_for(template: dict[str, Any], log: str) -> None:
    """Add to a template what a further change log needs."""
    own, resources = log_id(log), template["Resources"]
    names = {name: f"{begin}{own}" for name, begin in _COPIED.items() if name in resources}
    refs: dict[str, Any] = {name: {"Ref": copy} for name, copy in names.items()}
    refs |= {"LogTableName": log, "ErrorPrefix": f"errors/{log}/"}
    if "DeliveryStreamName" in template["Parameters"]:
        for name in STREAM_OUTPUTS:
            template["Parameters"][stream_output(log, name)] = {"Type": "String", "Default": "none"}
            refs[name] = {"Ref": stream_output(log, name)}
    for name, copy in names.items():
        resources[copy] = resource = _copy(resources[name], refs, names)
        for property_name in _OWN_NAMES:
            if property_name in resource["Properties"]:
                text = resource["Properties"][property_name]["Fn::Sub"]
                resource["Properties"][property_name] = {"Fn::Sub": f"{text}-{own}"}
    for name in STREAM_OUTPUTS.keys() & template.get("Outputs", {}).keys():
        template["Outputs"][stream_output(log, name)] = _copy(template["Outputs"][name], refs, names)


def log_id(log: str) -> str:
    """What distinguishes the resources of a further change log: short, for names that may not be long."""
    return hashlib.sha256(log.encode()).hexdigest()[:8]


def _variables(function: dict[str, Any]) -> dict[str, Any]:
    variables: dict[str, Any] = function["Properties"]["Environment"]["Variables"]
    return variables


def _copy(node: Any, replaced: Mapping[str, Any], names: Mapping[str, str]) -> Any:
    """A copy in which references to some parameters and resources lead elsewhere."""
    if isinstance(node, Mapping):
        if set(node) == {"Ref"} and node["Ref"] in replaced:
            return replaced[node["Ref"]]
        if set(node) == {"Fn::GetAtt"}:
            first, *rest = node["Fn::GetAtt"]
            return {"Fn::GetAtt": [names.get(first, first), *rest]}
        return {key: _copy(value, replaced, names) for key, value in node.items()}
    if isinstance(node, list):
        return [_copy(each, replaced, names) for each in node]
    return node


def _widen(statement: dict[str, Any], others: Sequence[str]) -> None:
    """Let a statement that names the change log, its stream or its function name the others, too."""
    arns = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
    texts = [arn.get("Fn::Sub", "") if isinstance(arn, Mapping) else "" for arn in arns]
    more = [
        text.replace("${LogTableName}", log) for text in texts if "${LogTableName}" in text for log in others
    ]
    more += [text.replace("-DeliveryStream-*", "-Stream*") for text in texts if "-DeliveryStream-*" in text]
    more += [f"{text}-*" for text in texts if text.endswith("${Project}-transform")]
    if more:
        statement["Resource"] = [*arns, *({"Fn::Sub": text} for text in more)]
    named = statement.get("Condition", {}).get("StringEquals", {})
    if named.get("s3tables:tableName") == {"Ref": "LogTableName"}:
        named["s3tables:tableName"] = [{"Ref": "LogTableName"}, *others]


def resolved_resources(template: Mapping[str, Any], parameters: Mapping[str, str]) -> dict[str, Any]:
    """The resources that a template creates with given parameters, by their logical name.

    Args:
        template: A template, from `load_template`.
        parameters: Its parameters, and pseudo parameters such as `AWS::AccountId`.

    Returns:
        Type, properties and the rest of each resource. A reference to another resource is its logical name,
        one to its attribute `Name.Attribute`.
    """
    defaults = {name: str(p["Default"]) for name, p in template["Parameters"].items() if "Default" in p}
    names = {name: name for name in template["Resources"]}
    filler = _Filler(names | defaults | dict(parameters), template.get("Conditions", {}))
    return {
        name: filler.fill(resource)
        for name, resource in template["Resources"].items()
        if "Condition" not in resource or filler.holds(resource["Condition"])
    }


class _Filler:
    """Fills the references and decides the conditions of one template."""

    def __init__(self, values: Mapping[str, str], conditions: Mapping[str, Any]) -> None:
        self._values = values
        self._conditions = conditions
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": lambda name: _NOTHING if name == "AWS::NoValue" else values[name],
            "Condition": self.holds,
            "Fn::Sub": lambda text: re.sub(r"\$\{([^}]+)\}", lambda m: values.get(m[1], m[1]), text),
            "Fn::GetAtt": ".".join,
            "Fn::If": lambda given: self.fill(given[1] if self.holds(given[0]) else given[2]),
            "Fn::Equals": lambda given: self.fill(given[0]) == self.fill(given[1]),
            "Fn::Not": lambda given: not self.fill(given[0]),
            "Fn::And": lambda given: all(self.fill(each) for each in given),
            "Fn::Or": lambda given: any(self.fill(each) for each in given),
        }

    def holds(self, condition: str) -> bool:
        return bool(self.fill(self._conditions[condition]))

    def fill(self, node: Any) -> Any:
        if isinstance(node, Mapping):
            if len(node) == 1 and (function := self._functions.get(key := next(iter(node)))):
                return function(node[key])
            filled = {
                key: self.fill(value)
                for key, value in node.items()
                if key != "Condition" or not isinstance(value, str)
            }
            return {key: value for key, value in filled.items() if value is not _NOTHING}
        if isinstance(node, list):
            return [value for value in map(self.fill, node) if value is not _NOTHING]
        return node
