"""The maintenance jobs' process: `python -m local_aws.s3tables.maintenance --endpoint URL --region REGION`.

It reads what to do from its standard input, a JSON line for each table, and writes what came of it as a
JSON line to its standard output. A process of its own, because rewriting files would hold up the gateway.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import boto3
import orjson
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError
from pyiceberg.table import Table

from local_aws.s3tables.maintenance.compaction import MEBIBYTE, CompactionError, compact
from local_aws.s3tables.maintenance.expiry import ExpiryError, expire, remove_unreferenced

COMPACTION = "icebergCompaction"
SNAPSHOTS = "icebergSnapshotManagement"
UNREFERENCED = "icebergUnreferencedFileRemoval"
FAILURES = (CompactionError, ExpiryError, CommitFailedException, NoSuchTableError, ValueError, OSError)

log = logging.getLogger(__name__)

Outcome = dict[str, Any]
Job = Callable[[Table, Any, Mapping[str, Any], dict[str, datetime], datetime], Outcome]


def run_jobs(catalog: Catalog, s3: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    """Run the jobs of one table, one after the other: what each did, or its `failureMessage`."""
    now = datetime.fromisoformat(request["now"])
    noncurrent = {name: datetime.fromisoformat(at) for name, at in request["noncurrent"].items()}
    outcomes: dict[str, Outcome] = {}
    for job, settings in request["jobs"].items():
        try:
            table = catalog.load_table((request["namespace"], request["name"]))
            outcomes[job] = _JOBS[job](table, s3, settings, noncurrent, now)
        except FAILURES as error:
            outcomes[job] = {"failureMessage": str(error) or type(error).__name__}
        except Exception as error:
            log.exception("%s of %s.%s failed", job, request["namespace"], request["name"])
            outcomes[job] = {"failureMessage": f"{type(error).__name__}: {error}"}
    return {
        "outcomes": outcomes,
        "noncurrent": {name: moment.isoformat() for name, moment in noncurrent.items()},
    }


def _compaction(
    table: Table, s3: Any, settings: Mapping[str, Any], noncurrent: dict[str, datetime], now: datetime
) -> Outcome:
    target_bytes = settings["targetFileSizeMB"] * MEBIBYTE
    done = compact(table, target_bytes=target_bytes, strategy=settings["strategy"])
    return {"filesBefore": done.files_before, "filesAfter": done.files_after, "snapshotId": done.snapshot_id}


def _snapshot_management(
    table: Table, s3: Any, settings: Mapping[str, Any], noncurrent: dict[str, datetime], now: datetime
) -> Outcome:
    before = len(table.metadata.snapshots)
    max_age = timedelta(hours=settings["maxSnapshotAgeHours"])
    files = expire(table, min_to_keep=settings["minSnapshotsToKeep"], max_age=max_age, now=now)
    noncurrent.update(dict.fromkeys(files, now))
    return {"snapshotsExpired": before - len(table.metadata.snapshots), "filesNoncurrent": len(files)}


def _file_removal(
    table: Table, s3: Any, settings: Mapping[str, Any], noncurrent: dict[str, datetime], now: datetime
) -> Outcome:
    removal = remove_unreferenced(
        table,
        s3,
        noncurrent,
        unreferenced_days=settings["unreferencedDays"],
        noncurrent_days=settings["nonCurrentDays"],
        now=now,
    )
    noncurrent.clear()
    noncurrent.update(removal.noncurrent)
    return {"filesDeleted": len(removal.deleted), "filesNoncurrent": len(removal.noncurrent)}


_JOBS: Mapping[str, Job] = {
    COMPACTION: _compaction,
    SNAPSHOTS: _snapshot_management,
    UNREFERENCED: _file_removal,
}


def main() -> None:
    """Run the process."""
    parser = argparse.ArgumentParser(prog="python -m local_aws.s3tables.maintenance")
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--region", default="us-east-1")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    session = boto3.Session("test", "test", region_name=options.region)
    s3 = session.client("s3", endpoint_url=options.endpoint)
    for line in sys.stdin.buffer:
        request = orjson.loads(line)
        catalog = open_catalog(options.endpoint, request["tableBucketARN"])
        sys.stdout.buffer.write(orjson.dumps(run_jobs(catalog, s3, request)) + b"\n")
        sys.stdout.buffer.flush()


def open_catalog(endpoint: str, table_bucket_arn: str) -> Catalog:
    """The Iceberg REST catalog of a table bucket."""
    return load_catalog(
        "maintenance",
        **{
            "type": "rest",
            "uri": f"{endpoint}/iceberg",
            "warehouse": table_bucket_arn,
            "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO",
        },
    )


if __name__ == "__main__":
    main()
