"""How far a delivery stream is delivered.

A flush is planned before it is done: the checkpoint first names the flush and its end, then, when tables
and error bucket hold everything, moves the committed position to that end. A worker that dies in between
finds the plan and does exactly the same flush again; a table that already holds it is left alone.

A flush that cannot be done is done in halves: the plan then names the first half, and what is to follow.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
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
        within: The flushes that it is a part of: a table may hold one of them already.
        refusal: Why its only record cannot be delivered.
        following: The rest of the flush that it is a part of.
    """

    flush_id: str
    end: Position
    within: tuple[str, ...] = ()
    refusal: str | None = None
    following: Plan | None = None

    @classmethod
    def up_to(cls, end: Position) -> Plan:
        """A new flush."""
        return cls(uuid.uuid4().hex, end)

    @classmethod
    def stored(cls, content: Mapping[str, Any] | None) -> Plan | None:
        """A plan as it was stored."""
        if content is None:
            return None
        following = cls.stored(content.get("following"))
        return cls(**{**content, "within": tuple(content.get("within", ())), "following": following})

    def halved(self, middle: Position) -> Plan:
        """The part up to a position, followed by the rest."""
        within = (*self.within, self.flush_id)
        rest = replace(Plan.up_to(self.end), within=within, following=self.following)
        return replace(Plan.up_to(middle), within=within, following=rest)


@dataclass(frozen=True)
class Checkpoint:
    """How far a delivery stream is delivered.

    Attributes:
        committed: Everything before it is in its table or in the error bucket.
        plan: The current flush.
        snapshots: Snapshots committed so far.
        last_error: The last error of the worker; None once delivery works again.
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
        start: Where delivery starts if there is none yet.
    """
    stored = read_json(folder / CHECKPOINT)
    if not stored:
        return Checkpoint(start)
    return Checkpoint(**(stored | {"plan": Plan.stored(stored["plan"])}))


def stream_folders(root: Path) -> Iterator[Path]:
    """The folders of the streams that exist."""
    for folder in sorted(root.iterdir()) if root.exists() else []:
        if folder.is_dir():
            yield folder
