"""How each service says that it is too busy, away or broken.

Sources: the error lists of the services' API references.
"""

from __future__ import annotations

import binascii
from collections.abc import Collection, Mapping
from typing import Any
from uuid import uuid4

import orjson

from local_aws.faults.rules import Call
from local_aws.wire import AwsError, IcebergError, Response, json_response

_DYNAMODB = "com.amazonaws.dynamodb.v20120810#"
_THROTTLES: Mapping[str, tuple[str, int]] = {
    "athena": ("TooManyRequestsException", 400),
    "dynamodb": (_DYNAMODB + "ProvisionedThroughputExceededException", 400),
    "firehose": ("ServiceUnavailableException", 503),
    "iceberg": ("TooManyRequestsException", 429),
    "kinesis": ("ProvisionedThroughputExceededException", 400),
    "lambda": ("TooManyRequestsException", 429),
    "s3": ("SlowDown", 503),
    "s3tables": ("TooManyRequestsException", 429),
}
_RECORD_FAILURES: Mapping[str, tuple[str, str, str]] = {
    "PutRecordBatch": ("RequestResponses", "FailedPutCount", "ServiceUnavailableException"),
    "PutRecords": ("Records", "FailedRecordCount", "ProvisionedThroughputExceededException"),
}


def throttled(call: Call) -> Response:
    """A call refused as too fast."""
    code, status = _THROTTLES.get(call.service, ("ThrottlingException", 400))
    return refusal(call, code, status, "Rate exceeded (a fault on request).")


def unavailable(call: Call) -> Response:
    """A call refused because the service is away."""
    code = "ServiceUnavailable" if call.service == "s3" else "ServiceUnavailableException"
    return refusal(call, code, 503, "Service unavailable (a fault on request).")


def failed(call: Call) -> Response:
    """A call that fails inside the service, or the failure of the function that it invokes."""
    if (call.service, call.operation) == ("lambda", "Invoke"):
        error = {"errorMessage": "The function failed (a fault on request).", "errorType": "RequestedFault"}
        headers = {"x-amz-function-error": "Unhandled", "x-amz-executed-version": "$LATEST"}
        return json_response(error, 200, headers)
    code = {"s3": "InternalError", "dynamodb": _DYNAMODB + "InternalServerError"}.get(
        call.service, "InternalFailure"
    )
    return refusal(call, code, 500, "Internal error (a fault on request).")


def conflict(call: Call) -> Response:
    """A commit that another one came before."""
    message = f"Requirement failed: the table {call.resource} has changed (a fault on request)"
    return IcebergError(409, "CommitFailedException", message).response()


def refusal(call: Call, code: str, status: int, message: str) -> Response:
    """An error in the protocol of the call's service."""
    if call.service == "s3":
        body = (
            f"<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{uuid4()}</RequestId></Error>"
        )
        return Response(status, body.encode(), {"content-type": "application/xml"})
    if call.service == "iceberg":
        return IcebergError(status, code, message).response()
    if call.is_form:
        error = f"<Error><Type>Receiver</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        body = f"<ErrorResponse>{error}<RequestId>{uuid4()}</RequestId></ErrorResponse>"
        return Response(status, body.encode(), {"content-type": "text/xml"})
    return with_checksum(AwsError(code, message, status).response())


def with_failed_records(
    call: Call, answer: Any, failed_indexes: Collection[int], count: int
) -> dict[str, Any]:
    """The answer of a call (None: none was made) that took many records, some of which were kept from it."""
    member, failures, code = _RECORD_FAILURES[call.operation]
    reached = iter((answer or {}).get(member, ()))
    failure = {"ErrorCode": code, "ErrorMessage": "Slow down (a fault on request)."}
    results = [failure if i in failed_indexes else next(reached) for i in range(count)]
    return (answer or {}) | {member: results, failures: sum("ErrorCode" in result for result in results)}


def with_checksum(response: Response) -> Response:
    """A response with the checksum that DynamoDB's clients look for."""
    checksum = {"x-amz-crc32": str(binascii.crc32(response.body))}
    return Response(response.status, response.body, {**response.headers, **checksum})


def repeated(answer: bytes, order: Collection[int]) -> bytes:
    """An answer of GetRecords with its records in another order, or more than once."""
    payload = orjson.loads(answer)
    payload["Records"] = [payload["Records"][i] for i in order]
    return orjson.dumps(payload)
