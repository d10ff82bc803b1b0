"""The role of the schedule's function is what its code calls, and what Athena calls in its name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.integration.deploy.test_permissions import BY_LAMBDA, recorded, show
from tests.integration.schedule.conftest import Scheduled, item

from dynaberg import aws, deploy, schedule
from dynaberg.deploy.permissions import statements
from dynaberg.deploy.template import load_template, resolved_resources
from dynaberg.functions.handlers import resources, scheduled
from dynaberg.functions.schedule import lake
from dynaberg.schedule.plan import make_plan

pytestmark = pytest.mark.thorough

BY_DAY = """-- build: incremental, key(at), watermark(at)
-- check: accepted(status, 'open')
SELECT at, status, count(*) AS items FROM transactions GROUP BY 1, 2"""
# What Athena does in its caller's name, and the page that says so.
BY_ATHENA = {
    "Access to Amazon S3 (Athena)": {
        *("s3:AbortMultipartUpload", "s3:GetBucketLocation", "s3:ListMultipartUploadParts", "s3:ListBucket"),
    },
    "Access control for S3 Tables in AWS Glue Data Catalog": {
        *("glue:CreateTable", "glue:DeleteTable", "glue:GetCatalog", "glue:GetDatabase", "glue:GetTable"),
        *("glue:GetTables", "glue:UpdateTable", "s3tables:CreateTable", "s3tables:GetNamespace"),
        *("s3tables:GetTable", "s3tables:GetTableBucket", "s3tables:GetTableData"),
        *("s3tables:PutTableData", "s3tables:UpdateTableMetadataLocation"),
    },
    "Underlying data access control (Lake Formation)": {"lakeformation:GetDataAccess"},
}


def test_the_functions_role_is_what_it_calls(
    make_scheduled: Callable[[str], Scheduled], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = make_scheduled("rolesched")
    found.pipeline = replace(found.pipeline, settings=replace(found.pipeline.settings, raw_parquet=True))
    session, settings = found.pipeline.session, found.pipeline.settings
    deploy.deploy_firehose(session, settings, found.pipeline.contract, buffer_seconds=0)
    found.write_sql(by_day=BY_DAY)
    found.deploy()
    (tmp_path / "plan.json").write_text(make_plan(session, settings, [found.pipeline.contract]))
    monkeypatch.setattr(scheduled, "PLAN_FILE", tmp_path / "plan.json")
    outputs = deploy.outputs(session, settings, "schedule")
    functions = aws.client(session, "lambda")
    given = functions.get_function_configuration(FunctionName=outputs["FunctionName"])
    for key, value in given["Environment"]["Variables"].items():
        monkeypatch.setenv(key, value)
    resources.client.cache_clear()
    send = lake.urlopen

    def run(number: int) -> str:
        state: dict[str, Any] = {}
        while True:
            event = {"run": f"run-{number}", "started": "2026-01-31T12:00:00Z", "state": state}
            state = json.loads(json.dumps(scheduled.handler(event, None)))
            if state["status"] not in ("wait", "again"):
                return str(state["status"])

    ends = []
    with recorded() as calls:

        def noted(request: Any, **options: Any) -> Any:
            if calls.listening:
                calls.note_rest(request.get_method(), request.selector.partition("?")[0])
            return send(request, **options)

        monkeypatch.setattr(lake, "urlopen", noted)
        for number, changes in enumerate(([item(1)], [item(2, "odd")], [item(2)])):
            with calls.paused():
                found.deliver(*changes)
                bucket = deploy.parquet_outputs(session, settings)["ParquetBucketName"]
                # What is no file of the log any more, to be removed.
                aws.client(session, "s3").put_object(Bucket=bucket, Key="transactions_changes/x", Body=b"")
            ends.append(run(number))
    resources.client.cache_clear()
    with_key = {"AccessMode": "lakeformation", "KmsKeyArn": "arn:aws:kms:r:1:key/1"}
    template = load_template(deploy.TEMPLATES / "schedule.yaml")
    pseudo = {"AWS::AccountId": "1", "AWS::Region": "r", "AWS::Partition": "aws"}
    names = dict.fromkeys(template["Parameters"], "x")
    role = resolved_resources(template, names | with_key | pseudo)["TurnRole"]
    allowed = {
        a for s in statements(role) for a in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"])
    }
    show("schedule", allowed, calls.actions | set.union(*BY_ATHENA.values(), *BY_LAMBDA.values()))
    assert calls.invalid == []
    assert ends == ["done", "failed", "done"]
    schedule.remove_schedule(session, settings)
