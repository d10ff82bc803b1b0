"""The doctor: every precondition, met or not, each with its fix. It changes nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pandas as pd
from botocore.exceptions import BotoCoreError, ClientError

from dynaberg import aws, catalog, local
from dynaberg.contracts import project_contract, read_project
from dynaberg.deploy import account_checks, stack_state, stacks
from dynaberg.deploy.stack_state import stack_parameters
from dynaberg.deploy.template import STREAM_OUTPUT
from dynaberg.errors import DynabergError
from dynaberg.settings import CONTEXT_FILE, Settings

if TYPE_CHECKING:
    from packaging.requirements import Requirement

COLUMNS = ["check", "ok", "found", "fix"]
MINIMUM_BYTES = 2 * 2**30
MOST_METADATA_BYTES = 5_000_000
"""Far below AWS Glue's limit of 20 MB: every commit and every reader handles the whole file."""
VENV = ".venv"
_LIST = """
import importlib.metadata, json
print(json.dumps({each.metadata["Name"]: each.version for each in importlib.metadata.distributions()}))
"""
_AGAIN = "wb.enable_cdc() restores it."
Check = Callable[[boto3.Session, Settings], tuple[bool, str, str]]


def doctor(session: boto3.Session, settings: Settings) -> pd.DataFrame:
    """Check every precondition of the workbench, each with its fix.

    Args:
        session: An open session.
        settings: What the workbench is set to.

    Returns:
        One row per check: check, ok, found, fix (empty if there is nothing to do).

    Example:
        >>> report = doctor(session, settings)
        >>> report[~report["ok"]]
    """
    checks = {**_EVERYWHERE, **(_LOCALLY if settings.target == "local" else _ON_AWS), **_DEPLOYED}
    rows = [_row(name, check, session, settings) for name, check in checks.items()]
    for place in _further_sources(session, settings):
        rows += [_row(f"{place.source}: {name}", _DEPLOYED[name], session, place) for name in _OF_A_SOURCE]
    return pd.DataFrame(rows, columns=COLUMNS)


def _further_sources(session: boto3.Session, settings: Settings) -> list[Settings]:
    try:
        return stack_state.sources(session, settings)[1:]
    except (BotoCoreError, ClientError):
        # The checks before say what is wrong with the account.
        return []


def _row(name: str, check: Check, session: boto3.Session, settings: Settings) -> tuple[str, bool, str, str]:
    try:
        ok, found, fix = check(session, settings)
    except DynabergError as error:
        ok, found, fix = False, error.message, error.hint
    except (BotoCoreError, ClientError) as error:
        ok, found, fix = False, str(error), "Ask for permission to read it, or for the resource."
    return name, ok, found, "" if ok else fix


# This machine -----------------------------------------------------------------------------------


def _python(_: boto3.Session, __: Settings) -> tuple[bool, str, str]:
    from packaging.specifiers import SpecifierSet

    wanted = metadata.metadata("dynaberg")["Requires-Python"]
    version = sys.version.split()[0]
    return version in SpecifierSet(wanted), version, f"Use Python {wanted}."


def _packages(_: boto3.Session, settings: Settings) -> tuple[bool, str, str]:
    """What the library needs of this environment, against the ranges of pyproject.toml."""
    unmet, found = _compare(_wanted(""), _versions())
    install = "pip install " + " ".join(f"'{wanted.name}{wanted.specifier}'" for wanted in unmet)
    return not unmet, found, "make setup." if _is_ours(settings) else install


def _local_packages(_: boto3.Session, settings: Settings) -> tuple[bool, str, str]:
    """What the local AWS needs of the environment that it runs in.

    It pins botocore, so it is never installed into an environment that somebody else has made.
    """
    python = os.environ.get("LOCAL_AWS_PYTHON", "")
    try:
        versions = _versions(python)
    except (OSError, subprocess.SubprocessError) as error:
        return False, f"LOCAL_AWS_PYTHON: {error}", "Name a Python that runs, or unset LOCAL_AWS_PYTHON."
    unmet, found = _compare(_wanted("local"), versions)
    if python:
        return not unmet, f"{found}, of {python}", f"{python} -m pip install 'dynaberg[local]'"
    own = "make setup gives the local AWS an environment of its own."
    fix = f"{own} Then set LOCAL_AWS_PYTHON to {settings.root.resolve() / VENV / 'bin' / 'python'}."
    return not unmet, found, "make setup." if _is_ours(settings) else fix


