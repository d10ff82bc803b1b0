"""What a Lambda creates once and keeps between invocations."""

from __future__ import annotations

import gc
import json
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from .change_row import ChangeConverter

# A batch is tens of thousands of objects that live for one invocation and hold no cycles. By default Python
# scans them after every 700, which takes half the time of parsing.
gc.set_threshold(100_000, 20, 20)

CONTRACT_FILE = Path(__file__).resolve().parents[1] / "contract.json"


@cache
def converter() -> ChangeConverter:
    """The converter of the contract that is next to the package."""
    return ChangeConverter(json.loads(CONTRACT_FILE.read_text(encoding="utf-8")))


@cache
def client(name: str) -> Any:
    """A client that gives up early: what is retried, and for how long, is decided in delivery.py.

    What it sends is made here, so its types need no check, which would take a tenth of a batch's time.
    """
    config = Config(
        connect_timeout=3,
        read_timeout=20,
        retries={"mode": "standard", "total_max_attempts": 2},
        parameter_validation=False,
    )
    return boto3.client(name, config=config)  # type: ignore[call-overload]
