"""Records to Arrow columns in one call of pyarrow's JSON reader, where that reads them exactly.

The reader holds no interpreter lock and makes no object of any value. But it parses a text, not records, and
it takes what is no JSON: text that is not UTF-8, `NaN`, two objects on one line. So its answer counts only
where each record is one line, each line is one object, and the text is UTF-8; whoever calls has to see that
numbers are finite. It refuses by itself a value of another JSON type than its column, a field that is not
in the schema, and a field that comes twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from pyarrow import json


def read_lines(data: Sequence[bytes], schema: pa.Schema) -> dict[str, pa.Array]:
    """The columns of records, by name; empty where only a closer look can tell what they hold.

    Args:
        data: The records.
        schema: Names and types of the columns.
    """
    text = b"\n".join(data)
    if not all_on_lines_of_their_own(data, text) or not is_utf8(text):
        return {}
    try:
        rows = json.read_json(
            pa.BufferReader(text),
            json.ReadOptions(use_threads=False, block_size=len(text) + 1),
            json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error"),
        )
    except pa.ArrowException:
        return {}
    if rows.num_rows != len(data):
        return {}
    return {name: rows[name].chunk(0) for name in schema.names}


def all_on_lines_of_their_own(data: Sequence[bytes], text: bytes) -> bool:
    """Whether each record begins as an object, ends as one, and is one line of the text.

    An object that is cut off cannot go on in the next line: no string holds a line feed, and after the last
    `}` of a line the `{` of the next may not follow inside of an object. So each of such lines holds one
    object or more, and as many rows as lines mean one each.
    """
    return (
        {record[:1] for record in data} == {b"{"}
        and {record[-1:] for record in data} == {b"}"}
        and text.count(b"\n") == len(data) - 1
    )


def is_utf8(text: bytes) -> bool:
    """Whether a text is UTF-8."""
    try:
        return text.isascii() or bool(text.decode())
    except UnicodeDecodeError:
        return False
