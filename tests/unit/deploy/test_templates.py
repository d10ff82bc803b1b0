"""The templates: valid for AWS, and every security promise as a rule."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from cfnlint.api import lint
from cfnlint.decode.cfn_yaml import load

from dynaberg.deploy.stack_state import ALL_PARTS, PARTS
from dynaberg.deploy.template import (
    STREAM_OUTPUT,
    TEMPLATES,
    load_template,
    stream_output,
    template_body,
    with_logs,
    with_rows,
)

NO_RESOURCE = {"lakeformation:GetDataAccess"}
HOLDS_DATA = {
    "AWS::DynamoDB::Table",
    "AWS::Kinesis::Stream",
    "AWS::S3::Bucket",
    "AWS::S3Tables::TableBucket",
    "AWS::S3Tables::Namespace",
    "AWS::SQS::Queue",
}


def template(part: str) -> dict[str, Any]:
    return load(str(TEMPLATES / f"{part}.yaml"))  # type: ignore[no-any-return]


ALL = {name: resource for part in ALL_PARTS for name, resource in template(part)["Resources"].items()}


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    found = {name: resource["Properties"] for name, resource in ALL.items() if resource["Type"] == kind}
    assert found
    return found


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The statements of a policy, those that stand under a condition too."""
    return [s["Fn::If"][1] if "Fn::If" in s else s for s in document["Statement"]]


def grants() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, role in of_type("AWS::IAM::Role").items():
        for policy in role["Policies"]:
            for statement in statements(policy["PolicyDocument"]):
                yield f"{name}.{statement['Sid']}", statement
    for name, policy in of_type("AWS::IAM::ManagedPolicy").items():
        for statement in statements(policy["PolicyDocument"]):
            yield f"{name}.{statement['Sid']}", statement


def allowed(role: str) -> set[str]:
    return {a for name, s in grants() if name.startswith(f"{role}.") for a in as_list(s["Action"])}


@pytest.mark.parametrize("part", ALL_PARTS)
def test_cfn_lint_has_nothing_to_say(part: str) -> None:
    matches = lint((TEMPLATES / f"{part}.yaml").read_text(), regions=["eu-central-1"])
    assert [str(match) for match in matches] == []


def test_cfn_lint_would_say_something() -> None:
    text = (TEMPLATES / "foundation.yaml").read_text()
    matches = lint(
        text.replace("BillingMode: PAY_PER_REQUEST", "BillingMode: FREE"), regions=["eu-central-1"]
    )
    assert "E3030" in str(matches[0])


