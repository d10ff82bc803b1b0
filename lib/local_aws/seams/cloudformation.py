"""Checks that ministack's CloudFormation leaves out, put in front of its resource handlers.

On AWS a stack fails where a name is taken, where code or a namespace is missing and where a bucket that
it deletes is not empty; ministack reports success. CloudFormation works inside ministack and never passes
the gateway, so its table of handlers is the only place.
"""

from __future__ import annotations

import asyncio
import copy
import functools
from collections.abc import Callable, Mapping
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import yaml

from local_aws.seams.dynamodb import set_kinesis_destination
from local_aws.wire import AtRest, Request

Properties = Mapping[str, Any]
CreateCheck = Callable[[Properties], None]
DeleteCheck = Callable[[str, Properties], None]
Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


class CloudFormationGaps(AtRest):
    """Sees the first CloudFormation call coming and installs the checks (a `Service`).

    Not at the start: it makes ministack load all its services, which takes two seconds.

    Args:
        around_tables: What goes around the handlers of S3 Tables' tables: `create`, `update`, `delete`.
    """

    def __init__(self, around_tables: Mapping[str, Wrap]) -> None:
        self._around_tables = around_tables
        self._installing = asyncio.Lock()
        self._installed = False

    def claims(self, method: str, path: str, target: str) -> bool:
        """Whether this may be a CloudFormation call: those of the query protocol have no target."""
        return not self._installed and method == "POST" and path == "/" and not target

    async def handle(self, request: Request) -> None:
        """Install the checks before the first call; ministack answers it."""
        if "/cloudformation/aws4_request" in request.headers.get("authorization", ""):
            async with self._installing:
                if not self._installed:
                    await asyncio.to_thread(install, self._around_tables)
                    self._installed = True

    async def stop(self) -> None:
        """Let no stack wait for the answer of a custom resource: a stop waits for the threads that do."""
        from ministack.services.cloudformation import custom_resource

        custom_resource.register_token = lambda _: SimpleNamespace(wait=lambda timeout: False)
        for waiting in list(custom_resource._pending.values()):
            waiting["event"].set()


def install(around_tables: Mapping[str, Wrap]) -> None:
    """Put the checks in front of the handlers; once per process."""
    from ministack.services.cloudformation import provisioners

    handlers = provisioners._RESOURCE_HANDLERS
    for kind, check in BEFORE_CREATE.items():
        handlers[kind]["create"] = checked_create(check, handlers[kind]["create"])
    for kind, (before, after) in AROUND_DELETE.items():
        handlers[kind]["delete"] = checked_delete(before, handlers[kind]["delete"], after)
    table = handlers["AWS::S3Tables::Table"]
    table |= {name: around_tables[name](table[name]) for name in around_tables}
    honor_settings_of_tables()
    refuse_aliases()
    parse_a_template_once()
    save_stacks_as_they_are()


def parse_a_template_once() -> None:
    """Keep what texts of templates hold: a change set parses one, and stacks of many names have the same."""
    parse: Callable[[str], Any] = import_module("ministack.services.cloudformation.engine")._parse_template
    parsed = functools.lru_cache(32)(parse)
    for name in ("engine", "changesets", "handlers"):
        module: Any = import_module(f"ministack.services.cloudformation.{name}")
        module._parse_template = lambda body: copy.deepcopy(parsed(body))


def save_stacks_as_they_are() -> None:
    """Write the stacks without a copy of all of them, between two requests."""
    from ministack.services import cloudformation

    stores = cloudformation._PERSISTED_STORES
    cloudformation.get_state = lambda: {key: store() for store, key in stores}


def refuse_aliases() -> None:
    """Refuse YAML's aliases, as CloudFormation does: a few lines of them can become billions of values."""
    from ministack.services.cloudformation import engine

    compose = engine.CfnLoader.compose_node

    def compose_node(loader: Any, parent: Any, index: Any) -> Any:
        if loader.check_event(yaml.AliasEvent):
            msg = "YAML aliases are not allowed in CloudFormation templates"
            raise yaml.MarkedYAMLError(problem=msg, problem_mark=loader.peek_event().start_mark)
        return compose(loader, parent, index)

    engine.CfnLoader.compose_node = compose_node


def honor_settings_of_tables() -> None:
    """Let a table of a template have its Kinesis stream and point-in-time recovery; ministack ignores them.

    Loads ministack's CloudFormation, so not at the start.
    """
    from ministack.services import dynamodb
    from ministack.services.cloudformation import provisioners

    def settle(name: str, properties: Mapping[str, Any]) -> None:
        set_kinesis_destination(name, properties.get("KinesisStreamSpecification"))
        recovery = properties.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled")
        dynamodb._pitr_settings[name] = str(recovery).lower() == "true"

    handlers = provisioners._RESOURCE_HANDLERS["AWS::DynamoDB::Table"]
    create, update = handlers["create"], handlers["update"]

    def created(logical_id: str, properties: Mapping[str, Any], stack_name: str) -> Any:
        name, attributes = create(logical_id, properties, stack_name)
        settle(name, properties)
        return name, attributes

    def updated(
        physical_id: str, old: Mapping[str, Any], new: Mapping[str, Any], *rest: Any, **named: Any
    ) -> Any:
        name, attributes = update(physical_id, old, new, *rest, **named)
        settle(name, new)
        return name, attributes

    handlers["create"], handlers["update"] = created, updated


def checked_create(check: CreateCheck, create: Callable[..., Any]) -> Callable[..., Any]:
    """A create handler that checks the properties first."""

    @functools.wraps(create)
    def checked(logical_id: str, properties: Properties, stack_name: str) -> Any:
        check(properties)
        return create(logical_id, properties, stack_name)

    return checked


