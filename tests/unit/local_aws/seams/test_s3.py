"""Where ministack keeps an object."""

from __future__ import annotations

from pathlib import Path

import pytest
from ministack.services import s3

from local_aws.seams import s3 as s3_seam


@pytest.mark.parametrize("key", ["data/part=a b/0.parquet", "a//b", "é"])
def test_an_object_lies_in_the_file_that_is_named(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "DATA_DIR", str(tmp_path))
    s3._persist_object("lake", key, {"body": b"content"})
    assert s3_seam.object_file("lake", key).read_bytes() == b"content"
