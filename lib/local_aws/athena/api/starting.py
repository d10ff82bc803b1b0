"""`StartQueryExecution`: what must hold before a query runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from local_aws.athena.api import prepared
from local_aws.athena.dialect import QueryError, StatementError, kind_of, read
from local_aws.athena.statements import Execution, invalid
from local_aws.wire import Upstream

Payload = Mapping[str, Any]

LONGEST_QUERY_BYTES = 262_144
NO_OUTPUT = (
    "No output location provided. An output location is required either through the Workgroup result "
    "configuration setting or as an API input."
)
WITHOUT_FILE = ("INSERT", "UPDATE", "DELETE", "MERGE", "CREATE_TABLE_AS_SELECT", "UNLOAD")


class Output(NamedTuple):
    """Where results go, and how they are encrypted."""

    address: str
    encryption: str


async def new_execution(upstream: Upstream, payload: Payload) -> Execution:
    """The execution that a request asks for."""
    query = payload.get("QueryString") or ""
    if not 1 <= len(query.encode()) <= LONGEST_QUERY_BYTES:
        raise invalid(f"QueryString must have between 1 and {LONGEST_QUERY_BYTES} bytes")
    workgroup = payload.get("WorkGroup") or "primary"
    context = payload.get("QueryExecutionContext") or {}
    parameters = tuple(payload.get("ExecutionParameters") or ())
    resolved = await prepared.resolve(upstream, workgroup, query, parameters)
    output = await output_of(upstream, workgroup, payload.get("ResultConfiguration") or {})
    execution = Execution(
        query=query,
        parameters=parameters,
        catalog=context.get("Catalog") or "awsdatacatalog",
        database=context.get("Database") or "",
        workgroup=workgroup,
        output=output.address,
        statement=resolved.query,
        values=resolved.parameters,
        token=payload.get("ClientRequestToken") or "",
        encryption=output.encryption,
    )
    classify(execution)
    return execution


async def output_of(upstream: Upstream, workgroup: str, asked: Payload) -> Output:
    """Where results go: to the workgroup's place where it is enforced or nothing else is asked for."""
    answer = await upstream.operation("AmazonAthena.GetWorkGroup", {"WorkGroup": workgroup})
    group = answer["WorkGroup"]
    if group.get("State") == "DISABLED":
        raise invalid(f"WorkGroup {workgroup} is disabled.")
    settings = group.get("Configuration") or {}
    own = settings.get("ResultConfiguration") or {}
    own_address = own.get("OutputLocation")
    enforced = settings.get("EnforceWorkGroupConfiguration", bool(own_address))
    chosen = own if own_address and (enforced or not asked.get("OutputLocation")) else asked
    address = chosen.get("OutputLocation")
    if not address:
        raise invalid(NO_OUTPUT)
    if not re.match(r"s3://[^/]+", address):
        raise invalid(f"outputLocation is not a valid S3 path: {address}")
    encryption = (chosen.get("EncryptionConfiguration") or {}).get("EncryptionOption", "")
    return Output(address if address.endswith("/") else f"{address}/", encryption)


def classify(execution: Execution) -> None:
    """Sets the kind of a statement; what Athena's parser refuses fails here already."""
    try:
        kind = kind_of(execution.statement)
        execution.statement_type, execution.substatement_type = kind.type, kind.name
        if kind.is_query:
            execution.tree = read(execution.statement, execution.values)
    except StatementError as problem:
        raise invalid(problem.message, "MALFORMED_QUERY") from problem
    except QueryError:
        pass
    if execution.substatement_type in WITHOUT_FILE:
        execution.suffix = ""
    elif execution.statement_type != "DML":
        execution.suffix = ".txt"


def repeated(known: Execution, payload: Payload) -> Payload:
    """The answer to a request sent twice under one token."""
    if known.query != payload.get("QueryString"):
        raise invalid("Idempotent parameters do not match")
    return {"QueryExecutionId": known.id}
