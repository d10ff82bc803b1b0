"""Bounds of text that were cut within a character."""

from __future__ import annotations

from typing import cast

from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyiceberg.manifest import DataFile

from local_aws.s3tables.bounds import make_valid

LETTERS = st.sampled_from("aA\x7f\u07ff•日\ud7ff\ue000\uffff\U0001f600\U0010ffff")


def cut(value: bytes, *, is_upper: bool) -> bytes:
    """A bound of a value as DuckDB writes it: sixteen bytes; of an upper one the last is raised."""
    if len(value) <= 16:
        return value
    return value[:15] + bytes([value[15] + 1]) if is_upper else value[:16]


@settings(max_examples=300)
@given(texts=st.lists(st.text(LETTERS, min_size=1, max_size=20), min_size=1, max_size=4))
@example(texts=["AAAAAAAAAAAAAAA• a bullet"])
@example(texts=["\U0010ffff" * 9])
@example(texts=["a" + "\ud7ff" * 9])
def test_bounds_become_text_and_stay_true(texts: list[str]) -> None:
    values = sorted(text.encode() for text in texts)
    lower, upper = {1: cut(values[0], is_upper=False)}, {1: cut(values[-1], is_upper=True)}
    file = DataFile.from_args(lower_bounds=lower, upper_bounds=upper)
    make_valid(file, {1})
    assert file.lower_bounds[1].decode().encode() <= values[0]
    assert cast("dict[int, bytes]", file.upper_bounds).get(1, values[-1]).decode().encode() >= values[-1]
    assert not make_valid(file, {1})
