"""The settings: the five keys of `cdk.context.json`, the target and the folders."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from dynaberg.errors import SettingsError

CONTEXT_FILE = "cdk.context.json"
TARGETS = ("local", "aws")
STREAM_TYPES = ("dynamodb", "kinesis")
ACCESS_MODES = ("iam", "lakeformation")
# "Log retention": the days that CloudWatch Logs takes, up to a year.
LOG_RETENTION_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365)
# Names that AWS accepts: S3 Tables "Table bucket, namespace, and table naming rules"; Firehose accepts no
# hyphen.
_PATTERNS = {
    "table_bucket_name": (
        r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
        "3 to 63 lower-case letters, digits and hyphens",
    ),
    "table_name": (r"[a-z0-9][a-z0-9_]{0,230}", "lower-case letters, digits and underscores"),
    "namespace": (r"[a-z0-9][a-z0-9_]{0,230}", "lower-case letters, digits and underscores"),
    "bucket_name": (r"[a-z0-9][a-z0-9-]{1,24}", "2 to 25 lower-case letters, digits and hyphens"),
    # The names that CloudFormation derives from it must not exceed the 64 characters that Firehose accepts.
    "name": (r"[a-z][a-z0-9-]{0,24}", "1 to 25 lower-case letters, digits and hyphens, a letter first"),
}
SAMPLE_BUCKETS = {"table_bucket_name": "streamtablebucket", "bucket_name": "streambucket"}
"""The sample's buckets: under a name other than the default, theirs begin with it."""
LONGEST_NAME = 25
LONGEST_BUCKET_NAME = {"table_bucket_name": 63, "bucket_name": 25}
_ARN = r"arn:[a-z-]+:{service}:[a-z0-9-]*:\d{{12}}:{resource}/.+"
# Optional ones: empty, or of this form.
_ARNS = {
    "analyst_arn": (_ARN.format(service="iam", resource="(role|user)"), "the ARN of an IAM role or user"),
    "operator_arn": (_ARN.format(service="iam", resource="(role|user)"), "the ARN of an IAM role or user"),
    "kms_key_arn": (_ARN.format(service="kms", resource="key"), "the ARN of a KMS key, not of an alias"),
    "failures_kms_key_arn": (
        _ARN.format(service="kms", resource="key"),
        "the ARN of a KMS key, not an alias",
    ),
}


