"""Every private part of ministack that is read or replaced, a file or two for each of its services.

Each function closes one gap and says which. The tests of this room hold ministack to what is relied on here,
and fail when the pinned version changes. From outside: the files, by their names.
"""

__all__ = [
    "cloudformation",
    "cloudwatch",
    "dynamodb",
    "dynamodb_changes",
    "dynamodb_exports",
    "dynamodb_values",
    "firehose",
    "functions",
    "iam",
    "kinesis",
    "persistence",
    "s3",
    "sqs",
]
