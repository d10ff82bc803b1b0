"""ministack's evaluation of IAM policies, also of requests that are answered before they reach ministack.

Evaluated are the policies of users and roles: allow, deny, wildcards and conditions, as far as ministack can.
Not evaluated are signatures, resource and trust policies, and what a service does in its own name, such
as Firehose, or in the caller's, such as CloudFormation. Where a request does not name its resource, as a page
of a stream does not, only the action is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, unquote
from uuid import uuid4

from local_aws.wire import ACCOUNT, AwsError, IcebergError, Request, Response

_BUCKET = re.compile(r"(arn:[^:]+:s3tables:[^:]*:\d*:bucket/[^/?]+)(?:/(?:namespaces/)?([^/]+))?(?:/(.+))?")
_SIGNED = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/aws4_request")
# What a statement does to the tables of its catalog, by its first word; Athena does it in the caller's name.
_READS = ("s3tables:GetTableData", "s3tables:GetTableMetadataLocation")
_WRITES = (*_READS, "s3tables:PutTableData", "s3tables:UpdateTableMetadataLocation")
_STATEMENTS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("SELECT", "WITH", "VALUES", "TABLE", "SHOW", "DESCRIBE", "EXPLAIN", "UNLOAD"), _READS),
    "CREATE": ("s3tables:CreateTable", *_WRITES),
    "DROP": ("s3tables:DeleteTable",),
}


@dataclass(frozen=True)
class Need:
    """An action, its resource (None if the request does not name it), and the request's condition keys."""

    action: str
    resource: str | None = None
    keys: Mapping[str, str] = field(default_factory=dict)


def refusal(request: Request) -> Response | None:
    """The answer to a request whose caller may not make it; the account's own keys may do everything."""
    from ministack.core import iam_evaluator
    from ministack.core.router import extract_access_key_id

    access_key = extract_access_key_id(dict(request.headers), _query(request))
    if iam_evaluator.is_root_access_key(access_key):
        return None
    principal = iam_evaluator.resolve_principal(access_key, ACCOUNT)
    if isinstance(principal, iam_evaluator.AuthError):
        return _answer(request, "", "", principal.code, principal.message)
    for need in needs(request):
        if principal.policies is not None and not _allows(principal, need, _place(request)[0]):
            on = f" on resource: {need.resource}" if need.resource else ""
            message = f"User: {principal.arn} is not authorized to perform: {need.action}{on}"
            return _answer(request, need.action, principal.arn, "", message)
    return None


def _allows(principal: Any, need: Need, region: str) -> bool:
    from ministack.core import iam_evaluator

    policies = principal.policies
    if need.resource is None:
        anywhere: Any = {"resources": ["*"], "not_resources": [], "conditions": {}}
        policies = [
            [replace(each, **anywhere) for each in given if each.effect == "Allow"] for given in policies
        ]
    context = iam_evaluator.EvalContext(
        principal_arn=principal.arn,
        principal_type=principal.type,
        principal_account=principal.account,
        action=need.action,
        resource_arn=need.resource or "*",
        region=region,
        service_context=dict(need.keys),
        principal_keys=principal.keys,
    )
    return bool(iam_evaluator.evaluate(context, policies, *principal.limits).decision == "Allow")


def _answer(request: Request, action: str, principal: str, code: str, message: str) -> Response:
    from ministack.core.iam_actions import access_denied_response

    if request.path.startswith("/iceberg/"):
        return IcebergError(403, "ForbiddenException", message).response()
    status, headers, body = access_denied_response(
        _service(request), action, principal, str(uuid4()),
        error_code=code, message=message, headers=dict(request.headers),
    )  # fmt: skip
    return Response(status, body, {name.lower(): value for name, value in headers.items()})


# What a request needs -----------------------------------------------------------------------------


def needs(request: Request) -> Iterator[Need]:
    """What the policies of a request's caller must allow."""
    from ministack.core.iam_actions import extract_iam_action, extract_resource_arn, s3_additional_checks
    from ministack.services import s3tables

    region, service = _place(request)[0], _service(request)
    headers, query, body = dict(request.headers), _query(request), request.body
    path = request.raw_path or request.path
    if request.path.startswith("/iceberg/"):
        where = request.query.get("warehouse") or request.path
        # ministack takes a table that is called transactions for a commit of several tables.
        path = re.sub(r"(/tables)/transactions$", r"\1/any", path)
        for action, _ in s3tables.iceberg_iam_checks(request.method, path, body, query) or ():
            yield _of_table(action, where)
        return
    if service == "lakeformation":
        yield Need(f"lakeformation:{request.path.strip('/')}")
        return
    action = extract_iam_action(service, request.method, path, headers, body, query)
    if action is None or service == "sts":
        return
    if service == "s3tables":
        yield _of_table(action, request.query.get("tableBucketARN") or unquote(path), request.query)
        return
    if service == "s3" and (data := _of_table_data(request)):
        yield data
        return
    arn = extract_resource_arn(service, request.method, request.path, headers, body, query, region, ACCOUNT)
    if service == "glue" or arn == "*":
        yield Need(action, _named(request))
    else:
        yield Need(action, f"{arn}:*" if service == "logs" else arn)
    if service == "s3":
        for more, target in s3_additional_checks(request.method, request.path, headers, body, query):
            yield Need(more, target)
    if action == "athena:StartQueryExecution":
        yield from _of_statement(request.json(), region)