@dataclass(frozen=True)
class Settings:
    """What a workbench is set to.

    Attributes:
        table_bucket_name: S3 Tables bucket.
        table_name: Current table; the change log is `<table_name>_changes`.
        namespace: Namespace of the table bucket.
        bucket_name: Prefix of the names of the S3 buckets for errors, code and query results.
        stream_type: `dynamodb` (DynamoDB Streams and Lambda) or `kinesis` (Kinesis Data Streams).
        retention_hours: How long a Kinesis data stream keeps changes, 24 to 8760 (a year).
        alarm_email: Who gets the alarms by email; empty for nobody.
        access_mode: What controls access to the Iceberg tables: `iam`, or `lakeformation` with its grants.
        analyst_arn: The IAM principal that Lake Formation allows to read the tables; empty for nobody.
        operator_arn: The IAM principal that Lake Formation allows to create and refresh them; empty for
            nobody.
        kms_key_arn: The KMS key to encrypt with; empty for AWS's own keys.
        failures_kms_key_arn: The KMS key of the error bucket alone; empty for `kms_key_arn`.
        protect: Whether DynamoDB and CloudFormation refuse to delete the source table and its stack.
        log_retention_days: How long CloudWatch keeps the functions' logs.
        raw_parquet: Whether the change logs are kept as plain Parquet files, too, in a bucket of their own.
        target: `local` or `aws`.
        region: AWS Region; None means the session's.
        name: Prefix of the names of the stacks, and what a clean-up must be confirmed with. With another name
            than the default, the sample's buckets and its DynamoDB table have this prefix, too.
        root: The project's folder, which holds `data/` and `cdk.context.json`.
        source: The DynamoDB table whose part of the project is meant; empty for the first one. No setting of
            a project: `deploy.of_source` fills it.
    """

    table_bucket_name: str = SAMPLE_BUCKETS["table_bucket_name"]
    table_name: str = "transactions"
    namespace: str = "analytics"
    bucket_name: str = SAMPLE_BUCKETS["bucket_name"]
    stream_type: str = "dynamodb"
    retention_hours: int = 24
    alarm_email: str = ""
    access_mode: str = "iam"
    analyst_arn: str = ""
    operator_arn: str = ""
    kms_key_arn: str = ""
    failures_kms_key_arn: str = ""
    protect: bool = False
    log_retention_days: int = 30
    raw_parquet: bool = False
    target: str = "local"
    region: str | None = None
    name: str = "dynaberg"
    root: Path = Path()
    source: str = ""

    def __post_init__(self) -> None:
        """Reject what AWS would refuse later with a less clear message."""
        check_choice("target", self.target, TARGETS)
        check_choice("stream_type", self.stream_type, STREAM_TYPES)
        check_choice("access_mode", self.access_mode, ACCESS_MODES)
        for key, (pattern, words) in _PATTERNS.items():
            value = getattr(self, key)
            if not isinstance(value, str) or not re.fullmatch(pattern, value):
                msg = f"`{key}` is {value!r}, which AWS does not accept as a name."
                raise SettingsError(msg, hint=f"Use {words}.")
        for key, (pattern, words) in _ARNS.items():
            value = getattr(self, key)
            if not isinstance(value, str) or (value and not re.fullmatch(pattern, value)):
                raise SettingsError(f"`{key}` is {value!r}.", hint=f"Use {words}, or leave it empty.")
        for key in ("protect", "raw_parquet"):
            if not isinstance(getattr(self, key), bool):
                raise SettingsError(f"`{key}` is {getattr(self, key)!r}.", hint="Use true or false.")
        if self.log_retention_days not in LOG_RETENTION_DAYS:
            msg = f"`log_retention_days` is {self.log_retention_days!r}."
            raise SettingsError(msg, hint=f"Use one of {', '.join(map(str, LOG_RETENTION_DAYS))}.")
        if not isinstance(self.retention_hours, int) or not 24 <= self.retention_hours <= 8760:
            msg = (
                f"`retention_hours` is {self.retention_hours!r}; Kinesis keeps changes for 24 to 8760 hours."
            )
            raise SettingsError(msg, hint="Use 24, or 168 for a week.")

    @property
    def log_name(self) -> str:
        """Name of the change log."""
        return f"{self.table_name}_changes"

    @property
    def pipeline(self) -> str:
        """Prefix of the names of what belongs to one source alone: its stacks, functions and log groups.

        No longer than a name may be, and different for every source.
        """
        if not self.source:
            return self.name
        whole = f"{self.name}--{re.sub('[^a-z0-9]+', '-', self.source.lower()).strip('-')}"
        if len(whole) <= LONGEST_NAME and whole.endswith(f"--{self.source}"):
            return whole
        digest = hashlib.sha256(f"{self.name}/{self.source}".encode()).hexdigest()[:6]
        return f"{whole[: LONGEST_NAME - 7].rstrip('-')}-{digest}"

    @property
    def deployed_access_mode(self) -> str:
        """The access mode on the target: the local AWS has no Lake Formation, and uses `iam` instead."""
        return self.access_mode if self.target == "aws" else "iam"

    @property
    def local_state(self) -> Path:
        """Folder of the local AWS's state."""
        return self.root / "data" / "local"


