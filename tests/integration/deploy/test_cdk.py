"""The CDK app: what it synthesizes is the templates, resource by resource, and it can be deployed.

It needs the extra `cdk`, which is not in requirements.lock, and Node: `make cdk`.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
from cfnlint.api import lint

import dynaberg
from dynaberg import aws, deploy, layers
from dynaberg.contracts import Contract, project_contracts
from dynaberg.contracts.contract import load_contract
from dynaberg.deploy.cdk.table_resources import table_resources
from dynaberg.deploy.parameters import (
    Pace,
    access_parameters,
    delivery_parameters,
    foundation_parameters,
    observe_parameters,
)
from dynaberg.deploy.stack_state import PARTS, TAG
from dynaberg.deploy.template import parse_template, resolved_resources, template_body
from dynaberg.settings import Settings, load_settings
from local_aws import Status

if not shutil.which("node"):
    pytest.skip("there is no Node, on which the CDK runs", allow_module_level=True)
aws_cdk = pytest.importorskip("aws_cdk", reason="the extra `cdk` is not installed: make cdk")

from dynaberg.deploy.cdk.app import build, export_name  # noqa: E402, only with the extra

ROOT = Path(__file__).resolve().parents[3]
NAMES = {"name": "synthesized", "table_bucket_name": "synthesizedtables", "bucket_name": "synthesized"}
PSEUDO = {
    "AWS::AccountId": "0" * 12,
    "AWS::Region": "us-east-1",
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
}
KEY = "arn:aws:kms:us-east-1:000000000000:key/one"
ROLE = "arn:aws:iam::000000000000:role/analyst"
KIND = """\
source_table: synthesized-shop
table: {kind}
key: {{partition: pk}}
when: {{attribute: kind, equals: {kind}}}
columns:
  - {{name: pk, attribute: PK, type: string}}
"""
Template = dict[str, Any]
Synthesize = Callable[..., Path]


@pytest.fixture(scope="module")
def synthesize(tmp_path_factory: pytest.TempPathFactory) -> Synthesize:
    """Runs the app with a context, in a project whose source table has a name of its own."""
    project = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "data", project / "data", ignore=shutil.ignore_patterns("local"))
    contract = project / "data" / "tables" / "transactions.yaml"
    text = contract.read_text()
    for kind in ("orders", "customers"):
        (contract.parent / f"{kind}.yaml").write_text(KIND.format(kind=kind))
    contract.write_text(text.replace("financial-transactions", "synthesized-transactions"))
    (project / "cdk.context.json").write_text("{}")

    def run(**context: str) -> Path:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(project)
            folder = tmp_path_factory.mktemp("cdk.out")
            app = aws_cdk.App(outdir=str(folder), context=NAMES | context, analytics_reporting=False)
            build(app)
            app.synth()
        return folder

    run.project = project  # type: ignore[attr-defined]
    return run


def read(folder: Path, part: str) -> Template:
    found: Template = json.loads((folder / f"synthesized-{part}.template.json").read_text())
    return found


def plain(node: Any) -> Any:
    """The CDK's spelling of functions in ours: imports by name, texts filled in, attributes as pairs."""
    if isinstance(node, list):
        return [plain(each) for each in node]
    if not isinstance(node, dict):
        return node
    if set(node) == {"Fn::ImportValue"}:
        return f"import of {node['Fn::ImportValue']}"
    if set(node) == {"Fn::GetAtt"} and isinstance(node["Fn::GetAtt"], str):
        return {"Fn::GetAtt": node["Fn::GetAtt"].split(".", 1)}
    if set(node) == {"Fn::Sub"} and isinstance(node["Fn::Sub"], list):
        text, values = node["Fn::Sub"]
        return {"Fn::Sub": re.sub(r"\$\{(\w+)\}", lambda m: plain(values.get(m[1], m[0])), text)}
    return {key: plain(value) for key, value in node.items()}


def words(node: Any) -> Any:
    """Every value as text: CloudFormation takes "10" for 10."""
    if isinstance(node, Mapping):
        return {key: words(value) for key, value in node.items()}
    return [words(each) for each in node] if isinstance(node, list) else str(node)


