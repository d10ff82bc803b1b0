"""Permissions against the calls that are really made: the library's over its whole surface, each Lambda's.

IAM is enforced nowhere here, so calls and policies are compared as data. What services do in someone's name
is no call of ours: those actions stand in tables, each with the page that says so.
"""

from __future__ import annotations

import base64
import gzip
import inspect
import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
import requests
from botocore.client import BaseClient
from botocore.validate import ParamValidator

import dynaberg
from dynaberg import deploy
from dynaberg.contracts.contract import load_contract
from dynaberg.delivery.reentry import row_converter
from dynaberg.deploy import doctor
from dynaberg.deploy.parameters import access_parameters
from dynaberg.deploy.permissions import actions_of, as_list, caller_policy, statements
from dynaberg.deploy.stacks import show_sources
from dynaberg.deploy.template import load_template, resolved_resources
from dynaberg.functions.dead_letters import DeadLetter
from dynaberg.functions.export_files import ExportFile
from dynaberg.functions.handlers import forwarder, redrive, resources, transform
from dynaberg.masks import mask_key
from dynaberg.settings import STREAM_TYPES, Settings
from dynaberg.source.change_stream import read_changes
from dynaberg.workbench.schedule import Schedule
from dynaberg.workbench.table_parts import TableMasks, TableParquet
from local_aws import Status

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).resolve().parents[3]
# The IAM service of a boto3 client, where it is not called the same.
SERVICES = {
    "dynamodbstreams": "dynamodb",
    "resourcegroupstaggingapi": "tag",
    "stepfunctions": "states",
}
# "Service Authorization Reference": operations that are allowed by actions of other names.
ACTIONS = {
    "s3:CopyObject": ("s3:GetObject", "s3:PutObject"),
    "s3:DeleteObjects": ("s3:DeleteObject", "s3:DeleteObjectVersion"),
    "s3:HeadObject": ("s3:GetObject",),
    "s3:ListMultipartUploads": ("s3:ListBucketMultipartUploads",),
    "s3:ListObjectVersions": ("s3:ListBucketVersions",),
    "s3:ListObjectsV2": ("s3:ListBucket",),
    "sqs:ChangeMessageVisibilityBatch": ("sqs:ChangeMessageVisibility",),
    "sqs:DeleteMessageBatch": ("sqs:DeleteMessage",),
    "sqs:SendMessageBatch": ("sqs:SendMessage",),
}
# "Accessing tables using the Amazon S3 Tables Iceberg REST endpoint"; reading and writing files is in it.
_NAMESPACES = r"/iceberg/v1/[^/]+/namespaces"
_TABLES = rf"{_NAMESPACES}/[^/]+/tables"
REST_ACTIONS = {
    ("GET", "/iceberg/v1/config"): ("GetTableBucket",),
    ("GET", _NAMESPACES): ("ListNamespaces",),
    ("GET", _TABLES): ("ListTables",),
    ("POST", _TABLES): ("CreateTable", "PutTableData"),
    ("HEAD", rf"{_TABLES}/[^/]+"): ("GetTable",),
    ("GET", rf"{_TABLES}/[^/]+"): ("GetTableMetadataLocation", "GetTableData"),
    ("POST", rf"{_TABLES}/[^/]+"): ("UpdateTableMetadataLocation", "PutTableData", "GetTableData"),
    ("DELETE", rf"{_TABLES}/[^/]+"): ("DeleteTable",),
}


@dataclass
class Calls:
    """IAM actions of what was called, and what botocore's models had against it."""

    actions: set[str] = field(default_factory=set)
    invalid: list[str] = field(default_factory=list)
    listening: bool = True

    def note(self, client: BaseClient, operation: str, parameters: dict[str, Any]) -> None:
        model = client.meta.service_model
        service = SERVICES.get(model.service_name, model.service_name)
        self.actions |= set(ACTIONS.get(f"{service}:{operation}", [f"{service}:{operation}"]))
        shape = model.operation_model(operation).input_shape
        report = ParamValidator().validate(parameters, shape) if shape is not None else None
        if report is not None and report.has_errors():
            self.invalid.append(f"{service}:{operation}: {report.generate_report()}")

    def note_rest(self, method: str, path: str) -> None:
        found = [
            names for (verb, p), names in REST_ACTIONS.items() if verb == method and re.fullmatch(p, path)
        ]
        assert found, f"{method} {path} is not among the operations of the Iceberg REST endpoint"
        self.actions |= {f"s3tables:{name}" for name in found[0]}

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What the test itself calls is nobody's permission."""
        self.listening = False
        try:
            yield
        finally:
            self.listening = True


