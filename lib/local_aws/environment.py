"""Where the local AWS listens, and what its clients need in their environment. The standard library only."""

from __future__ import annotations

import os

HOST = "127.0.0.1"
DEFAULT_PORT = 4566
HEALTH_PATH = "/_local_aws/health"
WITHOUT_CHECKSUMS = {"AWS_REQUEST_CHECKSUM_CALCULATION": "when_required"}
"""pyarrow's S3 client sends CRC-64 checksums by default, which ministack verifies byte by byte in Python."""


class WithoutPandas:
    """Hides pandas from pyarrow, which would import it needlessly: half of a start-up time, and 40 MiB."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Refuse pandas."""
        if name == "pandas":
            raise ModuleNotFoundError(name)


def env(endpoint: str, region: str = "us-east-1") -> dict[str, str]:
    """The environment by which any AWS client reaches the local AWS and nothing else.

    `AWS_PROFILE` and `AWS_SESSION_TOKEN` must also be unset.

    Args:
        endpoint: Address of the local AWS.
        region: AWS Region that it plays.
    """
    variables = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    proxies = {name for name in os.environ if name.lower() in ("http_proxy", "all_proxy")}
    past = {"no_proxy", "NO_PROXY"} if proxies else set()
    return variables | {name: _bypassing_proxies(os.environ.get(name, "")) for name in past}


def _bypassing_proxies(hosts: str) -> str:
    return hosts if HOST in hosts.split(",") else f"{hosts},{HOST}".lstrip(",")
