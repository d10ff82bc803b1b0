"""The gate to a real account: asked for by marker and by variable, with credentials, or else skipped.

DYNABERG_AWS_TESTS=1 [DYNABERG_AWS_MAX_USD=1.00] python -m pytest -m aws tests/aws
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from decimal import Decimal

import boto3
import pytest

from dynaberg import aws
from dynaberg.settings import Settings

ASKED = "DYNABERG_AWS_TESTS"
CEILING = "DYNABERG_AWS_MAX_USD"


def why_closed(markers: str, environment: Mapping[str, str]) -> str:
    """What is missing before a test may reach AWS, judged without any call; empty where nothing is."""
    if markers != "aws":
        return "reaches a real account, and only `pytest -m aws` asks for that"
    if environment.get(ASKED) != "1":
        return f"creates resources that cost money, and {ASKED} is not 1"
    return ""


@pytest.fixture(scope="session")
def real_aws(
    request: pytest.FixtureRequest, environment_before: Mapping[str, str]
) -> Iterator[boto3.Session]:
    """A session on the real account, this process's clients with it; the guard is back afterwards."""
    if reason := why_closed(request.config.getoption("-m"), environment_before):
        pytest.skip(reason)
    guarded = dict(os.environ)
    _put(environment_before)
    try:
        if boto3.Session().get_credentials() is None:
            pytest.skip("there are no AWS credentials; sign in first (`aws sso login`, or AWS_PROFILE)")
        yield aws.open_session(Settings(target="aws"))
    finally:
        _put(guarded)


@pytest.fixture(scope="session")
def ceiling_usd(environment_before: Mapping[str, str]) -> Decimal:
    """What a test may cost at most."""
    return Decimal(environment_before.get(CEILING, "1.00"))


def _put(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
