"""The access matrix: equal to the template, and to what the documentation says of it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
import pytest
from cfnlint.decode.cfn_yaml import load

from dynaberg import plots
from dynaberg.contracts import Column, Contract
from dynaberg.deploy.parameters import access_parameters, parquet_parameters, planned_foundation
from dynaberg.deploy.permissions import access_matrix, check_logs, optional_matrix
from dynaberg.deploy.template import TEMPLATES, load_template, resolved_resources
from dynaberg.errors import SettingsError
from dynaberg.settings import Settings

mpl.use("agg")
ROOT = Path(__file__).resolve().parents[3]
ACCOUNT, REGION = "111122223333", "eu-central-1"
CONTRACT = Contract("transactions", "financial-transactions", "id", None, (Column("id", "string"),))
EVERYTHING = Settings(
    target="aws",
    stream_type="kinesis",
    kms_key_arn=f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1",
    analyst_arn=f"arn:aws:iam::{ACCOUNT}:role/analyst",
    operator_arn=f"arn:aws:iam::{ACCOUNT}:role/operator",
)
ACCESS = load(str(TEMPLATES / "access.yaml"))


def matrix(settings: Settings, access_mode: str = "iam") -> pd.DataFrame:
    foundation = planned_foundation(settings, CONTRACT, ACCOUNT, REGION)
    return access_matrix(settings, foundation, ACCOUNT, REGION, access_mode=access_mode)


def granted(template: dict[str, Any]) -> set[tuple[str, str]]:
    """Resource and permission of everything that a template may grant, whatever its conditions."""
    found = set()
    for name, resource in template["Resources"].items():
        properties = resource["Properties"]
        documents = [p["PolicyDocument"] for p in properties.get("Policies", [])]
        documents += [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
        for statement in [s for document in documents for s in document["Statement"]]:
            statement = statement["Fn::If"][1] if "Fn::If" in statement else statement
            actions = statement["Action"]
            found |= {(name, a) for a in (actions if isinstance(actions, list) else [actions])}
        found |= {(name, permission) for permission in properties.get("Permissions", [])}
    return found


def test_the_matrix_has_every_permission_of_the_template_and_no_other() -> None:
    both = pd.concat([matrix(EVERYTHING, mode) for mode in ("iam", "lakeformation")])
    shown = {
        (row.principal.lower(), permission)
        for row in both.itertuples()
        for permission in row.permission.split(", ")
    }
    names = {re.sub("(Role|Policy|On[A-Z].*)$", "", name).lower() for name, _ in granted(ACCESS)}
    assert {name for name, _ in shown} == names
    expected = {(re.sub("(Role|Policy|On[A-Z].*)$", "", n).lower(), p) for n, p in granted(ACCESS)}
    assert shown == expected


DATA = ("change log", "every table", "namespace", "Lake Formation's credentials")


def test_in_the_mode_iam_policies_decide_about_the_tables() -> None:
    shown = matrix(EVERYTHING)
    assert set(shown["mode"]) == {"iam"}
    on_data = shown[shown["what"].isin(DATA)].set_index(["principal", "what"])["resource"]
    assert on_data.to_dict() == {
        ("Firehose", "change log"): "s3tables:analytics.transactions_changes",
        ("analyst", "every table"): "s3tables:analytics.*",
    }
    analyst = ", ".join(shown.loc[shown["principal"] == "analyst", "permission"])
    assert "PutTableData" not in analyst
    assert "dynamodb" not in analyst


def test_in_the_mode_lakeformation_grants_decide_about_the_tables() -> None:
    shown = matrix(EVERYTHING, "lakeformation")
    assert not shown["permission"].str.contains("s3tables:").any()
    rows = shown[shown["mode"] == "lakeformation"]
    assert rows[["principal", "resource", "permission"]].to_numpy().tolist() == [
        ["Firehose", "lakeformation:analytics", "DESCRIBE"],
        [
            "Firehose",
            "lakeformation:analytics.transactions_changes",
            "ALTER, DESCRIBE, INSERT, SELECT",
        ],
        ["analyst", "lakeformation:analytics", "DESCRIBE"],
        ["analyst", "lakeformation:analytics.*", "DESCRIBE, SELECT"],
        ["operator", "lakeformation:analytics", "CREATE_TABLE, DESCRIBE"],
        ["operator", "lakeformation:analytics.*", "ALTER, DELETE, DESCRIBE, DROP, INSERT, SELECT"],
    ]


def test_the_schedules_roles_are_shown_in_words() -> None:
    template = load_template(TEMPLATES / "schedule.yaml")
    given = {name: name for name, p in template["Parameters"].items() if "Default" not in p}
    given |= {"ErrorBucketName": "x-errors-1", "ResultsBucketName": "x-results-1"}
    given |= {"TableBucketArn": "arn:aws:s3tables:r:1:bucket/x", "AccessMode": "lakeformation"}
    shown = optional_matrix(EVERYTHING, "schedule", given, ACCOUNT, REGION)
    assert {tuple(row) for row in shown[["principal", "what"]].to_numpy()[:2]} == {
        ("schedule", "schedule's runs"),
        ("schedule's runs", "schedule's function"),
    }
    function = shown[shown["principal"] == "schedule's function"].set_index("what")
    assert {"Athena workgroup", "query results", "every table", "error bucket"} <= {*function.index}
    assert function.loc["error bucket", "resource"].tolist() == ["s3:x-errors-1/runs/*", "s3:x-errors-1"]
    assert function.loc["namespace", "mode"] == "lakeformation"


def test_who_may_read_raw_parquet_is_shown() -> None:
    given = parquet_parameters(EVERYTHING)
    shown = optional_matrix(EVERYTHING, "parquet", given, ACCOUNT, REGION)
    assert set(shown["principal"]) == {"raw Parquet's reader"}
    assert set(shown["what"]) == {"raw Parquet", "Glue catalog", "KMS key"}
    permissions = ", ".join(shown["permission"])
    assert "s3:GetObject" in permissions
    assert "Put" not in permissions


def test_nobody_named_is_nobody_granted() -> None:
    shown = matrix(Settings(), "lakeformation")
    assert set(shown.loc[shown["mode"] == "lakeformation", "principal"]) == {"Firehose"}


def test_what_only_kinesis_or_a_key_needs_is_granted_with_them_alone() -> None:
    assert not {"transform", "operator"} & set(matrix(Settings())["principal"])
    assert not {"Kinesis stream", "KMS key", "transform function"} & set(matrix(Settings())["what"])
    assert {"Kinesis stream", "KMS key", "transform function"} <= set(matrix(EVERYTHING)["what"])


def test_the_local_aws_enforces_nothing_and_says_so() -> None:
    assert not matrix(Settings())["enforced"].any()
    assert matrix(EVERYTHING)["enforced"].all()
    title = plots.plot_grants(matrix(Settings())).get_title().replace("\n", " ")
    found = "Of the 4 principals here, 1 may write Iceberg tables: Firehose (change log); not enforced here"
    assert title == found
    title = plots.plot_grants(matrix(EVERYTHING, "lakeformation")).get_title().replace("\n", " ")
    assert title.endswith("2 may write Iceberg tables: Firehose (change log) and operator (every table)")


def test_a_mode_that_is_none_is_refused() -> None:
    with pytest.raises(SettingsError, match="lakeformation"):
        matrix(Settings(), "lake")


def documented() -> str:
    """The table of CONTRIBUTING.md, as it must be."""
    frames = [matrix(EVERYTHING, mode).assign(access_mode=mode) for mode in ("iam", "lakeformation")]
    cells: dict[tuple[str, str, str], dict[str, set[str]]] = {}
    for row in pd.concat(frames).itertuples():
        for permission in row.permission.split(", "):
            of_cell = cells.setdefault((row.principal, row.what, row.mode), {})
            of_cell.setdefault(permission, set()).add(row.access_mode)
    lines = ["| Who | On what | May | In the access mode |", "|---|---|---|---|"]
    for (who, what, _), permissions in cells.items():
        names = ", ".join(f"`{permission}`" for permission in permissions)
        modes = set.union(*permissions.values())
        lines.append(f"| {who} | {what} | {names} | {'both' if len(modes) == 2 else modes.pop()} |")
    return "\n".join(lines)


def test_the_documented_matrix_is_the_templates() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- grants: begin -->\n(.*)\n<!-- grants: end -->", text, re.DOTALL)
    assert block
    assert block[1] == documented()


def test_a_template_is_filled_in_as_cloudformation_does() -> None:
    template = load_template(TEMPLATES / "foundation.yaml")
    parameters = {name: p.get("Default", "x") for name, p in template["Parameters"].items()}
    pseudo = {"AWS::AccountId": ACCOUNT, "AWS::Region": REGION, "AWS::Partition": "aws"}
    plain = resolved_resources(template, parameters | pseudo)
    assert "ChangeStream" not in plain
    assert "SSESpecification" not in plain["SourceTable"]["Properties"]
    assert len(plain["SourceTable"]["Properties"]["KeySchema"]) == 1
    full = {"StreamType": "kinesis", "SortKeyName": "at", "KmsKeyArn": "key"}
    filled = resolved_resources(template, parameters | pseudo | full)
    table = filled["SourceTable"]["Properties"]
    assert table["KinesisStreamSpecification"]["StreamArn"] == "ChangeStream.Arn"
    assert [key["AttributeName"] for key in table["KeySchema"]] == ["x", "at"]
    assert table["SSESpecification"]["KMSMasterKeyId"] == "key"
    assert filled["ErrorBucket"]["Properties"]["BucketName"] == f"x-errors-{ACCOUNT}-{REGION}"
    statement = filled["ErrorBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"][0]
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize("stream_type", ["dynamodb", "kinesis"])
def test_change_logs_that_aws_has_no_room_for_are_refused_before_anything_is_deployed(
    stream_type: str,
) -> None:
    settings = replace(EVERYTHING, stream_type=stream_type)
    foundation = planned_foundation(settings, CONTRACT, ACCOUNT, REGION)
    parameters = access_parameters(settings, foundation, {}, CONTRACT.log_name)
    others = [f"a_kind_of_items_with_a_long_name_{number:02d}_changes" for number in range(60)]
    check_logs(settings, parameters, others[:3], ACCOUNT, REGION)
    if stream_type == "dynamodb":
        check_logs(settings, parameters, others[:15], ACCOUNT, REGION)
        with pytest.raises(SettingsError, match=r"Nothing was deployed.\nHint: Let fewer tables"):
            check_logs(settings, parameters, others, ACCOUNT, REGION)
        short = [f"k{number}_changes" for number in range(60)]
        with pytest.raises(SettingsError, match=r"forwarder's variables|role Firehose"):
            check_logs(settings, parameters, short, ACCOUNT, REGION)
    else:
        with pytest.raises(SettingsError, match="cannot be read from Kinesis"):
            check_logs(settings, parameters, others, ACCOUNT, REGION)
