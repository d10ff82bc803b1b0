"""Private parts of ministack's Firehose that are read, because there is no public way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def stream_versions() -> Mapping[Any, tuple[Any, Any]]:
    """When each delivery stream was made, and its version; to ask for each costs a thread of ministack's."""
    from ministack.services import firehose

    return {scope: (one["created_at"], one["version"]) for scope, one in firehose._streams.all_items()}
