"""How ministack writes its state, and the application that it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import IO, Any

import orjson


def application() -> Any:
    """The ASGI application of ministack; its settings are read from the environment on import."""
    from ministack.app import app

    return app


def write_state_files_quickly() -> None:
    """Write ministack's state with orjson, where that writes the same; a stop would take half a minute."""
    from ministack.core import persistence

    options = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS

    def dump(state: Any, file: IO[str], default: Callable[[Any], Any]) -> None:
        try:
            text = orjson.dumps(state, default=default, option=options).decode()
        except TypeError:
            json.dump(state, file, default=default)
        else:
            file.write(text)

    persistence.json = SimpleNamespace(dump=dump, load=json.load, JSONDecodeError=json.JSONDecodeError)