def imports(part: deploy.Part, settings: Settings, others: Sequence[str]) -> dict[str, str]:
    outputs = parse_template(template_body(deploy.TEMPLATES / f"{part}.yaml", others))["Outputs"]
    kinesis = settings.stream_type == "kinesis"
    stack = deploy.stack_name(settings, part)
    return {
        name: f"import of {export_name(stack, name)}"
        for name, output in outputs.items()
        if (kinesis or output.get("Condition") != "UsesKinesis")
        and output.get("Condition") != "HasMaskKey"  # the contract has no mask that needs one
    }


def expected_parameters(part: str, settings: Settings, folder: Path) -> dict[str, str]:
    """What the workbench would deploy a template with, the outputs of other stacks by their imports."""
    contract = own_contract(settings)
    log, *others = (each.log_name for each in contract.of_source)
    foundation = imports("foundation", settings, ())
    access, delivery = imports("access", settings, others), imports("delivery", settings, others)
    if part == "foundation":
        return foundation_parameters(settings, contract)
    if part == "access":
        return access_parameters(settings, foundation, {}, log)
    if part == "parquet":
        return deploy.parquet_parameters(settings)
    if part == "observe":
        return observe_parameters(settings, foundation, delivery, others)
    key = code_key(folder)
    found = delivery_parameters(settings, foundation, access, code_key=key, pace=Pace(), log=log)
    bucket = f"cdk-hnb659fds-assets-{PSEUDO['AWS::AccountId']}-{PSEUDO['AWS::Region']}"
    return found | {"StreamType": settings.stream_type, "CodeBucketName": bucket}


def own_contract(settings: Settings) -> Contract:
    return next(each for each in project_contracts(settings) if each.table == settings.table_name)


def code_key(folder: Path) -> str:
    assets = json.loads((folder / "synthesized-delivery.assets.json").read_text())["files"]
    (key,) = [name for name, asset in assets.items() if asset["source"]["path"].endswith(".zip")]
    return f"{key}.zip"


CONTEXTS = {
    "streams": {},
    "kinds": {"table_name": "orders"},
    "kinds-kinesis": {"table_name": "orders", "stream_type": "kinesis"},
    "kinesis": {"stream_type": "kinesis", "retention_hours": "48", "alarm_email": "a@example.com"},
    "plain Parquet": {"raw_parquet": "true"},
    "guarded": {"protect": "true", "kms_key_arn": KEY, "access_mode": "lakeformation", "analyst_arn": ROLE},
}


@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
def test_what_is_synthesized_is_the_templates(synthesize: Synthesize, context: dict[str, str]) -> None:
    folder = synthesize(**context)
    typed: dict[str, Any] = {**context}
    typed |= {"retention_hours": 48} if "retention_hours" in context else {}
    typed |= {name: True for name in ("protect", "raw_parquet") if name in context}
    settings = load_settings(synthesize.project, **NAMES, **typed, target="aws")  # type: ignore[attr-defined]
    others = [each.log_name for each in own_contract(settings).of_source[1:]]
    assert (folder / "synthesized-parquet.template.json").exists() == settings.raw_parquet
    for part in (*PARTS, *(["parquet"] if settings.raw_parquet else [])):
        parameters = expected_parameters(part, settings, folder) | PSEUDO
        body = template_body(
            deploy.TEMPLATES / f"{part}.yaml", () if part in ("foundation", "parquet") else others
        )
        ours = resolved_resources(parse_template(body), parameters)
        theirs = plain(read(folder, part))
        theirs.setdefault("Parameters", {})
        resolved = resolved_resources(theirs, PSEUDO | {"BootstrapVersion": "21"})
        assert set(resolved) == set(ours), part
        for name, resource in ours.items():
            assert words(resolved[name]) == words(resource), f"{part}.{name}"


def test_the_tables_are_those_of_the_contract(synthesize: Synthesize) -> None:
    resources = plain(read(synthesize(), "tables"))["Resources"]
    contract = load_contract(ROOT / "data" / "tables" / "transactions.yaml")
    arn, namespace = (f"import of synthesized-foundation:{name}" for name in ("TableBucketArn", "Namespace"))
    assert resources == table_resources(contract, table_bucket_arn=arn, namespace=namespace)


