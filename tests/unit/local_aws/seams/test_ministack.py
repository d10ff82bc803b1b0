"""That ministack is the version that was read, and takes what the seams hand to it."""

from __future__ import annotations

import inspect
from importlib.metadata import version
from typing import Any

import pytest
from ministack.core import lambda_runtime
from ministack.services import dynamodb, lambda_svc, s3


def test_ministack_is_the_version_whose_private_parts_were_read() -> None:
    assert version("ministack") == "1.5.33"


@pytest.mark.parametrize(
    ("module", "name", "parameters"),
    [
        (lambda_svc, "_iter_all_esms", []),
        (dynamodb, "_emit_stream_event", ["table_name", "event_name", "old_item", "new_item", "replicate"]),
        (dynamodb, "_build_change_record", ["table", "event_name", "old_item", "new_item", "view_type"]),
        (dynamodb, "_set_item", ["table", "pk_val", "sk_val", "item"]),
        (dynamodb, "_replicate_write", ["table", "event_name", "old_item", "new_item"]),
        (dynamodb, "_fan_out_to_kinesis", ["table_name", "record"]),
        (dynamodb, "_enable_kinesis_streaming_destination", ["data"]),
        (dynamodb, "_disable_kinesis_streaming_destination", ["data"]),
        (dynamodb, "_update_kinesis_streaming_destination", ["data"]),
        (dynamodb, "_export_table_to_point_in_time", ["data"]),
        (dynamodb, "_describe_export", ["data"]),
        (s3, "_put_object", ["bucket_name", "key", "body", "headers"]),
        (lambda_svc, "handle_request", ["method", "path", "headers", "body", "query_params"]),
        (lambda_runtime.Worker, "_spawn", ["self"]),
    ],
)
def test_functions_take_what_is_handed_to_them(module: Any, name: str, parameters: list[str]) -> None:
    assert list(inspect.signature(getattr(module, name)).parameters) == parameters