@contextmanager
def recorded() -> Iterator[Calls]:
    """Every call of this process, by boto3 or to the Iceberg REST catalog."""
    calls, call, send = Calls(), BaseClient._make_api_call, requests.Session.send

    def noted_call(self: BaseClient, operation: str, parameters: dict[str, Any]) -> Any:
        if calls.listening:
            calls.note(self, operation, parameters)
        return call(self, operation, parameters)

    def noted_send(self: requests.Session, request: requests.PreparedRequest, **options: Any) -> Any:
        path = str(request.path_url).partition("?")[0]
        if calls.listening and path.startswith("/iceberg/"):
            calls.note_rest(str(request.method), path)
        return send(self, request, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", noted_call)
        patch.setattr(requests.Session, "send", noted_send)
        yield calls


# The library ------------------------------------------------------------------------------------


PARTS_OF = {"masks": TableMasks, "parquet": TableParquet, "schedule": Schedule}


class Traced:
    """A workbench or a table that remembers which of its methods were called, and those of its tables."""

    def __init__(self, traced: Any, done: set[str], prefix: str = "") -> None:
        self._traced = traced
        self._prefix = prefix
        self.done = done

    def __getattr__(self, name: str) -> Any:
        self.done.add(f"{self._prefix}{name}")
        found = getattr(self._traced, name)
        if name in PARTS_OF:
            return Traced(found, self.done, f"{name}.")
        if name not in ("table", "iceberg_table"):
            return found
        return lambda *arguments: Traced(found(*arguments), self.done)


def walk(calls: Calls, stream_type: str, folder: Path) -> set[str]:
    """Everything that a workbench can do, once; the names of what was done.

    What knows no stream is done behind DynamoDB Streams only.
    """
    name = f"permitted-{stream_type}"
    names = {"name": name, "table_bucket_name": f"{name}-tables", "bucket_name": name}
    settings = Settings(namespace="permitted", stream_type=stream_type, root=ROOT, protect=True, **names)
    settings = replace(settings, raw_parquet=stream_type == "dynamodb")
    contract = load_contract(ROOT / "data" / "tables" / "transactions.yaml")
    columns = (replace(c, mask="tokenise" if c.name == "customer_id" else c.mask) for c in contract.columns)
    contract = replace(contract, source_table=f"{name}-source", columns=tuple(columns))
    wb: Any = Traced(dynaberg.Workbench(settings, boto3.Session(), contract), set())
    wb.preview()
    wb.enable_cdc()
    wb.integrate_analytics()
    wb.deploy_firehose(buffer_seconds=0)
    # As the deployment of a further source does.
    show_sources(wb.session, replace(settings, source="another"))
    for look in ("stack_drift", "grants", "doctor", "preview"):
        getattr(wb, look)()
    wb.table().queue_depths()
    wb.policy("work")
    doctor(wb.session, replace(settings, target="aws"))
    wb.generate_traffic(200)
    wb.infer_contract(contract.source_table, sample=50, path=folder / f"{stream_type}.yaml")
    wb.infer_contracts(contract.source_table, sample=50, folder=folder / stream_type)
    wb.table().wait_for_delivery()
    wb.prepare("refresh")
    wb.tables()
    wb.table().preview_backfill(), wb.table().backfill(), wb.table().backfill(method="export", sample=5)
    first = int(wb.table().refresh()["snapshot_id"].iloc[0])
    fail(calls, wb)
    wb.table().wait_for_failures(2, timeout=60)
    wb.table().failures(), wb.table().preview_replay(), wb.table().replay_errors(), wb.table().replay_stream()
    second = int(wb.table().refresh()["snapshot_id"].iloc[0])
    wb.table().preview_reconcile(), wb.table().reconcile(sample=50)
    wb.table().repair(wb.table().reconcile(), confirm=name)
    if stream_type == "dynamodb":
        mask(wb), ask(wb, first, second), keep(wb)
        wb.table().parquet.write(), wb.table().parquet.check(), wb.table().parquet.address
        wb.schedule.start("1 day"), wb.schedule.runs(), wb.table().runs(), wb.doctor(), wb.schedule.stop()
    wb.table().freshness()
    wb.enable_cdc()  # with nothing to do
    wb.table().drift_report(), wb.table().evolve([]), wb.table().preview_evolve(rename={"status": "state"})
    leave(calls, wb)
    wb.estimate_cost(1_000), wb.cost_so_far(), wb.list_resources()
    wb._traced._connection.settings = replace(settings, protect=False)
    wb.enable_cdc()
    wb.clean_up(confirm=name, delete_items_of=[contract.source_table])
    return wb.done


def walk_adopted(calls: Calls, stream_type: str) -> set[str]:
    """What is called for a table that existed before."""
    name = f"adopting-{stream_type}"
    names = {"name": name, "table_bucket_name": f"{name}-tables", "bucket_name": name}
    settings = Settings(namespace="adopting", stream_type=stream_type, root=ROOT, **names)
    contract = load_contract(ROOT / "data" / "tables" / "transactions.yaml")
    contract = replace(contract, source_table=f"{name}-source")
    wb: Any = Traced(dynaberg.Workbench(settings, boto3.Session(), contract), set())
    with calls.paused():
        types = contract.key_attribute_types()
        boto3.client("dynamodb").create_table(
            TableName=contract.source_table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in types.items()],
            KeySchema=[
                {"AttributeName": n, "KeyType": k} for n, k in zip(types, ("HASH", "RANGE"), strict=True)
            ],
        )
    wb.adopt()
    with pytest.raises(dynaberg.errors.SettingsError):
        wb.table().remove_source(confirm=contract.source_table)
    wb.clean_up(confirm=name)
    return wb.done