def checked_delete(before: DeleteCheck, delete: Callable[..., Any], after: DeleteCheck) -> Callable[..., Any]:
    """A delete handler with something before and after it."""

    @functools.wraps(delete)
    def checked(physical_id: str, properties: Properties) -> None:
        before(physical_id, properties)
        delete(physical_id, properties)
        after(physical_id, properties)

    return checked


def free_name(kind: str, member: str, service: str, held: str) -> CreateCheck:
    """A check that a name is free: that a service of ministack does not hold it in one of its parts."""

    def refuse_existing(properties: Properties) -> None:
        name = properties.get(member)
        if name in getattr(import_module(f"ministack.services.{service}"), held):
            raise already_exists(kind, name)

    return refuse_existing


def refuse_existing_namespace(properties: Properties) -> None:
    """A namespace's table bucket must exist, its name be free."""
    from ministack.services import s3tables

    bucket, name = properties.get("TableBucketARN", ""), properties.get("Namespace", "")
    if s3tables._find_bucket_by_arn(bucket) is None:
        raise not_found("AWS::S3Tables::TableBucket", bucket)
    if s3tables._ns_key(bucket, name) in s3tables._namespaces:
        raise already_exists("AWS::S3Tables::Namespace", f"{bucket}|{name}")


def refuse_missing_namespace(properties: Properties) -> None:
    """A table's namespace must exist."""
    from ministack.services import s3tables

    bucket, namespace = properties.get("TableBucketARN", ""), properties.get("Namespace", "")
    if s3tables._ns_key(bucket, namespace) not in s3tables._namespaces:
        raise not_found("AWS::S3Tables::Namespace", f"{bucket}|{namespace}")


def refuse_missing_code(properties: Properties) -> None:
    """A function's name must be free, and its code in S3."""
    from ministack.services import lambda_svc, s3

    name, code = properties.get("FunctionName"), properties.get("Code", {})
    if name in lambda_svc._functions:
        raise already_exists("AWS::Lambda::Function", name)
    bucket, key = code.get("S3Bucket"), code.get("S3Key")
    if not bucket:
        return
    held = s3._buckets.get(bucket)
    problem = "NoSuchBucket" if held is None else "NoSuchKey" if key not in held["objects"] else None
    if problem:
        msg = (
            f"Error occurred while GetObject. S3 Error Code: {problem}. S3 Error Message: s3://{bucket}/{key}"
        )
        raise ValueError(msg)


def refuse_filled_table_bucket(physical_id: str, properties: Properties) -> None:
    """A table bucket must have no namespaces when it is deleted."""
    from ministack.services import s3tables

    if any(namespace["tableBucketARN"] == physical_id for namespace in s3tables._namespaces.values()):
        msg = "The bucket that you tried to delete is not empty."
        raise ValueError(msg)


def refuse_filled_namespace(physical_id: str, properties: Properties) -> None:
    """A namespace must have no tables when it is deleted."""
    from ministack.services import s3tables

    bucket, name = properties.get("TableBucketARN", ""), properties.get("Namespace", "")
    if any(key.startswith(f"{s3tables._ns_key(bucket, name)}\x00") for key in s3tables._tables):
        msg = "The namespace that you tried to delete is not empty."
        raise ValueError(msg)


def refuse_filled_bucket(physical_id: str, properties: Properties) -> None:
    """An S3 bucket must have no objects when it is deleted."""
    from ministack.services import s3

    bucket = s3._buckets.get(physical_id)
    if bucket and bucket["objects"]:
        msg = f"The bucket you tried to delete is not empty: {physical_id}."
        raise ValueError(msg)


def forget_files_of_bucket(physical_id: str, properties: Properties) -> None:
    """Delete a bucket's folder, from which it would be back after the next start."""
    from ministack.services import s3

    s3._delete_persisted_bucket(physical_id.rpartition("/")[2])


def nothing(physical_id: str, properties: Properties) -> None:
    """No check."""


def already_exists(kind: str, identifier: object) -> ValueError:
    """CloudFormation's words for a name that is taken."""
    return ValueError(f"Resource of type '{kind}' with identifier '{identifier}' already exists.")


def not_found(kind: str, identifier: object) -> ValueError:
    """CloudFormation's words for what is not there."""
    return ValueError(f"Resource of type '{kind}' with identifier '{identifier}' was not found.")


BEFORE_CREATE: dict[str, CreateCheck] = {
    "AWS::DynamoDB::Table": free_name("AWS::DynamoDB::Table", "TableName", "dynamodb", "_tables"),
    "AWS::Kinesis::Stream": free_name("AWS::Kinesis::Stream", "Name", "kinesis", "_streams"),
    "AWS::Lambda::Function": refuse_missing_code,
    "AWS::S3Tables::Namespace": refuse_existing_namespace,
    "AWS::S3Tables::Table": refuse_missing_namespace,
    "AWS::S3Tables::TableBucket": free_name(
        "AWS::S3Tables::TableBucket", "TableBucketName", "s3tables", "_table_buckets"
    ),
}
AROUND_DELETE: dict[str, tuple[DeleteCheck, DeleteCheck]] = {
    "AWS::S3::Bucket": (refuse_filled_bucket, forget_files_of_bucket),
    "AWS::S3Tables::Namespace": (refuse_filled_namespace, nothing),
    "AWS::S3Tables::TableBucket": (refuse_filled_table_bucket, forget_files_of_bucket),
}