@pytest.mark.parametrize(
    ("name", "statement"), list(grants()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_roles_may_do_what_they_name_and_no_more(name: str, statement: dict[str, Any]) -> None:
    actions = set(as_list(statement["Action"]))
    assert statement["Effect"] == "Allow"
    assert not [action for action in actions if "*" in action], name
    if actions - NO_RESOURCE:
        assert "*" not in as_list(statement["Resource"]), name


BY_LAMBDA_ITSELF = {"logs:CreateLogStream", "logs:PutLogEvents"}
# By S3, SQS, Kinesis and S3 Tables in a role's name, where a KMS key is set.
BY_MASKS = "secretsmanager:GetSecretValue"
BY_ENCRYPTION = {"kms:Decrypt", "kms:GenerateDataKey"}


def test_the_forwarder_may_call_what_its_code_calls() -> None:
    by_its_code = {"firehose:PutRecordBatch", "s3:PutObject", "sqs:SendMessage", BY_MASKS}
    by_its_event_source = {
        "dynamodb:DescribeStream",
        "dynamodb:GetRecords",
        "dynamodb:GetShardIterator",
        "dynamodb:ListStreams",
        "s3:ListBucket",
    }
    by_the_files_of_exports = {"s3:GetObject", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
    by_the_files_of_exports |= {"sqs:ReceiveMessage"}
    expected = by_its_code | by_its_event_source | by_the_files_of_exports | BY_LAMBDA_ITSELF | BY_ENCRYPTION
    assert allowed("ForwarderRole") == expected


def test_the_redrive_may_call_what_its_code_calls() -> None:
    by_its_code = {
        "firehose:PutRecordBatch",
        "s3:DeleteObject",
        "s3:GetObject",
        "s3:PutObject",
        "sqs:ChangeMessageVisibility",
        "sqs:SendMessage",
    }
    # Without ListBucket an object that was archived meanwhile is "AccessDenied" to S3, and not "NoSuchKey".
    to_tell_what_is_gone = {"s3:ListBucket"}
    by_its_event_source = {"sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"}
    expected = by_its_code | to_tell_what_is_gone | by_its_event_source | BY_LAMBDA_ITSELF | BY_ENCRYPTION
    assert allowed("RedriveRole") == expected


def test_the_transformation_may_keep_what_failed_and_no_more() -> None:
    expected = {"s3:PutObject", BY_MASKS} | BY_LAMBDA_ITSELF | BY_ENCRYPTION
    assert allowed("TransformRole") == expected


def test_firehose_may_read_kinesis_and_call_the_transformation() -> None:
    assert {a for a in allowed("FirehoseRole") if a.startswith(("kinesis:", "lambda:"))} == {
        "kinesis:DescribeStream",
        "kinesis:GetRecords",
        "kinesis:GetShardIterator",
        "kinesis:ListShards",
        "lambda:GetFunctionConfiguration",
        "lambda:InvokeFunction",
    }


def test_firehose_may_be_used_from_this_account_only() -> None:
    trust = ALL["FirehoseRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


@pytest.mark.parametrize(("name", "bucket"), of_type("AWS::S3::Bucket").items())
def test_buckets_are_private_encrypted_and_tidy(name: str, bucket: dict[str, Any]) -> None:
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert bucket["LifecycleConfiguration"]["Rules"]


@pytest.mark.parametrize("name", of_type("AWS::S3::Bucket"))
def test_buckets_take_tls_only(name: str) -> None:
    policies = [p for p in of_type("AWS::S3::BucketPolicy").values() if p["Bucket"] == {"Ref": name}]
    statement = policies[0]["PolicyDocument"]["Statement"][0]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == [{"Fn::GetAtt": [name, "Arn"]}, {"Fn::Sub": f"${{{name}.Arn}}/*"}]


def test_the_source_table_can_be_restored_and_tells_both_images() -> None:
    table = of_type("AWS::DynamoDB::Table")["SourceTable"]
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert ALL["SourceTable"]["DeletionPolicy"] == "RetainExceptOnCreate"


@pytest.mark.parametrize("name", [name for name, resource in ALL.items() if resource["Type"] in HOLDS_DATA])
def test_an_edit_never_takes_data_away(name: str) -> None:
    assert ALL[name]["UpdateReplacePolicy"] == "Retain"


@pytest.mark.parametrize(("name", "group"), of_type("AWS::Logs::LogGroup").items())
def test_logs_do_not_stay_for_ever(name: str, group: dict[str, Any]) -> None:
    assert group["RetentionInDays"]


@pytest.mark.parametrize("name", ["DeliveryStream", "KinesisDeliveryStream"])
def test_firehose_appends_and_keeps_what_failed(name: str) -> None:
    stream = of_type("AWS::KinesisFirehose::DeliveryStream")[name]
    destination = stream["IcebergDestinationConfiguration"]
    assert "DeliveryStreamName" not in stream
    assert destination["AppendOnly"] is True
    assert destination["s3BackupMode"] == "FailedDataOnly"
    assert destination["CloudWatchLoggingOptions"]["Enabled"] is True
    assert destination["CatalogConfiguration"]["CatalogArn"]["Fn::Sub"].endswith(
        ":catalog/s3tablescatalog/${TableBucketName}"
    )


def test_both_patterns_deliver_into_the_same_log() -> None:
    direct, kinesis = (
        dict(of_type("AWS::KinesisFirehose::DeliveryStream")[name]["IcebergDestinationConfiguration"])
        for name in ("DeliveryStream", "KinesisDeliveryStream")
    )
    processing = kinesis.pop("ProcessingConfiguration")
    assert direct == kinesis
    values = {p["ParameterName"]: p["ParameterValue"] for p in processing["Processors"][0]["Parameters"]}
    assert values["LambdaArn"] == {"Fn::GetAtt": ["Transform", "Arn"]}
    assert (values["BufferSizeInMBs"], processing["Enabled"]) == ("1", True)


def test_kinesis_keeps_changes_on_demand_and_dates_them_to_the_microsecond() -> None:
    parameter = template("foundation")["Parameters"]["RetentionHours"]
    assert (parameter["MinValue"], parameter["MaxValue"]) == (24, 365 * 24)
    stream = of_type("AWS::Kinesis::Stream")["ChangeStream"]
    assert stream["RetentionPeriodHours"] == {"Ref": "RetentionHours"}
    assert stream["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
    table = of_type("AWS::DynamoDB::Table")["SourceTable"]
    setting = table["KinesisStreamSpecification"]["Fn::If"][1]
    assert setting["ApproximateCreationDateTimePrecision"] == "MICROSECOND"


def test_the_event_source_loses_nothing_silently() -> None:
    source = of_type("AWS::Lambda::EventSourceMapping")["ForwarderSource"]
    assert source["StartingPosition"] == "TRIM_HORIZON"
    assert source["BisectBatchOnFunctionError"] is True
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["MaximumRetryAttempts"] > 0
    assert source["MaximumRecordAgeInSeconds"] < 24 * 3600
    assert source["DestinationConfig"]["OnFailure"]["Destination"]


@pytest.mark.parametrize("name", of_type("AWS::SQS::Queue"))
def test_queues_are_encrypted_keep_what_they_have_and_take_tls_only(name: str) -> None:
    queue = of_type("AWS::SQS::Queue")[name]
    assert queue["SqsManagedSseEnabled"] == {"Fn::If": ["HasKey", False, True]}
    assert queue["MessageRetentionPeriod"] == 14 * 24 * 3600
    policy = of_type("AWS::SQS::QueuePolicy")["QueuePolicy"]
    statement = policy["PolicyDocument"]["Statement"][0]
    assert {"Ref": name} in policy["Queues"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "sqs:*")
    assert {"Fn::GetAtt": [name, "Arn"]} in statement["Resource"]
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_a_dead_letter_is_not_seen_twice_while_the_redrive_has_it() -> None:
    queue, redrive = (
        of_type("AWS::SQS::Queue")["DeadLetterQueue"],
        of_type("AWS::Lambda::Function")["Redrive"],
    )
    assert queue["VisibilityTimeout"] >= 6 * redrive["Timeout"]
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": ["ParkedQueue", "Arn"]}
    # The redrive parks with the reason; SQS itself only what the redrive never gets to.
    assert (
        queue["RedrivePolicy"]["maxReceiveCount"]
        > template("delivery")["Parameters"]["RedriveAttempts"]["MaxValue"]
    )
    source = of_type("AWS::Lambda::EventSourceMapping")["RedriveSource"]
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_a_file_of_an_export_is_not_seen_twice_and_leaves_room_for_the_changes() -> None:
    queue, forwarder = (
        of_type("AWS::SQS::Queue")["BackfillQueue"],
        of_type("AWS::Lambda::Function")["Forwarder"],
    )
    assert queue["VisibilityTimeout"] >= 6 * forwarder["Timeout"]
    source = of_type("AWS::Lambda::EventSourceMapping")["BackfillSource"]
    assert (source["BatchSize"], source["FunctionName"]) == (1, {"Fn::GetAtt": ["Forwarder", "Arn"]})
    assert source["ScalingConfig"] == {"MaximumConcurrency": {"Ref": "BackfillConcurrency"}}


@pytest.mark.parametrize(
    "metric",
    [
        "DeliveryToIceberg.DataFreshness",
        "DeliveryToIceberg.FailedRowCount",
        "ExecuteProcessingFailure.Records",
        "ApproximateAgeOfOldestMessage",
        "ApproximateNumberOfMessagesVisible",
        "IteratorAge",
        "Errors",
        "Throttles",
        "WriteThrottleEvents",
        "WriteProvisionedThroughputExceeded",
    ],
)
def test_what_must_not_go_unnoticed_has_an_alarm(metric: str) -> None:
    alarms = [a for a in of_type("AWS::CloudWatch::Alarm").values() if a["MetricName"] == metric]
    assert alarms
    for alarm in alarms:
        topic = {"Fn::If": ["OwnsTopic", {"Ref": "AlarmTopic"}, {"Ref": "AlarmTopicArn"}]}
        assert alarm["AlarmActions"] == alarm["OKActions"] == [topic]
        # No news is good news: most of these metrics exist only while something happens.
        assert alarm["TreatMissingData"] == "notBreaching"


def test_every_function_has_alarms() -> None:
    watched = {
        (alarm["MetricName"], alarm["Dimensions"][0]["Value"]["Ref"])
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
        if alarm["Namespace"] == "AWS/Lambda"
    }
    # What becomes of the schedule's function is what its state machine reports.
    for name in of_type("AWS::Lambda::Function").keys() - {"Turn"}:
        assert {("Errors", f"{name}Name"), ("Throttles", f"{name}Name")} <= watched


def test_runs_that_fail_or_do_not_come_are_announced() -> None:
    alarms = {a["MetricName"]: a for a in of_type("AWS::CloudWatch::Alarm").values()}
    failed, missed = alarms["ExecutionsFailed"], alarms["ExecutionsSucceeded"]
    assert failed["AlarmActions"] == missed["AlarmActions"] == [{"Ref": "AlarmTopicArn"}]
    # No news is good news of failures, and bad news of what should have happened.
    assert (failed["TreatMissingData"], missed["TreatMissingData"]) == ("notBreaching", "breaching")


def test_a_run_waits_outside_of_the_function_and_tries_again() -> None:
    text = of_type("AWS::StepFunctions::StateMachine")["Runs"]["DefinitionString"]["Fn::Sub"]
    states = json.loads(text.replace("${WaitSeconds}", "20").replace("${RetrySeconds}", "60"))["States"]
    ways = {choice["StringEquals"]: choice["Next"] for choice in states["Outcome"]["Choices"]}
    assert [states[ways[status]]["Type"] for status in ("wait", "again", "failed")] == [
        "Wait",
        "Wait",
        "Fail",
    ]
    assert states["Turn"]["Retry"][0]["ErrorEquals"] == ["States.ALL"]
    assert {next_ for state in states.values() if (next_ := state.get("Next"))} <= states.keys()


def test_the_dashboards_are_json() -> None:
    with_kinesis, without = of_type("AWS::CloudWatch::Dashboard")["Dashboard"]["DashboardBody"]["Fn::If"][1:]
    for body in (with_kinesis, without):
        assert len(json.loads(body["Fn::Sub"])["widgets"]) == 6
    assert "Kinesis" not in without["Fn::Sub"]


NAMES_OF_OBSERVE = [name for name in template("observe")["Parameters"] if name.endswith("Name")]


def watched(number: int) -> dict[str, str]:
    """The observation of a further source on Kinesis, with names as long as CloudFormation makes them."""
    pipeline = f"dynaberg--application-{number}"
    named = {
        name: f"{pipeline}-delivery-{name.removesuffix('Name')}-ABCDEFGHIJKL" for name in NAMES_OF_OBSERVE
    }
    return named | {"SourceTableName": f"Application.{number}", "StreamType": "kinesis"}


@pytest.mark.parametrize("sources", [0, 1, 40, 230])
def test_every_source_has_its_row_in_a_dashboard(sources: int) -> None:
    rows = [watched(number) for number in range(sources)]
    made = with_rows(load_template(TEMPLATES / "observe.yaml"), "kinesis", rows)
    text = json.dumps(made)
    assert len(text) < 1_000_000, "as large as CloudFormation takes it from S3"
    found = [r["Properties"] for r in made["Resources"].values() if r["Type"] == "AWS::CloudWatch::Dashboard"]
    assert len(found) == (1 if sources <= 100 else 3)
    assert len({json.dumps(each["DashboardName"]) for each in found}) == len(found)
    shown = []
    for each in found:
        charts = json.loads(each["DashboardBody"]["Fn::Sub"])["widgets"]
        assert len(charts) <= 500
        assert sum(len(chart["properties"]["metrics"]) for chart in charts) <= 2_500
        places = [(chart["x"], chart["y"]) for chart in charts]
        assert len(set(places)) == len(places)
        shown += [chart["properties"]["title"].partition(":")[0] for chart in charts]
    assert all(shown.count(f"Application.{number}") == 4 for number in range(sources))
    # Deployed again with fewer, it is what a new one would be.
    fewer = with_rows(made, "kinesis", rows[:1])
    assert fewer == with_rows(load_template(TEMPLATES / "observe.yaml"), "kinesis", rows[:1])


def test_more_rows_than_a_template_holds_are_left_out() -> None:
    made = with_rows(load_template(TEMPLATES / "observe.yaml"), "kinesis", [watched(n) for n in range(400)])
    assert 900_000 < len(json.dumps(made)) <= 1_000_000


def test_athena_can_write_to_s3_tables() -> None:
    configuration = of_type("AWS::Athena::WorkGroup")["WorkGroup"]["WorkGroupConfiguration"]
    assert configuration["EnforceWorkGroupConfiguration"] is True
    assert configuration["ResultConfiguration"]["EncryptionConfiguration"] == {"EncryptionOption": "SSE_S3"}
    assert "RequesterPaysEnabled" not in configuration


OUTPUTS = {
    "foundation": [
        "SourceTableName",
        "SourceTableArn",
        "SourceOrigin",
        "StreamSwitchedOn",
        "ChangeStreamArn",
        "DynamoDbStreamArn",
        "KinesisStreamArn",
        "KinesisStreamName",
        "StreamType",
        "TableBucketArn",
        "TableBucketName",
        "Namespace",
        "ErrorBucketName",
        "CodeBucketName",
        "ResultsBucketName",
        "WorkGroupName",
    ],
    "access": [
        "FirehoseRoleArn",
        "ForwarderRoleArn",
        "RedriveRoleArn",
        "TransformRoleArn",
        "MaskKeyArn",
        "MaskKeyVersion",
        "AnalystPolicyArn",
        "AccessMode",
    ],
    "delivery": [
        "DeliveryStreamName",
        "DeliveryStreamArn",
        "KinesisDeliveryStreamName",
        "ForwarderName",
        "TransformName",
        "RedriveName",
        "DeadLetterQueueUrl",
        "DeadLetterQueueName",
        "ParkedQueueUrl",
        "ParkedQueueName",
        "BackfillQueueUrl",
    ],
    "observe": ["AlarmTopicArn", "DashboardName"],
    "parquet": ["ParquetBucketName", "ParquetDatabaseName", "ParquetReaderPolicyArn"],
    "schedule": ["StateMachineArn", "ScheduleName", "FunctionName"],
}


@pytest.mark.parametrize("part", ALL_PARTS)
def test_the_outputs(part: str) -> None:
    assert list(template(part)["Outputs"]) == OUTPUTS[part]


def test_nothing_is_tied_to_an_account_or_a_partition() -> None:
    for part in ALL_PARTS:
        text = (TEMPLATES / f"{part}.yaml").read_text()
        assert "arn:aws:" not in text
        assert "us-east-1" not in text


@pytest.mark.thorough
@pytest.mark.parametrize("part", ALL_PARTS)
def test_cfn_lint_has_nothing_to_say_of_several_change_logs(part: str) -> None:
    body = template_body(TEMPLATES / f"{part}.yaml", ["orders_changes", "shop_other_changes"])
    assert len(body) < 51_200, "as large as CloudFormation takes it in a call"
    matches = lint(body, regions=["eu-central-1"])
    assert [str(match) for match in matches] == []


def test_every_change_log_has_what_it_needs() -> None:
    others = ["orders_changes", "shop_other_changes"]
    found = {part: with_logs(load_template(TEMPLATES / f"{part}.yaml"), others) for part in PARTS}
    delivery = found["delivery"]["Resources"]
    tables = {
        json.dumps(r["Properties"]["IcebergDestinationConfiguration"]["DestinationTableConfigurationList"])
        for r in delivery.values()
        if r["Type"] == "AWS::KinesisFirehose::DeliveryStream"
    }
    assert len(tables) == 3
    names = [
        r["Properties"]["FunctionName"] for r in delivery.values() if r["Type"] == "AWS::Lambda::Function"
    ]
    assert len({json.dumps(name) for name in names}) == len(names) == 5
    for log in others:
        text = json.dumps(found["access"]["Resources"]["FirehoseRole"])
        assert text.count(log) == 3, "two ARNs of Glue, and the condition on S3 Tables"
        assert f"errors/{log}/" in json.dumps(delivery)
        assert stream_output(log, "DeliveryStreamName") in found["delivery"]["Outputs"]
        assert stream_output(log, "DeliveryStreamName") in found["observe"]["Parameters"]
    alarms = [
        r["Properties"]["AlarmName"] for r in found["observe"]["Resources"].values() if "Alarm" in r["Type"]
    ]
    assert len({json.dumps(name) for name in alarms}) == len(alarms)


def test_the_doctor_finds_every_stream_by_its_output() -> None:
    others = ["orders_changes", "shop_other_changes"]
    outputs = with_logs(load_template(TEMPLATES / "delivery.yaml"), others)["Outputs"]
    found = {name for name in outputs if STREAM_OUTPUT.fullmatch(name)}
    names = ("DeliveryStreamName", "KinesisDeliveryStreamName")
    assert found == {*names, *(stream_output(log, name) for log in others for name in names)}


def test_failures_can_have_a_key_of_their_own_and_nothing_else_has_it() -> None:
    holding = [name for name, r in ALL.items() if "FailuresKmsKeyArn" in json.dumps(r)]
    assert holding == ["ErrorBucket", "FirehoseRole", "ForwarderRole", "RedriveRole", "TransformRole"]
    for role in holding[1:]:
        [granted] = [s for name, s in grants() if name == f"{role}.UseTheKeyOfFailures"]
        assert granted["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
