"""PREPARE, EXECUTE … USING and DEALLOCATE: statements kept in the workgroup, by ministack."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local_aws.athena.dialect import StatementError, outside, without_comments
from local_aws.athena.statements import invalid
from local_aws.wire import AwsError, Upstream

PREPARE = re.compile(r"PREPARE\s+(\w+)\s+FROM\s+(.*)", re.IGNORECASE | re.DOTALL)
EXECUTE = re.compile(r"EXECUTE\s+(\w+)(?:\s+USING\s+(.*))?", re.IGNORECASE | re.DOTALL)
EXECUTE_IMMEDIATE = re.compile(
    r"EXECUTE\s+IMMEDIATE\s+'((?:[^']|'')*)'(?:\s+USING\s+(.*))?", re.IGNORECASE | re.DOTALL
)
DEALLOCATE = re.compile(r"DEALLOCATE\s+PREPARE\s+(\w+)", re.IGNORECASE)


@dataclass(frozen=True)
class Resolved:
    """A statement to run, and its parameters."""

    query: str
    parameters: tuple[str, ...]


async def resolve(upstream: Upstream, workgroup: str, sql: str, parameters: tuple[str, ...]) -> Resolved:
    """The statement that EXECUTE names; any other as it is.

    Args:
        upstream: ministack.
        workgroup: Where prepared statements are looked up.
        sql: The statement as it was sent.
        parameters: `ExecutionParameters`.

    Raises:
        AwsError: InvalidRequestException, where there is no such prepared statement.
    """
    text = without_comments(sql)
    if found := EXECUTE_IMMEDIATE.fullmatch(text):
        return Resolved(found[1].replace("''", "'"), using(found[2], parameters))
    found = EXECUTE.fullmatch(text)
    if found is None:
        return Resolved(sql, parameters)
    asked = {"StatementName": found[1], "WorkGroup": workgroup}
    try:
        answer = await upstream.operation("AmazonAthena.GetPreparedStatement", asked)
    except AwsError as error:
        raise invalid(f"PreparedStatement {found[1]} was not found in workGroup {workgroup}") from error
    return Resolved(answer["PreparedStatement"]["QueryStatement"], using(found[2], parameters))


def using(text: str | None, parameters: tuple[str, ...]) -> tuple[str, ...]:
    """The values behind USING, or `ExecutionParameters` where there are none."""
    return tuple(part.strip() for part in outside(text)) if text else parameters


async def keep_or_drop(upstream: Upstream, workgroup: str, sql: str) -> None:
    """Runs PREPARE or DEALLOCATE."""
    text = without_comments(sql)
    if found := PREPARE.fullmatch(text):
        await forget(upstream, {"StatementName": found[1], "WorkGroup": workgroup})
        kept: Mapping[str, Any] = {
            "StatementName": found[1],
            "WorkGroup": workgroup,
            "QueryStatement": found[2],
        }
        await upstream.operation("AmazonAthena.CreatePreparedStatement", kept)
    elif found := DEALLOCATE.fullmatch(text):
        await upstream.operation(
            "AmazonAthena.DeletePreparedStatement", {"StatementName": found[1], "WorkGroup": workgroup}
        )
    else:
        raise StatementError(f"mismatched input '{text[:40]}'")


async def forget(upstream: Upstream, asked: Mapping[str, Any]) -> None:
    """Deletes a prepared statement that PREPARE replaces."""
    try:
        await upstream.operation("AmazonAthena.DeletePreparedStatement", asked)
    except AwsError:
        return
