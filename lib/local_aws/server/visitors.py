"""Who may ask: programs on this machine, and no web page that its user has open.

One request is enough to run code here: a stack with a function and a custom resource fits into an address
(`GET /?Action=CreateStack&TemplateBody=…`). So browsers are not served at all, not even where no page seems
to ask: an address bar that follows a redirect sends `Sec-Fetch-Site: none`, a page in a bucket
`same-origin`, and an old browser's `<img>` nothing but its `User-Agent`. A page can change none of these.
`Host` is the name that led here: a page that makes its own name lead to 127.0.0.1 gives itself away by it
(DNS rebinding).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from local_aws.wire import AwsError

Headers = Iterable[tuple[bytes, bytes]]

# Buckets addressed by name are hosts below `localhost`, which never leaves the machine (RFC 6761).
_HERE = re.compile(r"(?:127\.0\.0\.1|\[::1\]|(?:[a-z0-9_-]+\.)*localhost)(?::\d+)?", re.ASCII)
# Not `sec-fetch-mode`: the fetch of Node.js sends it.
_SENT_BY_BROWSERS = {"origin": "", "sec-fetch-site": "", "sec-fetch-dest": "", "user-agent": "mozilla/"}


def refusal(headers: Headers) -> AwsError | None:
    """Why a request is refused, or None where it may pass.

    Example:
        >>> refusal([(b"host", b"127.0.0.1:4566")]) is None
        True
    """
    for given, content in headers:
        name, value = given.decode("latin-1").lower(), content.decode("latin-1").lower()
        if name == "host" and not _HERE.fullmatch(value):
            hint = "Address it as 127.0.0.1 or localhost."
            return _denied(f"The host {value!r} is not this machine.", hint)
        beginning = _SENT_BY_BROWSERS.get(name)
        if beginning is not None and value.startswith(beginning):
            hint = "Only programs may use the local AWS; a program should name itself in User-Agent."
            return _denied(f"A browser asks ({name}: {value}).", hint)
    return None


def without_sharing(headers: Headers) -> list[tuple[bytes, bytes]]:
    """The headers of an answer without those that let pages of other sites read it (CORS)."""
    return [(name, value) for name, value in headers if not name.lower().startswith(b"access-control-")]


def _denied(message: str, hint: str) -> AwsError:
    return AwsError("AccessDeniedException", f"{message} Hint: {hint}", 403)
