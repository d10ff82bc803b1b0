"""Who may ask: programs on this machine, and no web page of another site that its user has open.

A browser names the page that asks in `Origin`, and says in `Sec-Fetch-Site` how far away it is (the Fetch
standard, and Fetch Metadata Request Headers of the W3C). `Host` is what a name was that leads here: a page
that makes its own name lead to 127.0.0.1 gives itself away by it (DNS rebinding).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from local_aws.wire import AwsError

Headers = Iterable[tuple[bytes, bytes]]

# Buckets addressed by name are hosts below `localhost`, which never leaves the machine (RFC 6761).
_HERE = re.compile(r"(?:127\.0\.0\.1|\[::1\]|(?:[a-z0-9_-]+\.)*localhost)(?::\d+)?", re.ASCII)
_NEAR = {"same-origin", "none"}


def refusal(headers: Headers) -> AwsError | None:
    """Why a request is refused, or None where it may pass.

    Args:
        headers: The request's headers, as ASGI gives them.

    Example:
        >>> refusal([(b"host", b"127.0.0.1:4566")]) is None
        True
    """
    given = [(name.lower().decode("latin-1"), value.decode("latin-1").lower()) for name, value in headers]
    hosts = [value for name, value in given if name == "host"]
    for host in hosts:
        if not _HERE.fullmatch(host):
            return _denied(f"The host {host!r} is not this machine.", "Address it as 127.0.0.1 or localhost.")
    for name, value in given:
        if name == "origin" and value.partition("://")[2] not in hosts:
            return _denied(f"A web page of {value!r} asks.", "Only programs may use the local AWS.")
        if name == "sec-fetch-site" and value not in _NEAR:
            return _denied(f"A web page asks ({value}).", "Only programs may use the local AWS.")
    return None


def without_sharing(headers: Headers) -> list[tuple[bytes, bytes]]:
    """The headers of an answer without those that let pages of other sites read it (CORS)."""
    return [(name, value) for name, value in headers if not name.lower().startswith(b"access-control-")]


def _denied(message: str, hint: str) -> AwsError:
    return AwsError("AccessDeniedException", f"{message} {hint}", 403)
