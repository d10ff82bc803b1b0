"""A template evaluated for given parameters: conditions decided, references filled in.

It supports only what the templates of this folder use: `Ref`, `Fn::Sub`, `Fn::GetAtt`, `Fn::If` and the
conditions.
Source: "Intrinsic function reference", AWS CloudFormation Template Reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

TEMPLATES = Path(__file__).parent / "templates"
_NOTHING = object()


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
    loaded: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506, a SafeLoader
    return loaded


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
