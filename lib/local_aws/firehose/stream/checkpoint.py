"""How far a delivery stream is delivered.

A flush is planned before it is done: the checkpoint first names the flush and its end, then, when tables
and error bucket hold everything, moves the committed position to that end. A worker that dies in between
finds the plan and does exactly the same flush again; a table that already holds it is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from local_aws.json_files import read_json, write_json

Position = int | dict[str, str]
"""A place in a journal, or the last sequence number by shard of a Kinesis stream."""

CHECKPOINT = "checkpoint.json"


@dataclass(frozen=True)
class Plan:
    """A flush that is being done.

    Attributes:
        flush_id: Its name; tables and error objects carry it.
        end: The position that is committed when it is done.
    """

    flush_id: str
    end: Position


@dataclass(frozen=True)
class Checkpoint:
    """How far a delivery stream is delivered.

    Attributes:
        committed: Everything before it is in its table or in the error bucket.
        plan: The flush in hand.
        snapshots: Snapshots committed so far.
        last_error: What the worker last stumbled over; None once delivery works again.
    """

    committed: Position
    plan: Plan | None = None
    snapshots: int = 0
    last_error: str | None = None

    def store(self, folder: Path) -> None:
        """Write it to a stream's folder, at once or not at all."""
        write_json(folder / CHECKPOINT, asdict(self))

    def but(self, **changes: Any) -> Checkpoint:
        """The same with some fields changed."""
        return replace(self, **changes)


def load_checkpoint(folder: Path, start: Position = 0) -> Checkpoint:
    """The checkpoint of a stream's folder.

    Args:
        folder: The stream's folder.
        start: Where delivery begins if there is none yet.
    """
    stored = read_json(folder / CHECKPOINT)
    if not stored:
        return Checkpoint(start)
    plan = stored["plan"]
    return Checkpoint(**(stored | {"plan": Plan(**plan) if plan else None}))


def stream_folders(root: Path) -> Iterator[Path]:
    """The folders of the streams that exist."""
    for folder in sorted(root.iterdir()) if root.exists() else []:
        if folder.is_dir():
            yield folder
