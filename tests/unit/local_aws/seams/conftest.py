"""What the seams put in the place of ministack's own is taken back after each test."""

from __future__ import annotations

import pytest
from ministack.core import lambda_runtime, persistence
from ministack.core.responses import AccountRegionScopedDict
from ministack.services import dynamodb, lambda_svc

PATCHED = [
    (lambda_svc, "_iter_all_esms"),
    (dynamodb, "get_state"),
    (dynamodb, "load_persisted_state"),
    (dynamodb, "_emit_stream_event"),
    (dynamodb, "_set_item"),
    (dynamodb, "_fan_out_to_kinesis"),
    (dynamodb, "_stream_records"),
    (dynamodb, "_trim_stream_records"),
    (dynamodb, "new_uuid"),
    (lambda_runtime, "json"),
    (persistence, "json"),
    (dynamodb, "_stream_trimmed"),
    (dynamodb, "_stream_seq_counter"),
    (dynamodb, "_closed_streams"),
    (dynamodb, "_tables"),
    (dynamodb, "_kinesis_destinations"),
    (lambda_svc, "handle_request"),
    (lambda_runtime.Worker, "_spawn"),
]


@pytest.fixture(autouse=True)
def _patches_end_with_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in PATCHED:
        value = getattr(module, name)
        fresh = AccountRegionScopedDict() if isinstance(value, AccountRegionScopedDict) else value
        monkeypatch.setattr(module, name, fresh)
