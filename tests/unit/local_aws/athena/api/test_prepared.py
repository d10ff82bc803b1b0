"""The values of EXECUTE … USING."""

from __future__ import annotations

from local_aws.athena.api.prepared import split_values


def test_values_of_using() -> None:
    values = split_values("'a,b', ARRAY[1, 2], 'it''s'")
    assert [value.strip() for value in values] == ["'a,b'", "ARRAY[1, 2]", "'it''s'"]