def fail(calls: Calls, wb: Any) -> None:
    """Let a change fail for good, and park one."""
    with calls.paused():
        foundation = deploy.outputs(wb.session, wb.settings, "foundation")
        delivery = deploy.outputs(wb.session, wb.settings, "delivery")
        key = {"transaction_id": {"S": "broken"}, "timestamp": {"N": "1"}}
        wb.session.client("dynamodb").put_item(
            TableName=wb.table().contract.source_table, Item=key | {"amount": {"S": "a lot"}}
        )
        arn = foundation["ChangeStreamArn"]
        change = next(iter(read_changes(wb.session, arn, None, datetime.now(UTC)))).document
        place = wb.session, wb.settings, wb.table().contract
        row = row_converter(wb.table().contract, mask_key(*place))(change | {"eventID": "parked"})
        letter = DeadLetter((row,), "", "").after("redrive", "ServiceUnavailableException", "refused", 8)
        wb.session.client("sqs").send_message(
            QueueUrl=delivery["ParkedQueueUrl"], MessageBody=letter.to_body()
        )


def mask(wb: Any) -> None:
    """All that masks rows and reads what is masked."""
    wb.table().masks.detokenise(wb.query("SELECT customer_id FROM transactions LIMIT 1").df["customer_id"])
    wb.table().masks.preview(), wb.table().masks.apply(confirm="transactions")
    wb.table().masks.preview_rotation(), wb.table().masks.rotate_key(confirm="transactions")