def _is_ours(settings: Settings) -> bool:
    """Whether this is the environment that `make setup` made."""
    return Path(sys.prefix) == settings.root.resolve() / VENV


def _wanted(extra: str) -> list[Requirement]:
    """What the library needs; with an extra, what that needs on top."""
    from packaging.requirements import Requirement

    every = [Requirement(text) for text in metadata.requires("dynaberg") or []]
    plain = [wanted for wanted in every if wanted.marker is None or wanted.marker.evaluate({"extra": ""})]
    if not extra:
        return plain
    return [w for w in every if w not in plain and w.marker and w.marker.evaluate({"extra": extra})]


def _compare(wanted: list[Requirement], versions: Mapping[str, str]) -> tuple[list[Requirement], str]:
    """The requirements that are not met, and what was found, in words."""
    found = {each: versions.get(each.name, "missing") for each in wanted}
    unmet = [
        each
        for each, version in found.items()
        if version == "missing" or not each.specifier.contains(version, prereleases=True)
    ]
    words = ", ".join(f"{each.name} {found[each]} (needs {each.specifier})" for each in unmet)
    return unmet, words or f"{len(wanted)} packages in their ranges"


def _versions(python: str = "") -> dict[str, str]:
    """The packages of this environment, or of that of another Python, by the names that we use.

    Raises:
        OSError: There is no such Python.
        subprocess.SubprocessError: It fails.
    """
    if python:
        ran = subprocess.run([python, "-c", _LIST], capture_output=True, check=True, timeout=60)
        found = json.loads(ran.stdout)
    else:
        found = {each.metadata["Name"]: each.version for each in metadata.distributions()}
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found.items() if name}


def _disk(_: boto3.Session, settings: Settings) -> tuple[bool, str, str]:
    free = shutil.disk_usage(settings.root.resolve()).free
    return free >= MINIMUM_BYTES, f"{free / 2**30:.1f} GiB free", "Free some space: 2 GiB are enough."


def _memory(_: boto3.Session, __: Settings) -> tuple[bool, str, str]:
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return installed >= MINIMUM_BYTES, f"{installed / 2**30:.1f} GiB", "Use a machine with 2 GiB or more."


def _settings(_: boto3.Session, settings: Settings) -> tuple[bool, str, str]:
    path = settings.root / CONTEXT_FILE
    return path.is_file(), str(path), "Without it the defaults apply; README.md shows an example."


def _contract(_: boto3.Session, settings: Settings) -> tuple[bool, str, str]:
    """The contract of the settings' table; and every other one of the project that cannot be used."""
    contract = project_contract(settings)
    broken = read_project(settings).broken
    if broken:
        first = broken[0].error
        stopped = ", ".join(repr(each.source_table) for each in broken if each.source_table)
        found = f"{', '.join(each.name for each in broken)} cannot be used: {first.message}"
        return False, found, f"{first.hint} Until then nothing is deployed for {stopped or 'its source'}."
    return True, f"{len(contract.columns)} columns, key {', '.join(contract.key)}", ""


# The account ------------------------------------------------------------------------------------


def _local_aws(session: boto3.Session, settings: Settings) -> tuple[bool, str, str]:
    packages = _local_packages(session, settings)
    if not packages[0]:
        return packages
    running = local.status(settings)
    if running is None:
        return False, "not running", local.start_hint()
    found = f"{running.endpoint}, {running.memory_bytes / 2**20:.0f} MiB, from {running.restored} state"
    if not running.is_current:
        return False, f"{found}; its code has changed since it was started", local.restart_hint()
    return True, found, ""


# What is deployed -------------------------------------------------------------------------------


def _foundation(session: boto3.Session, settings: Settings) -> tuple[bool, str, str]:
    outputs = stacks.outputs(session, settings, "foundation")
    return True, f"{stack_state.stack_name(settings, 'foundation')} on table {outputs['SourceTableName']}", ""