def _of_table(action: str, where: str, query: Mapping[str, str] | None = None) -> Need:
    """The need of a call of S3 Tables: on the table bucket, or on a table, named by conditions."""
    found = _BUCKET.search(unquote(where))
    if found is None:
        return Need(action)
    bucket, namespace, rest = found.groups()
    query = query or {}
    namespace, name = query.get("namespace", namespace or ""), query.get("name", rest or "")
    keys = {"s3tables:namespace": namespace, "s3tables:tablename": name.removeprefix("tables/").split("/")[0]}
    of_bucket = "Table" not in action.replace("TableBucket", "")
    if of_bucket or action.endswith((":ListTables", ":CreateTable")):
        return Need(action, bucket, keys)
    return Need(action, f"{bucket}/table/any", keys)


def _of_table_data(request: Request) -> Need | None:
    """The need of a call of S3 for a file of a table: AWS knows it as data of S3 Tables."""
    from ministack.services import s3tables

    bucket, _, key = request.path.strip("/").partition("/")
    arn = next((arn for arn in s3tables._table_buckets if arn.endswith(f":bucket/{bucket}")), None)
    if arn is None or not key:
        return None
    namespace, _, rest = key.partition("/")
    action = "s3tables:GetTableData" if request.method in ("GET", "HEAD") else "s3tables:PutTableData"
    return _of_table(action, f"{arn}/{namespace}/{rest.partition('/')[0].rpartition('-')[0]}")


def _of_statement(payload: Mapping[str, Any], region: str) -> Iterator[Need]:
    context = payload.get("QueryExecutionContext") or {}
    catalog, _, bucket = str(context.get("Catalog", "")).partition("/")
    if catalog != "s3tablescatalog":
        return
    namespace = context.get("Database", "")
    yield Need("glue:GetTable", f"arn:aws:glue:{region}:{ACCOUNT}:table/{catalog}/{bucket}/{namespace}/any")
    words = re.findall(r"--[^\n]*|/\*.*?\*/|(\w+)", str(payload.get("QueryString")), re.DOTALL)
    first = next((word for word in words if word), "").upper()
    for action in _STATEMENTS.get(first, _WRITES):
        yield _of_table(action, f"arn:aws:s3tables:{region}:{ACCOUNT}:bucket/{bucket}/{namespace}/any")


def _named(request: Request) -> str | None:
    """The ARN that a request names itself."""
    try:
        payload = request.json() if request.target else {}
    except AwsError:
        return None
    return next((str(payload[name]) for name in ("StreamArn", "ResourceArn") if payload.get(name)), None)


def _place(request: Request) -> tuple[str, str]:
    """The Region and the service that a request is signed for."""
    found = _SIGNED.search(request.headers.get("authorization", ""))
    return (found[2], found[3]) if found else ("us-east-1", "s3")


def _service(request: Request) -> str:
    from ministack.core.router import detect_service

    if _place(request)[1] in ("lakeformation", "s3tables"):
        return _place(request)[1]
    return str(detect_service(request.method, request.path, dict(request.headers), _query(request)))


def _query(request: Request) -> dict[str, list[str]]:
    is_form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    form = parse_qs(request.body.decode("latin-1"), keep_blank_values=True) if is_form else {}
    return form | {name: [value] for name, value in request.query.items()}


def let_functions_call_in_their_roles_name() -> None:
    """Give each function the keys of its role, as ministack does only if it checks every request itself."""
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc, sts

    def execution_credentials(config: Mapping[str, Any]) -> dict[str, str]:
        role, name = config.get("Role", "").rpartition("/")[2], config.get("FunctionName", "function")[:64]
        digest = hashlib.sha256(f"{config.get('FunctionArn')}:{role}".encode()).hexdigest()
        key, secret, token = f"ASIA{digest[:16].upper()}", digest[16:48], digest
        session = {"UserId": f"{role}:{name}", "SecretAccessKey": secret, "SessionToken": token}
        arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{name}"
        sts.register_session(key, {"Arn": arn, **session})
        return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}

    for module in (lambda_runtime, lambda_svc):
        module.execution_credentials = execution_credentials
