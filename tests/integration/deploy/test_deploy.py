"""The two stacks on the local AWS: deployed, deployed again, changed, failed and explained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from dynaberg import aws, deploy
from dynaberg.contracts.contract import Contract, load_contract
from dynaberg.deploy import cleanup, deployer, stack_state
from dynaberg.deploy.deployer import delete_stack, deploy_stack, preview_stack
from dynaberg.deploy.packaging import package, upload
from dynaberg.deploy.stacks import tags
from dynaberg.errors import DeploymentError, NotFoundError
from dynaberg.settings import Settings
from local_aws import Status

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = Settings(
    name="deploying",
    table_bucket_name="deployingtables",
    bucket_name="deploying",
    root=ROOT,
    table_name="transactions",
)
BUCKET = """
Resources:
  First:
    Type: AWS::S3::Bucket
    Properties:
      BucketName: {bucket}
"""
STREAM = """
  {resource}:
    Type: AWS::KinesisFirehose::DeliveryStream
    DependsOn: First
    Properties:
      DeliveryStreamName: deploying-stream
      S3DestinationConfiguration:
        BucketARN: !GetAtt First.Arn
        RoleARN: !Sub "arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/none"
"""


@pytest.fixture(scope="module")
def session(local_aws: Status) -> boto3.Session:
    return boto3.Session()


@pytest.fixture(scope="module")
def contract() -> Contract:
    found = load_contract(ROOT / "data" / "tables" / "transactions.yaml")
    return replace(found, source_table="deploying-transactions")


@pytest.fixture(scope="module")
def deployed(session: boto3.Session, contract: Contract) -> Iterator[Settings]:
    foundation = deploy.enable_cdc(session, SETTINGS, contract)
    delivery = deploy.deploy_firehose(session, SETTINGS, contract)
    assert set(foundation["status"]) == set(delivery["status"]) == {"CREATE_COMPLETE"}
    yield SETTINGS
    cleanup.clean_up(session, SETTINGS, confirm="deploying")


def test_the_stacks_are_there_with_their_outputs(session: boto3.Session, deployed: Settings) -> None:
    assert deploy.exists(session, deployed, "foundation")
    assert deploy.exists(session, deployed, "delivery")
    found = deploy.outputs(session, deployed, "foundation")
    table = session.client("dynamodb").describe_table(TableName=found["SourceTableName"])["Table"]
    assert table["LatestStreamArn"] == found["ChangeStreamArn"]
    assert {(k["AttributeName"], k["KeyType"]) for k in table["KeySchema"]} == {
        ("transaction_id", "HASH"),
        ("timestamp", "RANGE"),
    }
    assert {(a["AttributeName"], a["AttributeType"]) for a in table["AttributeDefinitions"]} == {
        ("transaction_id", "S"),
        ("timestamp", "N"),
    }


def test_the_second_time_nothing_is_done(
    session: boto3.Session, deployed: Settings, contract: Contract
) -> None:
    foundation = deploy.enable_cdc(session, deployed, contract)
    delivery = deploy.deploy_firehose(session, deployed, contract)
    assert foundation["seconds"].sum() + delivery["seconds"].sum() == 0
    result = deploy_stack(
        session,
        "deploying-foundation",
        deploy.TEMPLATES / "foundation.yaml",
        deploy.foundation_parameters(deployed, contract),
        tags=tags(deployed),
    )
    assert not result.changed
    assert result.outputs["WorkGroupName"] == "deploying"
    change_sets = session.client("cloudformation").list_change_sets(StackName="deploying-foundation")[
        "Summaries"
    ]
    assert not [c for c in change_sets if c["ExecutionStatus"] != "EXECUTE_COMPLETE"]


def test_a_preview_shows_what_would_change_and_changes_nothing(
    session: boto3.Session, deployed: Settings, contract: Contract
) -> None:
    parameters = deploy.foundation_parameters(deployed, contract) | {"BucketName": "renamed"}
    shown = preview_stack(session, "deploying-foundation", deploy.TEMPLATES / "foundation.yaml", parameters)
    buckets = shown[shown["type"] == "AWS::S3::Bucket"]
    assert set(buckets["action"]) == {"Modify"}
    assert set(buckets["replacement"]) <= {"True", "Conditional"}
    assert deploy.outputs(session, deployed, "foundation")["CodeBucketName"].startswith("deploying-code-")


def test_a_preview_of_what_does_not_exist_leaves_nothing(session: boto3.Session, contract: Contract) -> None:
    settings = replace(SETTINGS, name="previewed")
    parameters = deploy.foundation_parameters(settings, contract)
    shown = preview_stack(session, "previewed-foundation", deploy.TEMPLATES / "foundation.yaml", parameters)
    assert set(shown["action"]) == {"Add"}
    assert not deploy.exists(session, settings, "foundation")
    with pytest.raises(NotFoundError, match="previewed-foundation"):
        deploy.outputs(session, settings, "foundation")


def test_a_change_is_carried_out_and_read_back(
    session: boto3.Session, deployed: Settings, contract: Contract
) -> None:
    name = deploy.outputs(session, deployed, "delivery")["DeliveryStreamName"]
    for seconds in (25, 10):
        deploy.deploy_firehose(session, deployed, contract, buffer_seconds=seconds)
        stream = session.client("firehose").describe_delivery_stream(DeliveryStreamName=name)
        destination = stream["DeliveryStreamDescription"]["Destinations"][0]["IcebergDestinationDescription"]
        assert int(destination["BufferingHints"]["IntervalInSeconds"]) == seconds


def test_the_code_is_uploaded_once(session: boto3.Session, deployed: Settings, contract: Contract) -> None:
    bucket = deploy.outputs(session, deployed, "foundation")["CodeBucketName"]
    s3 = session.client("s3")
    code = package(contract)
    key = upload(session, bucket, code)
    stored = s3.get_object(Bucket=bucket, Key=key)
    assert stored["Body"].read() == code
    assert upload(session, bucket, code) == key
    assert s3.head_object(Bucket=bucket, Key=key)["LastModified"] == stored["LastModified"]


def test_everything_that_takes_tags_is_tagged(session: boto3.Session, deployed: Settings) -> None:
    found = session.client("resourcegroupstaggingapi").get_resources(
        TagFilters=[{"Key": "dynaberg:name", "Values": ["deploying"]}]
    )
    kinds = {mapping["ResourceARN"].split(":")[2] for mapping in found["ResourceTagMappingList"]}
    assert {"dynamodb", "lambda"} <= kinds


def test_with_stream_type_kinesis_the_changes_go_to_a_data_stream(
    session: boto3.Session, contract: Contract
) -> None:
    settings = replace(
        SETTINGS,
        name="shards",
        stream_type="kinesis",
        table_bucket_name="shardstables",
        bucket_name="shards",
    )
    deploy.enable_cdc(session, settings, replace(contract, source_table="shards-transactions"))
    arn = deploy.outputs(session, settings, "foundation")["ChangeStreamArn"]
    answer = session.client("dynamodb").describe_kinesis_streaming_destination(
        TableName="shards-transactions"
    )
    found = [
        (d["StreamArn"], d["DestinationStatus"], d["ApproximateCreationDateTimePrecision"])
        for d in answer["KinesisDataStreamDestinations"]
    ]
    assert found == [(arn, "ACTIVE", "MICROSECOND")]
    for hours in (48, 24):
        kept = replace(settings, retention_hours=hours)
        deploy.enable_cdc(session, kept, replace(contract, source_table="shards-transactions"))
        summary = session.client("kinesis").describe_stream_summary(StreamARN=arn)["StreamDescriptionSummary"]
        assert summary["RetentionPeriodHours"] == hours
        assert summary["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
    removed = cleanup.clean_up(session, settings, confirm="shards")
    assert "AWS::Kinesis::Stream" in set(removed["kind"])


def test_what_is_not_deployed_names_the_notebook(session: boto3.Session, contract: Contract) -> None:
    settings = replace(SETTINGS, name="absent")
    with pytest.raises(NotFoundError, match="no stack 'absent-foundation'") as caught:
        deploy.deploy_firehose(session, settings, contract)
    assert "01_enable_cdc" in caught.value.hint


def test_a_failure_names_the_first_resource_and_a_second_try_succeeds(
    session: boto3.Session, tmp_path: Path
) -> None:
    template = tmp_path / "broken.yaml"
    bucket = BUCKET.format(bucket="deploying-first")
    template.write_text(bucket + STREAM.format(resource="Second") + STREAM.format(resource="Third"))
    with pytest.raises(
        DeploymentError, match=r"'deploying-broken': Third \(AWS::KinesisFirehose::DeliveryStream\) failed"
    ):
        deploy_stack(session, "deploying-broken", template, {})
    assert not stack_state.stack_exists(session, "deploying-broken")
    template.write_text(bucket)
    result = deploy_stack(session, "deploying-broken", template, {})
    assert list(result.resources["resource"]) == ["First"]
    for _ in range(2):
        delete_stack(session, "deploying-broken")
    assert not stack_state.stack_exists(session, "deploying-broken")


def test_a_name_that_is_taken_is_explained_and_nothing_of_it_touched(
    session: boto3.Session, tmp_path: Path
) -> None:
    s3 = session.client("s3")
    s3.create_bucket(Bucket="deploying-others")
    s3.put_object(Bucket="deploying-others", Key="dear", Body=b"data")
    template = tmp_path / "taken.yaml"
    template.write_text(BUCKET.format(bucket="deploying-others"))
    with pytest.raises(
        DeploymentError, match=r"First \(AWS::S3::Bucket\) failed: .* already exists"
    ) as caught:
        deploy_stack(session, "deploying-taken", template, {})
    assert "name is taken" in caught.value.hint
    delete_stack(session, "deploying-taken")
    assert s3.get_object(Bucket="deploying-others", Key="dear")["Body"].read() == b"data"


@pytest.mark.parametrize(
    "step", ["create_change_set", "describe_change_set", "execute_change_set", "_follow"]
)
def test_interrupted_half_way_it_is_run_again(
    session: boto3.Session, contract: Contract, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    settings = replace(SETTINGS, name="halfway", table_bucket_name="halfwaytables", bucket_name="halfway")
    owner = deployer if step == "_follow" else aws.client(session, "cloudformation")
    real = getattr(owner, step)

    def interrupted(*positional: Any, **named: Any) -> None:
        if step != "_follow":
            real(*positional, **named)
        raise KeyboardInterrupt

    halfway = replace(contract, source_table="halfway-transactions")
    with monkeypatch.context() as patch:
        patch.setattr(owner, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            deploy.enable_cdc(session, settings, halfway)
    deployed = deploy.enable_cdc(session, settings, halfway)
    assert len(deployed) == 10
    assert set(deployed["status"]) == {"CREATE_COMPLETE"}
    assert len(cleanup.clean_up(session, settings, confirm="halfway")) == 10


def test_what_was_never_executed_is_cleaned_up(
    session: boto3.Session, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(SETTINGS, name="never")
    with monkeypatch.context() as patch:
        patch.setattr(aws.client(session, "cloudformation"), "execute_change_set", None)
        with pytest.raises(TypeError):
            deploy.enable_cdc(session, settings, contract)
    cleanup.clean_up(session, settings, confirm="never")
    with pytest.raises(NotFoundError):
        deploy.outputs(session, settings, "foundation")


def test_a_template_that_is_none_is_explained(session: boto3.Session, tmp_path: Path) -> None:
    template = tmp_path / "none.yaml"
    template.write_text("Resources: {A: {Type: AWS::No::Such}}")
    with pytest.raises(DeploymentError, match="AWS::No::Such"):
        deploy_stack(session, "deploying-none", template, {})
    assert not stack_state.stack_exists(session, "deploying-none")
