"""Result objects on S3, through ministack in this process."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from local_aws.athena.dialect import QueryError
from local_aws.athena.tables import authorization
from local_aws.wire import Request, Response, Upstream


class ResultObjects:
    """Puts and gets objects by their addresses, `s3://bucket/key`.

    Args:
        upstream: ministack.
        region: The region of the buckets.
    """

    def __init__(self, upstream: Upstream, region: str) -> None:
        self._upstream, self._region = upstream, region

    async def put(self, address: str, body: bytes, kind: str) -> None:
        """Writes an object of a content type.

        Raises:
            QueryError: INVALID_OUTPUT_LOCATION, where S3 refuses it.
        """
        response = await self._send(
            "PUT", address, body, {"content-type": kind, "content-length": str(len(body))}
        )
        if response.status >= 300:
            code = re.search(rb"<Code>(.*?)</Code>", response.body)
            reason = code[1].decode() if code else str(response.status)
            raise QueryError("INVALID_OUTPUT_LOCATION", f"Unable to write the result to {address}: {reason}")

    async def get(self, address: str) -> bytes | None:
        """An object's content, or None where there is no such object."""
        response = await self._send("GET", address, b"", {})
        return response.body if response.status == 200 else None

    async def _send(self, method: str, address: str, body: bytes, headers: dict[str, str]) -> Response:
        parts = urlsplit(address)
        path = f"/{parts.netloc}{parts.path}"
        common = {"host": "localhost", "authorization": authorization(self._region, "s3")}
        return await self._upstream(Request(method, path, quote(path), {}, common | headers, body))
