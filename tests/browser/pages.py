"""A page of the gallery, as a browser draws it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

FAULTS = Path(__file__).with_name("faults.js").read_text(encoding="utf-8")


def faults(page: Any) -> dict[str, list[str]]:
    """What is wrong with the page that is open: by the name of a fault, the places that have it."""
    found: dict[str, list[str]] = page.evaluate(FAULTS)
    return found


def height_of(picture: Path) -> int:
    """How many pixels a PNG is high."""
    return int(struct.unpack(">I", picture.read_bytes()[20:24])[0])