def _change_stream(session: boto3.Session, settings: Settings) -> tuple[bool, str, str]:
    outputs = stacks.outputs(session, settings, "foundation")
    dynamodb, name = aws.client(session, "dynamodb"), outputs["SourceTableName"]
    table = dynamodb.describe_table(TableName=name)["Table"]
    view = table.get("StreamSpecification", {}).get("StreamViewType", "no stream")
    ok = table["TableStatus"] == "ACTIVE" and view == "NEW_AND_OLD_IMAGES"
    found = f"table {table['TableStatus']}, {view}"
    if "KinesisStreamName" in outputs:
        answer = dynamodb.describe_kinesis_streaming_destination(TableName=name)
        states = {d["StreamArn"]: d["DestinationStatus"] for d in answer["KinesisDataStreamDestinations"]}
        state = states.get(outputs["KinesisStreamArn"], "missing")
        ok, found = ok and state == "ACTIVE", f"{found}, Kinesis destination {state}"
    return ok, found, "wb.adopt() restores it." if outputs.get("SourceOrigin") == stacks.ADOPTED else _AGAIN


def _workgroup(session: boto3.Session, settings: Settings) -> tuple[bool, str, str]:
    name = stacks.outputs(session, settings, "foundation")["WorkGroupName"]
    workgroup = aws.client(session, "athena").get_work_group(WorkGroup=name)["WorkGroup"]
    results = workgroup["Configuration"].get("ResultConfiguration", {})
    location, how = results.get("OutputLocation", ""), results.get("EncryptionConfiguration", {})
    found = f"{name}, results in {location or 'nowhere'}"
    if how.get("EncryptionOption", "SSE_S3") != "SSE_S3":
        # "Query S3 Tables with Athena": no INSERT, UPDATE, DELETE or MERGE with SSE-KMS or CSE-KMS.
        return (
            False,
            f"{found} under {how['EncryptionOption']}, so refresh() cannot write",
            _AGAIN,
        )
    return workgroup["State"] == "ENABLED" and bool(location), found, _AGAIN


def _stream_type(session: boto3.Session, settings: Settings) -> tuple[bool, str, str]:
    deployed = stack_parameters(session, stack_state.stack_name(settings, "delivery")).get("StreamType")
    wanted = settings.stream_type
    fix = f"wb.deploy_firehose() deploys or switches to {wanted}."
    return deployed == wanted, f"{deployed or 'nothing'} deployed, {wanted} set", fix


def _delivery(session: boto3.Session, settings: Settings) -> tuple[bool, str, str]:
    outputs = stacks.outputs(session, settings, "delivery")
    names = [value for name, value in outputs.items() if STREAM_OUTPUT.fullmatch(name)]
    firehose = aws.client(session, "firehose")
    states = {
        firehose.describe_delivery_stream(DeliveryStreamName=name)["DeliveryStreamDescription"][
            "DeliveryStreamStatus"
        ]
        for name in names
    }
    found = f"{len(names)} delivery stream{'s' * (len(names) > 1)} {', '.join(sorted(states))}"
    return states == {"ACTIVE"}, found, "wb.deploy_firehose() creates it again."


def _event_sources(session: boto3.Session, settings: Settings) -> tuple[bool, str, str]:
    """What reads the change stream, if that is not Firehose itself, and the dead-letter queue."""
    outputs = stacks.outputs(session, settings, "delivery")
    wanted = {"ForwarderName": ":dynamodb:", "RedriveName": ":sqs:"}
    if "KinesisDeliveryStreamName" in outputs:
        del wanted["ForwarderName"]
    states = {}
    for name, kind in wanted.items():
        answer = aws.client(session, "lambda").list_event_source_mappings(FunctionName=outputs[name])
        # The forwarder reads the queue of the backfill, too.
        mappings = [each for each in answer["EventSourceMappings"] if kind in each["EventSourceArn"]]
        found = {mapping["State"] for mapping in mappings}
        states[outputs[name]] = ", ".join(sorted(found)) or "reads nothing"
    fix = "wb.deploy_firehose() creates its event source mapping again."
    found_words = ", ".join(f"{name} {state}" for name, state in states.items())
    return set(states.values()) == {"Enabled"}, found_words, fix


