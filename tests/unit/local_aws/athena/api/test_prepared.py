"""The values of EXECUTE … USING."""

from __future__ import annotations

from local_aws.athena.api.prepared import using


def test_values_of_using() -> None:
    values = using("'a,b', ARRAY[1, 2], 'it''s'", ("1",))
    assert list(values) == ["'a,b'", "ARRAY[1, 2]", "'it''s'"]
