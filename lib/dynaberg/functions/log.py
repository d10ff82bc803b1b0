"""Log lines as JSON, one object each: counts, codes and change ids, never values of an item."""

from __future__ import annotations

import json
import sys
from typing import Any


def log(level: str, message: str, **facts: Any) -> None:
    """Write one line that CloudWatch Logs Insights reads as fields.

    Args:
        level: `INFO`, `WARNING` or `ERROR`.
        message: What happened, the same words each time.
        **facts: What differs each time.
    """
    sys.stdout.write(json.dumps({"level": level, "message": message, **facts}) + "\n")
    sys.stdout.flush()
