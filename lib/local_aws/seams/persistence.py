"""How ministack writes its state, and the application that it is."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson


def application() -> Any:
    """The ASGI application of ministack; its settings are read from the environment on import."""
    from ministack.app import app

    return app


def inflate_no_more_than(most_bytes: int) -> None:
    """Bound what a compressed body may become; ministack goes on with the body as it is where that fails."""
    from ministack import app

    def decompress(body: bytes) -> bytes:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as packed:
            content = packed.read(most_bytes + 1)
        if len(content) > most_bytes:
            msg = f"it has more than {most_bytes} bytes"
            raise OSError(msg)
        return content

    app.gzip = SimpleNamespace(decompress=decompress)


def write_state_files_quickly() -> None:
    """Write ministack's state with orjson, where that writes the same, and only the files that change."""
    from ministack.core import persistence

    options = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS

    def save_state(service: str, data: Any) -> None:
        state = {"__ministack_format__": persistence._state_format_version(service), "payload": data}
        try:
            try:
                content = orjson.dumps(state, persistence._json_default, options)
            except TypeError:
                content = json.dumps(state, default=persistence._json_default).encode()
            replace(Path(persistence.STATE_DIR) / f"{service}.json", content)
        except (OSError, RuntimeError, TypeError, ValueError) as error:
            persistence.logger.exception("%s is not saved: %s", service, error)

    persistence.save_state = save_state


def replace(path: Path, content: bytes) -> None:
    """Write a file whole, unless that is what it holds."""
    if path.exists() and path.stat().st_size == len(content) and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".json.tmp")
    draft.write_bytes(content)
    draft.replace(path)


def save_everything() -> None:
    """Let ministack write the state of all its services, as it does when it stops."""
    from ministack import app
    from ministack.core import persistence

    persistence.save_all(app._build_persistence_save_dict())


def is_deploying() -> bool:
    """Whether CloudFormation is working on a stack: after a restart, nothing would continue that."""
    from ministack.services import cloudformation

    states = {stack["StackStatus"] for _, stack in cloudformation._stacks.all_items()}
    return any(state.endswith("_IN_PROGRESS") for state in states - {"REVIEW_IN_PROGRESS"})
