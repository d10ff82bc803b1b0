"""Masks: what happens to a sensitive attribute before its change leaves the Lambda."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from .attributes import to_json

Mask = Callable[[Any], Any]
_NULL = {"NULL": True}


def mask_image(image: Mapping[str, Any], masks: Mapping[str, Mask | None]) -> dict[str, Any]:
    """A copy of an image with its sensitive attributes masked; None in `masks` leaves the attribute out.

    NULL stays NULL: the absence of a value is not secret.
    """
    masked = {}
    for name, attribute in image.items():
        if name not in masks or attribute == _NULL:
            masked[name] = attribute
        elif mask := masks[name]:
            masked[name] = mask(attribute)
    return masked


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