def test_a_changed_setting_would_be_seen(synthesize: Synthesize) -> None:
    folder = synthesize(stream_type="kinesis", retention_hours="48")
    stream = read(folder, "foundation")["Resources"]["ChangeStream"]
    assert str(stream["Properties"]["RetentionPeriodHours"]) == "48"


def test_cfn_lint_has_nothing_to_say_of_the_tables() -> None:
    contract = load_contract(ROOT / "data" / "tables" / "transactions.yaml")
    arn = "arn:aws:s3tables:us-east-1:000000000000:bucket/synthesizedtables"
    resources = table_resources(contract, table_bucket_arn=arn, namespace="analytics")
    found = lint(json.dumps({"Resources": resources}), regions=["us-east-1"])
    assert [str(match) for match in found] == []


def test_it_can_be_deployed_and_the_workbench_goes_on_from_there(
    local_aws: Status, synthesize: Synthesize
) -> None:
    """The assembly, deployed as `cdk deploy --all` does: the asset first, then the stacks in their order."""
    session = boto3.Session()
    project: Path = synthesize.project  # type: ignore[attr-defined]
    folder = synthesize()
    bootstrap(session, folder)
    for part in ("foundation", "tables", "access", "delivery", "observe"):
        create(session, f"synthesized-{part}", read(folder, part))

    settings = load_settings(project, **NAMES)
    contract = load_contract(project / "data" / "tables" / "transactions.yaml")
    assert set(layers.create_tables(session, settings, contract)["status"]) == {"unchanged"}
    wb = dynaberg.Workbench(settings, session, contract)
    wb.generate_traffic(50)
    wb.table().wait_for_delivery()
    wb.table().refresh()
    assert wb.table().reconcile().matches
    wb.clean_up(confirm="synthesized")
    assert wb.list_resources().empty


def test_tables_that_share_a_source_are_deployed_together(local_aws: Status, synthesize: Synthesize) -> None:
    """The same with a `when`: each kind arrives in its own table, and what is of no kind in the rest."""
    session = boto3.Session()
    folder = synthesize(table_name="orders")
    bootstrap(session, folder)
    for part in ("foundation", "tables", "access", "delivery", "observe"):
        create(session, f"synthesized-{part}", read(folder, part))
    project: Path = synthesize.project  # type: ignore[attr-defined]
    settings = load_settings(project, **NAMES, table_name="orders")
    wb = dynaberg.Workbench(settings, session, own_contract(settings))
    for kind in ("orders", "customers", "wishes"):
        item = {"PK": {"S": f"one of {kind}"}, "kind": {"S": kind}}
        session.client("dynamodb").put_item(TableName="synthesized-shop", Item=item)
    for kind in ("orders", "customers"):
        wb.table(kind).wait_for_delivery()
        wb.table(kind).refresh()
        assert wb.table(kind).reconcile().matches
        assert wb.query(f"SELECT pk FROM {kind}").df["pk"].tolist() == [f"one of {kind}"]

    def rest() -> list[str]:
        return wb.query("SELECT pk FROM synthesized_shop_other_changes").df["pk"].tolist()

    aws.wait_for(lambda: rest() == ["one of wishes"], timeout=240, what="The item of no kind")
    wb.clean_up(confirm="synthesized", delete_items_of=["synthesized-shop"])
    assert wb.list_resources().empty


def bootstrap(session: boto3.Session, folder: Path) -> None:
    """What `cdk bootstrap` leaves in an account, as far as a deployment needs it, and the asset in it."""
    session.client("ssm").put_parameter(
        Name="/cdk-bootstrap/hnb659fds/version", Value="21", Type="String", Overwrite=True
    )
    account = session.client("sts").get_caller_identity()["Account"]
    s3, bucket = session.client("s3"), f"cdk-hnb659fds-assets-{account}-us-east-1"
    with suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=bucket)
    archive = (folder / f"asset.{code_key(folder)}").read_bytes()
    s3.put_object(Bucket=bucket, Key=code_key(folder), Body=archive)


def create(session: boto3.Session, name: str, template: Template) -> None:
    cloudformation = session.client("cloudformation")
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=json.dumps(template),
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
        Tags=[{"Key": TAG, "Value": NAMES["name"]}],
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
