"""The records that ministack holds of the tables of S3 Tables, which no public call changes."""

from __future__ import annotations

from typing import Any


def held_table(bucket_arn: str, namespace: str, name: str) -> dict[str, Any]:
    """The record of a table; what is changed in it is changed."""
    from ministack.services import s3tables

    record: dict[str, Any] = s3tables._tables[s3tables._table_key(bucket_arn, namespace, name)]
    return record
