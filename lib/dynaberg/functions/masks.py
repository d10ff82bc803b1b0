"""Masks: what happens to a sensitive attribute before its change leaves the Lambda."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .attributes import to_json

Mask = Callable[[Any], Any]
Rules = Mapping[str, Any]
"""By attribute: a mask, None to leave the attribute out, or the rules of its members."""
_NULL = {"NULL": True}


def mask_rules(paths: Iterable[tuple[Sequence[str], str]]) -> Rules:
    """The rules of paths with the name of a mask each: `(["address", "phone"], "hash")`."""
    rules: dict[str, Any] = {}
    for (*parents, name), mask in paths:
        inner = rules
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[name] = MASKS[mask]
    return rules


def mask_image(image: Mapping[str, Any], rules: Rules) -> dict[str, Any]:
    """A copy of an image with its sensitive attributes masked, also inside maps and lists of maps.

    NULL stays NULL: the absence of a value is not secret.
    """
    masked = {}
    for name, attribute in image.items():
        if name not in rules or attribute == _NULL:
            masked[name] = attribute
        elif isinstance(rules[name], dict):
            masked[name] = _mask_members(attribute, rules[name])
        elif mask := rules[name]:
            masked[name] = mask(attribute)
    return masked


def _mask_members(attribute: Any, rules: Rules) -> Any:
    match attribute:
        case {"M": dict(members)}:
            return {"M": mask_image(members, rules)}
        case {"L": list(items)}:
            return {"L": [_mask_members(item, rules) for item in items]}
        case _:
            return attribute


def _hash(attribute: Any) -> Any:
    """The SHA-256 of the text, in hexadecimal: equal values stay equal, and can be joined."""
    return {"S": hashlib.sha256(_text(attribute).encode()).hexdigest()}


def _last4(attribute: Any) -> Any:
    text = _text(attribute)
    return {"S": f"****{text[-4:]}" if len(text) > 8 else "****"}


def _text(attribute: Any) -> str:
    text = attribute.get("S") if isinstance(attribute, Mapping) else None
    return text if isinstance(text, str) else to_json(attribute)


MASKS: dict[str, Mask | None] = {"drop": None, "hash": _hash, "last4": _last4}
