"""What the scheduled runs did: read from the records that they leave in the error bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynaberg import aws, deploy
from dynaberg.errors import require_whole
from dynaberg.functions.schedule import records
from dynaberg.prices import query_usd, total_usd

if TYPE_CHECKING:
    import boto3
    import pandas as pd

    from dynaberg.settings import Settings

_COLUMNS = (
    *("started", "table", "action", "rows", "bytes_scanned", "cost_usd", "seconds"),
    *("attempts", "outcome", "run"),
)


def read_runs(
    session: boto3.Session, settings: Settings, table: str | None = None, *, days: int = 7
) -> pd.DataFrame:
    """What the scheduled runs of the last days did.

    Args:
        session: An open session.
        settings: The project.
        table: Only what was done to this table.
        days: How far back.

    Returns:
        One row per run and table, the latest run first: started (UTC), table, action (`none`, `incremental`,
        `full`, of a curated table `unchanged`, `created`, `replaced`, `merged`, or of a change log `copied`),
        rows (written),
        bytes_scanned, cost_usd (Decimal, at list prices), seconds, attempts, outcome (`ok`, `failed: …`, or
        `busy` if the run before was not over), run.

    Raises:
        NotFoundError: There is no foundation yet.
        SettingsError: `days` is not positive.
    """
    import pandas as pd

    days = require_whole("days", days, least=1, most=3_650, hint="Use for example 7.")
    bucket = deploy.outputs(session, settings, "foundation")["ErrorBucketName"]
    found = [
        row
        for row in records.read(aws.client(session, "s3"), bucket, days)
        if table is None or row["table"] == table
    ]
    lines = [
        (
            *(row["started"], row["table"], row["action"], row["rows"], sum(row["scanned"])),
            total_usd(query_usd(scanned) for scanned in row["scanned"]),
            *(row["seconds"], row["attempts"], row["outcome"], row["run"]),
        )
        for row in sorted(found, key=lambda row: str(row["started"]), reverse=True)
    ]
    frame = pd.DataFrame(lines, columns=[*_COLUMNS])
    frame["started"] = pd.to_datetime(frame["started"], utc=True, format="ISO8601")
    types = {"rows": "int64", "bytes_scanned": "int64", "attempts": "int64", "seconds": "float64"}
    return frame.astype(types)
