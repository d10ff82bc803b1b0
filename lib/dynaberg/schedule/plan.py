"""The plan that is shipped with the schedule's function: what each statement is made from, in JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dynaberg.layers import merge_of

if TYPE_CHECKING:
    import boto3

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings


def make_plan(session: boto3.Session, settings: Settings, contracts: Sequence[Contract]) -> str:
    """What a run does: the refresh of each contract's table, and then the curated builds in order.

    Args:
        session: Open boto3 session.
        settings: The project.
        contracts: Its table contracts.
    """
    merges = [
        merge_of(contract, [column.name for column in contract.columns]).to_json()
        for contract in contracts
        if not contract.is_rest
    ]
    return json.dumps({"merges": merges}, sort_keys=True)