def load_settings(root: Path | None = None, **overrides: Any) -> Settings:
    """Read the settings from `cdk.context.json`, the environment and the caller; the last one wins.

    Args:
        root: The project's folder; by default the nearest one above the working directory that
            has a `cdk.context.json`, or the one that the library was installed from.
        **overrides: Fields of `Settings`; None means "not given".

    Returns:
        The settings, checked.

    Raises:
        SettingsError: A file that is not JSON, an unknown key, a value that AWS would not accept.
    """
    folder = root or find_root()
    given = pick_settings({k: v for k, v in overrides.items() if v is not None}, "The call")
    environment = {"target": os.environ.get("DYNABERG_TARGET"), "name": os.environ.get("DYNABERG_NAME")}
    known = {"root": folder} | read_context(folder / CONTEXT_FILE)
    known |= {key: value for key, value in environment.items() if value} | given
    settings = Settings(**known)
    return replace(
        settings,
        table_bucket_name=_bucket_of_name(settings, "table_bucket_name"),
        bucket_name=_bucket_of_name(settings, "bucket_name"),
    )


def of_name(name: str, sample_name: str) -> str:
    """What something of the walk is called under a name: `financial-transactions` as `ada-financial-…`.

    Under the default name it keeps its name.
    """
    return sample_name if name == Settings.name else f"{name}-{sample_name}"


def _bucket_of_name(settings: Settings, key: str) -> str:
    """A bucket's name, so that two people on one account need only names of their own.

    One that is not the sample's stays, and a long one is cut, with a digest that keeps it unique.
    """
    name, value = settings.name, str(getattr(settings, key))
    if value != SAMPLE_BUCKETS[key]:
        return value
    whole, longest = of_name(name, value), LONGEST_BUCKET_NAME[key]
    if len(whole) <= longest:
        return whole
    digest = hashlib.sha256(name.encode()).hexdigest()[:6]
    return f"{name[: longest - 7].rstrip('-')}-{digest}"


def find_root() -> Path:
    """The project's folder: the nearest one upwards with a `cdk.context.json`, or the library's own."""
    here = Path.cwd()
    source = Path(__file__).resolve().parents[2]
    return next((p for p in (here, *here.parents, source) if (p / CONTEXT_FILE).is_file()), here)


def read_context(path: Path) -> dict[str, Any]:
    """The settings among the keys of a `cdk.context.json`; a missing file counts as an empty one."""
    if not path.is_file():
        return {}
    text = path.read_text(encoding="utf-8")
    try:
        context = json.loads(text)
    except json.JSONDecodeError as error:
        comma = re.search(r",\s*[}\]]", text)
        fix = (
            "Remove the comma before the closing bracket."
            if comma
            else "Compare it with the one in README.md."
        )
        msg = f"{path} is not JSON: {error}."
        raise SettingsError(msg, hint=fix) from error
    if not isinstance(context, Mapping):
        msg = f"{path} holds a {type(context).__name__}; it must hold a JSON object."
        raise SettingsError(msg, hint='Write it as {"table_name": "transactions", …}.')
    return pick_settings(context, str(path))


def pick_settings(context: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The keys that are settings; the CDK's own, with a colon, an at sign or a slash, are ignored."""
    names = {field.name for field in fields(Settings)} - {"root", "source"}
    ours = {key: value for key, value in context.items() if not re.search(r"[:@/]", key)}
    for key in ours.keys() - names:
        near = get_close_matches(key, names, n=1)
        msg = f"{where} has the key {key!r}, which is not a setting. Settings: {', '.join(sorted(names))}."
        raise SettingsError(msg, hint=f"Did you mean {near[0]!r}?" if near else "Remove it.")
    return ours


def check_choice(key: str, value: object, choices: tuple[str, ...]) -> None:
    """Reject a value that is not among the choices."""
    if value not in choices:
        near = get_close_matches(str(value), choices, n=1)
        msg = f"`{key}` is {value!r}. Choices: {', '.join(choices)}."
        raise SettingsError(msg, hint=f"Did you mean {near[0]!r}?" if near else f"Use {choices[0]!r}.")
