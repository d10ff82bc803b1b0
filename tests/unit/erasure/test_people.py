"""A person is found by a column that several tables share, never by the key of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from dynaberg.erasure.people import forget_person, preview_person
from dynaberg.errors import SettingsError


@pytest.mark.parametrize(
    ("where", "key"), [(None, {"id": "a"}), (None, None), ({"customer_id": "C-17"}, {"id": "a"})]
)
def test_a_key_finds_nobody_everywhere(
    where: Mapping[str, Any] | None, key: Mapping[str, Any] | None
) -> None:
    for call in (lambda: preview_person([], where, key), lambda: forget_person([], where, key, confirm="a")):
        with pytest.raises(SettingsError, match="a key is of one table"):
            call()