def ask(wb: Any, first: int, second: int) -> None:
    """All that reads."""
    wb.preview_build(), wb.build(), wb.lineage(), wb.lineage_boxes()
    key = wb.query("SELECT transaction_id, timestamp FROM transactions LIMIT 1").df.iloc[0].to_dict()
    for table in (wb.table(), wb.iceberg_table(wb.settings.log_name)):
        table.snapshots(), table.profile_files(), table.profile_partitions(), table.compaction_saving()
        table.profile_columns(), table.current
    wb.table().log.current_snapshot()
    wb.load_reference("merchants")
    wb.table().bookmark("audit", second)
    wb.table().bookmarks()
    wb.table().remove_bookmark("audit")
    wb.table().preview_maintenance(max_age_hours=24)
    wb.table().maintain(target_mb=128, unreferenced_days=4, confirm="transactions")
    wb.table().maintenance()
    wb.table().read_as_of(first)
    wb.table().state_as_of(datetime.now(UTC))
    wb.table().changes_between(first, second)
    wb.table().drift(first, second)
    wb.table().item_history(key)


def keep(wb: Any) -> None:
    """All that keeps a table in shape."""
    wb.table().bookmark("here")
    wb.table().bookmarks()
    wb.table().remove_bookmark("here")
    wb.table().preview_maintenance(max_age_hours=1)
    wb.table().maintain(target_mb=64, unreferenced_days=3, confirm="transactions")
    wb.table().maintenance()


def leave(calls: Calls, wb: Any) -> None:
    """All that lets somebody be forgotten."""
    key = {"transaction_id": "broken", "timestamp": 1}
    with calls.paused():
        rows = [{"change_id": n, "transaction_id": n, "timestamp": 1} for n in ("broken", "whole")]
        letter = DeadLetter(tuple(json.dumps(row).encode() for row in rows), "Refused", "")
        queue = deploy.outputs(wb.session, wb.settings, "delivery")["ParkedQueueUrl"]
        wb.session.client("sqs").send_message(QueueUrl=queue, MessageBody=letter.to_body())
        wb.session.client("dynamodb").delete_item(
            TableName=wb.table().contract.source_table,
            Key={"transaction_id": {"S": "broken"}, "timestamp": {"N": "1"}},
        )
    wb.table().preview_forget(key)
    wb.table().forget(key, confirm="broken/1")
    wb.table().forgotten()
    wb.table().preview_retention(days=1)
    wb.table().apply_retention(days=1, confirm="transactions")


@pytest.fixture(scope="module")
def library(local_aws: Status, tmp_path_factory: pytest.TempPathFactory) -> tuple[Calls, set[str]]:
    """The calls of both walks, and the methods that were called."""
    # Other tests may have made Glue's catalog, which is made only where it is absent.
    (local_aws.state_dir / "glue" / "catalogs.json").unlink(missing_ok=True)
    with recorded() as calls:
        folder = tmp_path_factory.mktemp("contracts")
        done = set.union(*(walk(calls, stream_type, folder) for stream_type in STREAM_TYPES))
        for stream_type in STREAM_TYPES:
            done |= walk_adopted(calls, stream_type)
    return calls, done


def test_every_public_method_was_called(library: tuple[Calls, set[str]]) -> None:
    """A new method of the workbench is to be called in `walk`, so that what it needs is known."""
    native = {"name", "catalog", "client", "data_path", "stop"}
    classes = (dynaberg.Workbench, dynaberg.Table, dynaberg.IcebergTable)
    members = {name for each in classes for name, _ in inspect.getmembers(each)}
    members |= {f"{part}.{name}" for part, each in PARTS_OF.items() for name in vars(each)}
    public = {name for name in members if not name.rpartition(".")[2].startswith("_")}
    assert public - library[1] == native - library[1]


# The rooms and files behind `mask`, `ask`, `keep` and the schedule.
WITHOUT_A_STREAM = (
    *("curated", "functions/schedule", "layers", "masks", "past", "profile", "schedule"),
    *("upkeep/mask_rotation.py", "upkeep/masked_rows.py", "upkeep/maintenance.py"),
    *("workbench/iceberg_table.py", "workbench/table_parts.py", "workbench/schedule.py"),
)


def test_what_is_walked_once_knows_no_stream() -> None:
    """What takes a stream, or asks which one there is, belongs into both walks."""
    library = ROOT / "lib" / "dynaberg"
    for place in WITHOUT_A_STREAM:
        paths = [library / place] if place.endswith(".py") else list((library / place).rglob("*.py"))
        assert paths
        for path in paths:
            assert not re.search(r"stream_type|change_stream|read_changes|StreamType", path.read_text()), path


