"""Errors in the shape of the Iceberg REST catalog."""

from __future__ import annotations

import orjson

from local_aws.wire import AwsError, Response


class IcebergError(AwsError):
    """An error of the Iceberg REST catalog (Iceberg's REST specification, ErrorModel).

    Args:
        status: HTTP status.
        kind: Iceberg's exception name, such as `NoSuchTableException`.
        message: What happened.
    """

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(kind, message, status)

    def response(self) -> Response:
        """The error as the specification writes it."""
        error = {"message": self.message, "type": self.code, "code": self.status}
        return Response(self.status, orjson.dumps({"error": error}), {"content-type": "application/json"})