def _queues(session: boto3.Session, settings: Settings) -> tuple[bool, str, str]:
    url = stacks.outputs(session, settings, "delivery")["ParkedQueueUrl"]
    name = "ApproximateNumberOfMessages"
    answer = aws.client(session, "sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[name])
    parked = int(answer["Attributes"][name])
    return (
        not parked,
        f"{parked} parked messages",
        "See why they failed with the table's failures(), then run its replay_errors().",
    )


def _metadata(session: boto3.Session, settings: Settings) -> tuple[bool, str, str]:
    """The table whose metadata file is largest; AWS Glue refuses a table with more than 20 MB.

    Source: AWS Glue Developer Guide, "Limitations for the AWS Glue Data Catalog Iceberg REST Catalog APIs".
    """
    opened = catalog.open_catalog(session, settings)
    tables = [catalog.load_table(opened, settings, name) for name in catalog.table_names(opened, settings)]
    sizes = {table.name()[-1]: len(table.io.new_input(table.metadata_location)) for table in tables}
    if not sizes:
        return True, "no tables yet", ""
    name = max(sizes, key=lambda name: sizes[name])
    snapshots = next(len(table.snapshots()) for table in tables if table.name()[-1] == name)
    found = f"{name}: {sizes[name] / 1e6:.1f} MB for {snapshots:,} snapshots"
    fix = (
        f'Keep fewer: wb.iceberg_table("{name}").maintain(max_age_hours=24, confirm="{name}"). '
        "Make fewer: wb.deploy_firehose(buffer_seconds=60)."
    )
    return sizes[name] <= MOST_METADATA_BYTES, found, fix


def _schedule(session: boto3.Session, settings: Settings) -> tuple[bool, str, str]:
    """The last run of the schedule that has ended, if there is a schedule."""
    name = stack_state.stack_name(settings, "schedule")
    if not stack_state.stack_exists(session, name):
        return True, "none: tables are refreshed by hand", ""
    machine = stacks.outputs(session, settings, "schedule")["StateMachineArn"]
    answer = aws.client(session, "stepfunctions").list_executions(stateMachineArn=machine, maxResults=10)
    ended = [run for run in answer["executions"] if run["status"] != "RUNNING"]
    found = (
        f"the last run {ended[0]['status']}, {ended[0]['stopDate']:%Y-%m-%d %H:%M}" if ended else "no run yet"
    )
    return not ended or ended[0]["status"] == "SUCCEEDED", found, "See why with wb.schedule.runs()."


def _raw_parquet(session: boto3.Session, settings: Settings) -> tuple[bool, str, str]:
    """Whether the change logs are copied as plain Parquet, if they are to be, and since when they are."""
    bucket = stacks.parquet_outputs(session, settings).get("ParquetBucketName")
    if not bucket:
        return not settings.raw_parquet, "none", "wb.deploy_firehose() creates its bucket."
    listed = aws.client(session, "s3").list_objects_v2(Bucket=bucket, Prefix="_state/").get("Contents", [])
    ages = [f"{each['Key'][7:-5]} {each['LastModified']:%Y-%m-%d %H:%M}" for each in listed]
    fix = "The table's parquet.write() copies its change log; wb.schedule.start() does so by itself."
    return bool(ages), f"{bucket}: {', '.join(ages) or 'nothing copied yet'}", fix


_EVERYWHERE: dict[str, Check] = {
    "Python": _python,
    "packages": _packages,
    "disk": _disk,
    "memory": _memory,
    "settings": _settings,
    "table contract": _contract,
}
_LOCALLY: dict[str, Check] = {"local AWS": _local_aws}
_ON_AWS: dict[str, Check] = {
    "credentials": account_checks.credentials,
    "Region": account_checks.region,
    "table bucket quota": account_checks.table_buckets,
    "Lambda concurrency": account_checks.lambda_concurrency,
    "analytics integration": account_checks.analytics_integration,
    "permission to work": account_checks.permission_to_work,
    "permission to deploy": account_checks.permission_to_deploy,
}
_DEPLOYED: dict[str, Check] = {
    "foundation": _foundation,
    "change stream": _change_stream,
    "Athena workgroup": _workgroup,
    "stream type": _stream_type,
    "delivery": _delivery,
    "event sources": _event_sources,
    "parked changes": _queues,
    "metadata of the tables": _metadata,
    "schedule": _schedule,
    "raw Parquet": _raw_parquet,
}
_OF_A_SOURCE = ("change stream", "stream type", "delivery", "event sources", "parked changes")
