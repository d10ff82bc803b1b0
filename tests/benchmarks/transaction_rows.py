"""Rows of the transactions table by the million: states of the traffic model, drawn with numpy.

Each row is a state that the model made, with an id, a moment and an amount of its own, so that frequencies
and the ties between columns are the model's. Moments rise with the rows, as they do where changes arrive.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dynaberg.source.transactions_model import Transaction, plan_changes

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
DAY_US = 86_400_000_000
DAYS = 30
BATCH_ROWS = 500_000
STATES = 20_000
SHARE_REVIEWED = 0.3
DRAWN = ("transaction_id", "timestamp", "date", "hour", "minute", "amount", "processing_timestamp")


@cache
def states() -> pa.Table:
    """States of the model, as text."""
    changes = plan_changes((STATES, STATES // 2, 0), seed=7, now=BEGIN)
    made = [change.transaction for change in changes]
    return pa.table({name: [str(getattr(t, name)) for t in made] for name in Transaction._fields})


def transactions(begin: int, end: int, total: int) -> pa.Table:
    """Rows of the current table.

    Args:
        begin: The first row.
        end: The row behind the last one.
        total: How many rows the table is to have; they are spread over the days.
    """
    rng, count = np.random.default_rng(begin), end - begin
    drawn = states().take(pa.array(rng.integers(0, states().num_rows, count)))
    at_us = moments(begin, end, total)
    cents = pc.cast(pc.replace_substring(drawn["amount"], ".", ""), pa.int64()).to_numpy()
    columns = {name: drawn[name] for name in Transaction._fields} | {
        "transaction_id": hexadecimal("TXN_", rng.integers(0, 256, (count, 8), np.uint8)),
        "timestamp": pa.array(at_us // 1000),
        "date": pa.array((at_us // DAY_US).astype(np.int32)).cast(pa.date32()),
        "hour": pa.array((at_us % DAY_US // 3_600_000_000).astype(np.int32)),
        "minute": pa.array((at_us % 3_600_000_000 // 60_000_000).astype(np.int32)),
        "amount": decimals(cents + rng.integers(0, 100, count)),
        "processing_timestamp": pa.array(at_us // 1000 + rng.integers(200, 3_600_000, count)),
        "changed_at": pa.array(at_us + 1_000_000).cast(pa.timestamp("us", "UTC")),
        "sequence_number": digits(np.arange(begin, end)),
        "unmapped": pa.nulls(count, pa.string()),
    }
    return pa.table(columns)


def changes(begin: int, end: int, total: int) -> pa.Table:
    """Rows of the change log: three in ten review one of the last thousands, and hold the image before."""
    rng, count = np.random.default_rng(begin + 1), end - begin
    rows, places = transactions(begin, end, total), np.arange(count)
    reviewed = rng.random(count) < SHARE_REVIEWED
    items = rows.take(
        pa.array(np.where(reviewed, np.maximum(places - rng.integers(1, 5_000, count), 0), places))
    )
    none, is_review = pa.nulls(count, pa.string()), pa.array(reviewed)
    return pa.table(
        {name: items[name] for name in Transaction._fields}
        | {
            "status": pc.if_else(is_review, "APPROVED", items["status"]),
            "changed_at": rows["changed_at"],
            "sequence_number": rows["sequence_number"],
            "change_id": hexadecimal("", rng.integers(0, 256, (count, 16), np.uint8)),
            "operation": pc.if_else(is_review, "MODIFY", "INSERT"),
            "received_at": pa.array(moments(begin, end, total) + 1_500_000).cast(pa.timestamp("us", "UTC")),
            "old_image": pc.if_else(is_review, images(items), none),
            "unmapped": none,
            "deleted_by": none,
        }
    )


def in_batches(rows: int) -> Iterator[tuple[int, int]]:
    """The first row of each batch, and the one behind its last."""
    yield from ((begin, min(begin + BATCH_ROWS, rows)) for begin in range(0, rows, BATCH_ROWS))


def moments(begin: int, end: int, total: int) -> np.ndarray:
    """Microseconds since 1970, rising from row to row."""
    step = DAYS * DAY_US // max(total, 1)
    rng = np.random.default_rng(end)
    return (
        int(BEGIN.timestamp()) * 1_000_000 + np.arange(begin, end) * step + rng.integers(0, step, end - begin)
    )


def images(rows: pa.Table) -> pa.ChunkedArray:
    """The items in DynamoDB JSON, as they were before their review."""
    numbers = ("timestamp", "hour", "minute", "amount", "processing_timestamp")
    rows = rows.set_column(
        rows.column_names.index("status"), "status", pa.repeat("PENDING_REVIEW", len(rows))
    )
    members = [
        pc.binary_join_element_wise(
            f'"{name}":{{"{"N" if name in numbers else "S"}":"', rows[name].cast(pa.string()), '"}', ""
        )
        for name in Transaction._fields
    ]
    return pc.binary_join_element_wise("{", pc.binary_join_element_wise(*members, ","), "}", "")


def hexadecimal(prefix: str, values: np.ndarray) -> pa.Array:
    """A text of hexadecimal digits for each row of bytes."""
    alphabet = np.frombuffer(b"0123456789abcdef", np.uint8)
    shown = np.stack([alphabet[values >> 4], alphabet[values & 15]], axis=2).reshape(len(values), -1)
    return fixed_texts(
        np.hstack([np.tile(np.frombuffer(prefix.encode(), np.uint8), (len(values), 1)), shown])
    )


def digits(numbers: np.ndarray, width: int = 40) -> pa.Array:
    """Numbers as texts of one width, zeros in front."""
    shown = np.full((len(numbers), width), ord("0"), np.uint8)
    for place in range(1, 16):
        shown[:, -place] += (numbers % 10).astype(np.uint8)
        numbers = numbers // 10
    return fixed_texts(shown)


def fixed_texts(letters: np.ndarray) -> pa.Array:
    """Texts of one width, from the bytes of their letters."""
    count, width = letters.shape
    offsets = np.arange(0, (count + 1) * width, width, dtype=np.int32)
    buffers = [pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(letters))]
    return pa.StringArray.from_buffers(count, *buffers)


def decimals(cents: np.ndarray) -> pa.Array:
    """Amounts as decimal(12,2): 128-bit integers of cents, which no float has touched."""
    words = np.column_stack([cents, cents >> 63]).astype(np.int64)
    return pa.Array.from_buffers(pa.decimal128(12, 2), len(cents), [None, pa.py_buffer(words)])
