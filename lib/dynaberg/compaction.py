"""What a compaction would save: files now, and files after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# What Amazon S3 Tables compacts to by default ("Maintenance for tables", Amazon S3 User Guide).
TARGET_BYTES = 512 * 2**20


def compaction_saving(files: pd.DataFrame, *, target_bytes: int = TARGET_BYTES) -> pd.DataFrame:
    """How many files a compaction would leave of each partition.

    Data files of at least the target size stay as they are; the others are packed into files of that size,
    and delete files are applied and go. Bytes are taken to stay the same, so this is an estimate.

    Args:
        files: From `profile_files`.
        target_bytes: Size in bytes that the compaction aims at.

    Returns:
        One row per partition: partition, files, delete_files, bytes (of the data files), files_after,
        files_saved (delete files among them).

    Example:
        >>> compaction_saving(wb.profile_files("transactions_changes"))["files_saved"].sum()
    """
    is_data = files["content"] == "data"
    small = is_data & (files["bytes"] < target_bytes)
    counted = files.assign(
        files=is_data.astype("int64"),
        delete_files=(~is_data).astype("int64"),
        bytes=files["bytes"].where(is_data, 0),
        packed=files["bytes"].where(small, 0),
        kept=(is_data & ~small).astype("int64"),
    )
    sums = counted.groupby("partition", sort=True)[["files", "delete_files", "bytes", "packed", "kept"]].sum()
    after = sums["kept"] - -sums["packed"] // target_bytes
    saved = sums["files"] + sums["delete_files"] - after
    return sums[["files", "delete_files", "bytes"]].assign(files_after=after, files_saved=saved).reset_index()
