"""What holds failed changes, and whose they are: the error bucket is that of all sources of a project.

Firehose writes rows below the name of their change log; only the first source's own log has no name in its
keys. The functions note their ARN, and a change record names its DynamoDB table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dynaberg.delivery.queues import Message

if TYPE_CHECKING:
    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

FUNCTIONS = ("forwarder", "transform", "redrive")
_LOG = re.compile(r"errors/(?:undelivered/)?([a-z_][a-z0-9_]*_changes)/")


@dataclass(frozen=True)
class FailedChange:
    """One change that was not delivered.

    Attributes:
        raw: The change record, or the change row that was made from it, unchanged.
        error_code: Why it failed, such as `Conversion.WrongType`.
        error_message: The same, in words.
        failed_at: When its delivery was given up; timezone-aware.
        attempts: How often it was tried.
        error_record: The line of the error bucket that holds it; empty if it is held in another way.
    """

    raw: bytes
    error_code: str
    error_message: str
    failed_at: datetime | None
    attempts: int
    error_record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def document(self) -> Any:
        """The change record or the change row, or, if it is not JSON, its text."""
        try:
            return json.loads(self.raw)
        except (ValueError, RecursionError):
            return self.raw.decode(errors="replace")


@dataclass(frozen=True)
class Envelope:
    """An object of the error bucket, or a message of a queue, that holds failed changes.

    Attributes:
        where: `error bucket`, `dead-letter queue` or `parked queue`.
        name: Key of the object, or id of the message.
        body: Its bytes.
        changes: The changes that it holds.
        message: The message, if it is one.
        letter_log: The change log that a message names; empty if its source has only one.
    """

    where: str
    name: str
    body: bytes
    changes: tuple[FailedChange, ...]
    message: Message | None = None
    letter_log: str = ""

    @property
    def log(self) -> str:
        """The change log that its rows are for; empty for the first one of the source."""
        return self.letter_log or log_of(self.name)


def log_of(key: str) -> str:
    """The change log that the key of an error object names; empty if it names none."""
    found = _LOG.match(key)
    return found[1] if found else ""


def belongs_to(settings: Settings, contract: Contract) -> Callable[[Envelope], bool]:
    """Whether what holds failed changes is of a table's source.

    Args:
        settings: The project, and which source's stacks are meant.
        contract: The table contract.
    """
    logs = {each.log_name for each in contract.of_source}
    functions = {f"{settings.pipeline}-{name}" for name in FUNCTIONS}

    def belongs(envelope: Envelope) -> bool:
        if envelope.message:
            return True
        if log := log_of(envelope.name):
            return log in logs
        arns = [str(change.error_record.get("lambdaArn", "")) for change in envelope.changes]
        if named := [arn.rpartition(":")[2] for arn in arns if ":function:" in arn]:
            return functions.issuperset(named)
        tables = {source_of(change.document) for change in envelope.changes} - {""}
        return contract.source_table in tables if tables else not settings.source

    return belongs


def source_of(document: Any) -> str:
    """The DynamoDB table that a change record names; empty if it names none."""
    record = document if isinstance(document, dict) else {}
    arn = record.get("eventSourceARN")
    name = arn.split("/")[1] if isinstance(arn, str) and "/" in arn else record.get("tableName")
    return name if isinstance(name, str) else ""
