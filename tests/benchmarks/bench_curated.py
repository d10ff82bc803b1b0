"""Curated tables: planning 50 files in a graph of depth 6, and what a change in one builds.

python tests/benchmarks/bench_curated.py

| measured | at most |
|---|---|
| `preview_build` of 50 files, all of them built: median of 5 | 1 s |
| `build` after a change of one input: tables built | those that depend on it |
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

import boto3

import local_aws
from dynaberg.contracts.contract import load_contract
from dynaberg.settings import Settings
from dynaberg.sql import query
from dynaberg.workbench import Workbench

ROOT = Path(__file__).parents[2]
DEPTH, WIDE, FILES = 6, 8, 50


def write_files(folder: Path) -> None:
    """Files of which each reads two of the level below, and two more beside them."""
    folder.mkdir(parents=True)
    for number in range(FILES):
        level, place = divmod(number, WIDE)
        above = f"a{place % 4}"
        if 0 < level < DEPTH:
            above = f"t{number - WIDE:02d} JOIN t{(level - 1) * WIDE + (place + 1) % 3:02d} USING (n)"
        (folder / f"t{number:02d}.sql").write_text(f"-- check: rows > 0\nSELECT n FROM {above}\n")


def prepared(root: Path) -> Workbench:
    """A table bucket with four tables to read, and the files."""
    settings = Settings(name="bench", table_bucket_name="bench-tables", namespace="bench", root=root)
    session = boto3.Session()
    tables = session.client("s3tables")
    arn = tables.create_table_bucket(name=settings.table_bucket_name)["arn"]
    tables.create_namespace(tableBucketARN=arn, namespace=[settings.namespace])
    session.client("s3").create_bucket(Bucket="bench-results")
    location = {"ResultConfiguration": {"OutputLocation": "s3://bench-results/"}}
    session.client("athena").create_work_group(Name=settings.name, Configuration=location)
    for place in range(4):
        query(session, settings, f"CREATE TABLE a{place} WITH (format = 'PARQUET') AS SELECT 1 AS n")
    write_files(root / "data" / "sql" / "curated")
    return Workbench(settings, session, load_contract(ROOT / "data" / "tables" / "transactions.yaml"))


def main() -> None:
    """Build everything, plan it with nothing to do, and change one table that files read."""
    root = Path(tempfile.mkdtemp(prefix="dynaberg-bench-"))
    status = local_aws.start(root / "state", port=int(os.environ.get("PORT", "4898")))
    os.environ.update(local_aws.env(status.endpoint, status.region))
    try:
        wb = prepared(root)
        wb.build()
        seconds = []
        for _ in range(5):
            started = time.perf_counter()
            preview = wb.preview_build()
            seconds.append(time.perf_counter() - started)
        assert set(preview["action"]) == {"none"}
        print(f"planning {FILES} files, depth {preview['depth'].max()}: {statistics.median(seconds):.3f} s")
        query(wb.session, wb.settings, "INSERT INTO a3 VALUES 1")
        wanted = int((wb.preview_build()["action"] == "build").sum())
        built = int(wb.build()["action"].isin(["created", "replaced"]).sum())
        print(f"a change of one of four inputs: {built} of {FILES} built, {wanted} depend on it")
    finally:
        local_aws.stop(root / "state")


if __name__ == "__main__":
    main()
