"""What a Lambda creates once and keeps between invocations."""

from __future__ import annotations

import gc
import json
import os
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from ..masks import read_key
from ..routing import Router
from ..snapshots import PlainItems
from ..to_firehose import send_in_one_piece

# A batch is tens of thousands of objects that live for one invocation and hold no cycles. By default Python
# scans them after every 700, which takes half the time of parsing.
gc.set_threshold(100_000, 20, 20)

CONTRACT_FILE = Path(__file__).resolve().parents[2] / "contract.json"


def contracts() -> Any:
    """The contracts that are next to the package, as `Contract.to_lambda_json` writes them."""
    return json.loads(CONTRACT_FILE.read_text(encoding="utf-8"))


@cache
def router() -> Router:
    """The router and the conversion by these contracts, with the key in `MASK_KEY_ARN`, if any."""
    arn = os.environ.get("MASK_KEY_ARN")
    secret = client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"] if arn else ""
    return Router(contracts(), read_key(secret) if arn else None)


@lru_cache(1)
def plain_items(key_attributes: tuple[str, ...], second: int) -> PlainItems:
    """What finds plain items in the files of one backfill."""
    return PlainItems(contracts(), key_attributes, second)


@cache
def client(name: str) -> Any:
    """A client that gives up early: what is retried, and for how long, is decided in to_firehose.py.

    What it sends is made here, so its types need no check, which would take a tenth of a batch's time.
    """
    config = Config(
        connect_timeout=3,
        read_timeout=20,
        retries={"mode": "standard", "total_max_attempts": 2},
        parameter_validation=False,
    )
    made = boto3.client(name, config=config)  # type: ignore[call-overload]
    return send_in_one_piece(made) if name == "firehose" else made


def several_logs() -> bool:
    """Whether the source has more than one change log."""
    return bool(os.environ.get("DELIVERY_STREAM_NAMES"))


def stream_of(log_name: str) -> str:
    """The delivery stream of a change log; the only one there is, if the source has one change log."""
    names = json.loads(os.environ.get("DELIVERY_STREAM_NAMES") or "{}")
    return str(names.get(log_name) or os.environ["DELIVERY_STREAM_NAME"])
