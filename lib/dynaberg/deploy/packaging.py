"""The Lambda's code: a zip that is the same, byte for byte, wherever it is made."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import boto3
from botocore.exceptions import ClientError

from dynaberg import aws
from dynaberg.contracts import Contract

FUNCTIONS = Path(__file__).resolve().parents[1] / "functions"
# The earliest time that a zip can hold, so that the same sources make the same bytes.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def package(contract: Contract, folder: Path = FUNCTIONS) -> bytes:
    """Zip the functions as the package `functions`, with the contract next to it.

    Args:
        contract: The contract that the functions convert by; it is added as `contract.json`.
        folder: The folder of the functions.

    Returns:
        The zip's bytes, the same for the same sources.
    """
    return package_with({"contract.json": contract.to_lambda_json().encode()}, folder)


def package_with(others: Mapping[str, bytes], folder: Path = FUNCTIONS) -> bytes:
    """Zip the functions as the package `functions`, with other files next to it.

    Args:
        others: Their contents, by name.
        folder: The folder of the functions.

    Returns:
        The zip's bytes, the same for the same sources.
    """
    files = {
        f"functions/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in folder.rglob("*.py")
    }
    files |= others
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            # Lambda runs the code as another user: everyone may read.
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name])
    return buffer.getvalue()


def code_key(code: bytes) -> str:
    """The key of a package in the code bucket: its SHA-256."""
    return f"code/{hashlib.sha256(code).hexdigest()}.zip"


def upload(session: boto3.Session, bucket: str, code: bytes) -> str:
    """Upload a package under its SHA-256, if it is not there yet.

    Args:
        session: An open session.
        bucket: The code bucket.
        code: The package.

    Returns:
        The object's key.
    """
    return _keep(session, bucket, code_key(code), code)


def upload_template(session: boto3.Session, bucket: str, text: str) -> str:
    """Upload a template that is too large for a call of CloudFormation, which reads it by its address.

    Args:
        session: An open session.
        bucket: The code bucket.
        text: The template.

    Returns:
        The object's address.
    """
    body = text.encode()
    key = _keep(session, bucket, f"templates/{hashlib.sha256(body).hexdigest()}", body)
    return f"{aws.client(session, 's3').meta.endpoint_url}/{bucket}/{key}"


def _keep(session: boto3.Session, bucket: str, key: str, body: bytes) -> str:
    s3 = aws.client(session, "s3")
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchKey", "NotFound"):
            raise
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    return key
