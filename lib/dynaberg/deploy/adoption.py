"""Adopting: a foundation around a DynamoDB table that somebody else created.

The table is described and checked, and its stream switched on if it has none; the foundation's parameters
record that, so that a clean-up switches off only what adoption switched on.
"""

from __future__ import annotations

import boto3
import pandas as pd

from dynaberg.contracts import Contract
from dynaberg.deploy import stack_state, stacks
from dynaberg.deploy.stack_state import stack_parameters
from dynaberg.errors import SettingsError
from dynaberg.settings import Settings
from dynaberg.source import (
    ExistingTable,
    check_source,
    describe_source,
    recovers_to_a_point,
    stream_readers,
    switch_off_stream,
    switch_on_stream,
)

ADOPTION_COLUMNS = ["what", "found", "done"]


def adopt(session: boto3.Session, settings: Settings, contract: Contract) -> pd.DataFrame:
    """Take an existing DynamoDB table as the source; run again, it continues where it was interrupted.

    It switches on the table's stream if there is none, and changes nothing else about it.

    Args:
        session: An open session.
        settings: The names.
        contract: The source table and its key.

    Returns:
        One row per subject: what, found, done.

    Raises:
        NotFoundError: There is no such DynamoDB table.
        NotReadyError: The table is being created or deleted.
        ContractError: Its key is not the contract's.
        SettingsError: The workbench has created this table itself.
        DeploymentError: Its stream has another view, or AWS refused something.

    Example:
        >>> adopt(session, settings, contract)
    """
    table = describe_source(session, contract.source_table)
    check_source(session, table, contract)
    before = stack_parameters(session, stack_state.stack_name(settings, "foundation"))
    _check_free(settings, before)
    switched_on = before.get("StreamSwitchedOn") or str(not table.stream_arn).lower()
    # Recorded first: after an interruption it is still known who switched the stream on.
    wanted = {"SourceOrigin": stacks.ADOPTED, "StreamSwitchedOn": switched_on}
    foundation = stacks.deploy_foundation(session, settings, contract, wanted)
    if not table.stream_arn:
        switch_on_stream(session, table.name)
    stream_done = "left as it is" if table.stream_arn else "switched on"
    rows = [*_rows(session, table, stream_done), ("foundation", foundation.name, _done(foundation.changed))]
    return pd.DataFrame(rows, columns=ADOPTION_COLUMNS)


def release(session: boto3.Session, settings: Settings) -> str:
    """Switch off what adoption switched on at the table, before the foundation is deleted.

    Args:
        session: An open session.
        settings: The names.

    Returns:
        What was done, in words; empty if no table was adopted.

    Raises:
        DeploymentError: DynamoDB refused it.
    """
    before = stack_parameters(session, stack_state.stack_name(settings, "foundation"))
    if before.get("SourceOrigin") != stacks.ADOPTED:
        return ""
    name = before["SourceTableName"]
    stacks.disconnect_kinesis(session, settings, name)
    table = describe_source(session, name)
    if before.get("StreamSwitchedOn") != "true" or not table.stream_arn:
        return f"The DynamoDB table {name!r} was adopted; it stays as it is."
    readers = stream_readers(session, table.stream_arn)
    if readers:
        return f"The stream of {name!r} stays on, because it is read by: {', '.join(readers)}."
    switch_off_stream(session, name)
    return f"The stream of {name!r}, which adoption had switched on, is off; the table stays."


def refuse_adopted(session: boto3.Session, settings: Settings) -> None:
    """Refuse to write generated traffic into a table that somebody else created.

    Raises:
        SettingsError: The source table was adopted.
    """
    before = stack_parameters(session, stack_state.stack_name(settings, "foundation"))
    if before.get("SourceOrigin") == stacks.ADOPTED:
        msg = (
            f"The DynamoDB table {before['SourceTableName']!r} was adopted, so no traffic is generated in it."
        )
        raise SettingsError(msg, hint="Let its own application write, or practise on a created table.")


def _check_free(settings: Settings, before: dict[str, str]) -> None:
    if before and before.get("SourceOrigin") != stacks.ADOPTED:
        msg = f"{settings.name!r} has created the DynamoDB table {before['SourceTableName']!r} itself."
        raise SettingsError(msg, hint="There is nothing to adopt: go on with wb.deploy_firehose().")


def _rows(session: boto3.Session, table: ExistingTable, stream_done: str) -> list[tuple[str, str, str]]:
    key = ", ".join(f"{name} ({letter})" for name, letter in table.key.items())
    recovers = recovers_to_a_point(session, table.name)
    rows = [
        ("table", f"{table.name}, about {table.items:,} items, key {key}", "left as it is"),
        ("stream", table.view or "none", stream_done),
        ("point-in-time recovery", "on" if recovers else "off; an export needs it", "left as it is"),
    ]
    if table.replicas:
        regions = f"also in {', '.join(table.replicas)}; changes made there arrive, too"
        rows.append(("global table", regions, "left as it is"))
    return rows


def _done(changed: bool) -> str:
    return "deployed" if changed else "up to date"