def test_every_call_fits_botocores_models(library: tuple[Calls, set[str]]) -> None:
    assert library[0].invalid == []


# Made when something went wrong before, so not in a walk: by which method of a client.
AFTER_AN_ACCIDENT = {
    "athena:StopQueryExecution": "pyathena",
    "glue:BatchDeleteTable": "batch_delete_table",
    "cloudformation:ContinueUpdateRollback": "continue_update_rollback",
    "cloudformation:DescribeEvents": "describe_events",
    "dynamodb:ListTables": "list_tables",
    "kinesis:DeleteStream": "delete_stream",
    "logs:FilterLogEvents": "filter_log_events",
    "s3:DeleteBucket": "delete_bucket",
    "s3tables:DeleteTableBucket": "delete_table_bucket",
}
# Made on AWS only.
ON_AWS = {
    "lakeformation:RegisterResource": "register_resource",
}
# What a service does in the caller's name, and the page that says so.
IN_THE_CALLERS_NAME = {
    "Access to Amazon S3 (Athena)": {
        *("s3:AbortMultipartUpload", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"),
        "s3:ListMultipartUploadParts",
    },
    "Access control for S3 Tables in AWS Glue Data Catalog": {
        *("glue:CreateTable", "glue:GetDatabase", "glue:GetDatabases", "glue:GetTable", "glue:GetTables"),
        *("glue:UpdateTable", "s3tables:GetNamespace", "s3tables:GetTable"),
    },
    "Integrating Amazon S3 Tables with AWS analytics services": {"glue:PassConnection"},
    "Requesting a table export in DynamoDB": {"s3:AbortMultipartUpload", "s3:PutObject", "s3:PutObjectAcl"},
    "Registering an Amazon S3 location (Lake Formation)": {"iam:PassRole"},
    "Underlying data access control (Lake Formation)": {"lakeformation:GetDataAccess"},
    "Using server-side encryption with AWS KMS keys": {"kms:Decrypt", "kms:GenerateDataKey"},
}


def test_the_callers_policy_is_what_is_called(library: tuple[Calls, set[str]]) -> None:
    settings = Settings(kms_key_arn="arn:aws:kms:eu-central-1:111122223333:key/1")
    contract = load_contract(ROOT / "data" / "tables" / "transactions.yaml")
    policy = caller_policy("work", settings, contract, account="111122223333", region="eu-central-1")
    known = (
        library[0].actions | set(AFTER_AN_ACCIDENT) | set(ON_AWS) | set.union(*IN_THE_CALLERS_NAME.values())
    )
    show("caller", set(actions_of(policy)), known)


def test_what_only_an_accident_calls_is_in_the_source() -> None:
    source = "".join(path.read_text() for path in (ROOT / "lib" / "dynaberg").rglob("*.py"))
    for method in {**AFTER_AN_ACCIDENT, **ON_AWS}.values():
        assert method in source


def show(who: str, allowed: set[str], called: set[str]) -> None:
    """Print the difference, which must be empty."""
    missing, unused = sorted(called - allowed), sorted(allowed - called)
    print(f"{who}: called and not allowed {missing}, allowed and not called {unused}")
    assert (missing, unused) == ([], [])


# The functions ----------------------------------------------------------------------------------

# What the services around a function do in its role's name, and the page that says so.
BY_LAMBDA = {
    "Defining Lambda function permissions with an execution role": {
        *("logs:CreateLogStream", "logs:PutLogEvents"),
    },
    "Using server-side encryption with AWS KMS keys": {"kms:Decrypt", "kms:GenerateDataKey"},
}
BY_THE_STREAM = {
    "Using AWS Lambda with Amazon DynamoDB": {
        *("dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"),
        "dynamodb:ListStreams",
    },
    "Capturing records of invocations (S3 as a destination)": {"s3:ListBucket"},
}
BY_THE_QUEUE = {
    "Using Lambda with Amazon SQS": {
        *("sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"),
    },
    # Without it an object that was archived meanwhile is "AccessDenied" to S3, and not "NoSuchKey".
    "GetObject (Amazon S3 API Reference)": {"s3:ListBucket"},
}
FIREHOSE = {
    "Grant Firehose access to an Apache Iceberg Tables destination": {
        *("glue:GetDatabase", "glue:GetTable", "glue:UpdateTable", "lakeformation:GetDataAccess"),
        *("s3:AbortMultipartUpload", "s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket"),
        *("s3:ListBucketMultipartUploads", "s3:PutObject", "kinesis:DescribeStream", "kinesis:GetRecords"),
        *("kinesis:GetShardIterator", "kinesis:ListShards", "lambda:GetFunctionConfiguration"),
        *("lambda:InvokeFunction", "logs:PutLogEvents", "kms:Decrypt", "kms:GenerateDataKey"),
    },
    "Access control for S3 Tables in AWS Glue Data Catalog": {
        *("glue:GetCatalog", "s3tables:GetNamespace", "s3tables:GetTable", "s3tables:GetTableBucket"),
        *("s3tables:GetTableData", "s3tables:GetTableMetadataLocation", "s3tables:PutTableData"),
        "s3tables:UpdateTableMetadataLocation",
    },
}


def allowed_to(principal: str) -> set[str]:
    """The actions of a role, in either access mode."""
    settings = Settings(stream_type="kinesis", kms_key_arn="arn:aws:kms:eu-central-1:111122223333:key/1")
    foundation = dict.fromkeys(
        (
            *("DynamoDbStreamArn", "KinesisStreamName", "TableBucketArn", "TableBucketName", "Namespace"),
            *("ErrorBucketName", "ResultsBucketName", "WorkGroupName"),
        ),
        "arn:aws:s3:::x-errors-1",
    )
    template = load_template(deploy.TEMPLATES / "access.yaml")
    found: set[str] = set()
    for mode in ("iam", "lakeformation"):
        there = replace(settings, target="aws", access_mode=mode)
        given = access_parameters(there, foundation, {}, mask_key="1")
        pseudo = {"AWS::AccountId": "1", "AWS::Region": "r", "AWS::Partition": "aws"}
        role = resolved_resources(template, given | pseudo)[principal]
        found |= {action for s in statements(role) for action in as_list(s["Action"])}
    return found


@pytest.fixture(scope="module")
def pipeline(make_pipeline: Callable[..., Any]) -> Any:
    return make_pipeline("roles")


@pytest.fixture
def function(
    pipeline: Any, local_aws: Status, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Callable[..., Calls]]:
    """Runs a function's handler here, in the environment that it is deployed with."""
    (tmp_path / "contract.json").write_text(pipeline.contract.to_lambda_json())
    monkeypatch.setattr(resources, "CONTRACT_FILE", tmp_path / "contract.json")
    resources.router.cache_clear(), resources.client.cache_clear()
    outputs = deploy.outputs(pipeline.session, pipeline.settings, "delivery")
    for name in ("ForwarderName", "RedriveName"):
        configuration = pipeline.session.client("lambda").get_function_configuration(
            FunctionName=outputs[name]
        )
        for key, value in configuration["Environment"]["Variables"].items():
            monkeypatch.setenv(key, value)
    context = SimpleNamespace(
        invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:f",
        get_remaining_time_in_millis=lambda: 1,
    )

    def run(handler: Any, *events: dict[str, Any], refused: bool = False) -> set[str]:
        rules = [{"service": "firehose", "kind": "throttle"}] if refused else []
        put_faults(local_aws, rules)
        with recorded() as calls:
            for event in events:
                handler(event, context)
        return calls.actions

    yield run
    put_faults(local_aws, [])
    resources.router.cache_clear(), resources.client.cache_clear()


def put_faults(local_aws: Status, rules: list[dict[str, Any]]) -> None:
    body = json.dumps(rules).encode()
    url = f"{local_aws.endpoint}/_local_aws/faults"
    urllib.request.urlopen(urllib.request.Request(url, body, method="PUT")).close()


def record(item_id: str, **attributes: Any) -> dict[str, Any]:
    """A change record, as DynamoDB Streams hand it over."""
    keys = {"id": {"S": item_id}, "at": {"N": "1"}}
    image = {"Keys": keys, "NewImage": keys | attributes, "SequenceNumber": "1"}
    image |= {"ApproximateCreationDateTime": 1_764_000_000, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    arn = "arn:aws:dynamodb:us-east-1:000000000000:table/roles-source/stream/2026-01-31T00:00:00.000"
    return {
        "eventID": f"event-{item_id}",
        "eventName": "INSERT",
        "eventSourceARN": arn,
        "tableName": "roles-source",
        "dynamodb": image,
    }


BROKEN = {"amount": {"S": "a lot"}}
LARGE = {"status": {"S": "x" * 900_000}}


def test_the_forwarders_role_is_what_it_calls(function: Callable[..., set[str]], pipeline: Any) -> None:
    delivered = function(forwarder.handler, {"Records": [record("a"), record("b", **BROKEN)]})
    refused = function(forwarder.handler, {"Records": [record("c"), record("d", **LARGE)]}, refused=True)
    carried_on = function(forwarder.handler, file_of_an_export(pipeline))
    known = set.union(*BY_LAMBDA.values(), *BY_THE_STREAM.values(), *BY_THE_QUEUE.values())
    show("forwarder", allowed_to("ForwarderRole"), delivered | refused | carried_on | known)


def file_of_an_export(pipeline: Any) -> dict[str, Any]:
    """A data file that one invocation does not finish, as SQS hands it over."""
    bucket = deploy.outputs(pipeline.session, pipeline.settings, "foundation")["ErrorBucketName"]
    item = {"Item": {"id": {"S": "exported"}, "at": {"N": "1"}}}
    body = gzip.compress(json.dumps(item).encode())
    pipeline.session.client("s3").put_object(Bucket=bucket, Key="backfills/exports/x.json.gz", Body=body)
    file = ExportFile(
        *(bucket, "backfills/exports/x.json.gz", "", 1, "backfills/progress/x.json"),
        *(pipeline.contract.source_table, ("id", "at"), 1_764_000_000),
    )
    return {"Records": [{"eventSource": "aws:sqs", "messageId": "m", "body": file.to_body()}]}


def test_the_redrives_role_is_what_it_calls(function: Callable[..., set[str]], pipeline: Any) -> None:
    rows = (b'{"change_id":"redriven"}',)
    bucket = deploy.outputs(pipeline.session, pipeline.settings, "foundation")["ErrorBucketName"]
    key = "errors/undelivered/2026/01/31/12/x.jsonl"
    line = json.dumps({"rawData": base64.b64encode(rows[0]).decode()})
    pipeline.session.client("s3").put_object(Bucket=bucket, Key=key, Body=line.encode())
    inline = DeadLetter(rows, "Refused", "")
    pointed = DeadLetter((), "Refused", "", pointer=key)
    delivered = function(redrive.handler, letters(inline, pointed))
    refused = function(redrive.handler, letters(inline), letters(inline, receives=99), refused=True)
    known = set.union(*BY_LAMBDA.values(), *BY_THE_QUEUE.values())
    show("redrive", allowed_to("RedriveRole"), delivered | refused | known)


def letters(*bodies: DeadLetter, receives: int = 1) -> dict[str, Any]:
    """Dead letters, as SQS hands them over."""
    attributes = {"ApproximateReceiveCount": str(receives)}
    return {
        "Records": [
            {"messageId": "m", "receiptHandle": "r", "body": body.to_body(), "attributes": attributes}
            for body in bodies
        ]
    }


def test_the_transforms_role_is_what_it_calls(function: Callable[..., set[str]]) -> None:
    data = [base64.b64encode(json.dumps(r).encode()).decode() for r in (record("a"), record("b", **BROKEN))]
    called = function(transform.handler, {"records": [{"recordId": d[:9], "data": d} for d in data]})
    known = set.union(*BY_LAMBDA.values())
    show("transform", allowed_to("TransformRole"), called | known)


def test_firehoses_role_is_what_its_guide_asks_for() -> None:
    show("Firehose", allowed_to("FirehoseRole"), set.union(*FIREHOSE.values()))
