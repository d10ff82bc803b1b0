"""The local Athena in this process, without its door: what needs no table."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any, cast

from local_aws.athena.api.results import fields, records
from local_aws.athena.dialect import QueryError
from local_aws.athena.statements import Execution, Runner
from local_aws.athena.tables import Catalogs, Engine

NOWHERE = "http://127.0.0.1:1"
Outcome = dict[str, Any]


class LocalAthena:
    """Answers queries as the local Athena does."""

    def __init__(self, folder: Path) -> None:
        self.engine = Engine(folder, NOWHERE, "us-east-1")
        loop = asyncio.new_event_loop()
        self.runner = Runner(self.engine, Catalogs(cast(Any, None), NOWHERE, "us-east-1", loop))
        loop.close()

    def run(self, sql: str) -> Outcome:
        """Types, names and rows of a query, or its error's code."""
        execution = Execution(sql, (), "awsdatacatalog", "", "primary", "s3://none/", sql)
        try:
            answer = self.runner.run(execution)
        except QueryError as error:
            return {"error": error.code, "message": error.message}
        except Exception as error:  # noqa: BLE001 - what the service answers as GENERIC_INTERNAL_ERROR
            return {"error": "GENERIC_INTERNAL_ERROR", "message": f"{type(error).__name__}: {error}"}
        assert execution.file is not None
        with execution.file.open("rb") as file:
            rows = [list(fields(record.decode().removesuffix("\n"))) for record in records(file)]
        execution.file.unlink()
        return {
            "types": [column_type(column) for column in answer.columns],
            "names": [column["Name"] for column in answer.columns],
            "rows": rows,
        }

    def close(self) -> None:
        self.engine.close()


def column_type(column: Any) -> str:
    """A `ColumnInfo`'s type, with the digits of a decimal."""
    kind = str(column["Type"])
    return f"decimal({column['Precision']},{column['Scale']})" if kind == "decimal" else kind


def as_column_type(name: str) -> str:
    """A type of `typeof` as `ColumnInfo` has it: without what stands in brackets, but for decimals."""
    if name.startswith("decimal"):
        return name
    return re.sub(r"\(.*\)", "", name)
