"""JSON files that are written whole or not at all. The standard library only: the door uses them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read_json(path: Path) -> Any:
    """The content of a JSON file; an absent one is an empty object.

    Raises:
        ValueError: It is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}


def write_json(path: Path, content: Mapping[str, Any], *, durable: bool = False) -> None:
    """Write a JSON file whole or not at all; a durable one survives the loss of power, too."""
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(content), encoding="utf-8")
    if durable:
        synchronize(draft)
    draft.replace(path)
    if durable:
        synchronize(path.parent)


def synchronize(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
