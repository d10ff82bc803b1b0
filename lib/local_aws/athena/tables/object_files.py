"""DuckDB's way to the objects: read from the files that hold them, written over HTTP.

The database is in the process that serves S3, so that asking it over HTTP would be asking itself: every read
would take the event loop's time, and the object into memory. What was read of the files is counted by DuckDB
for each statement, the same each time, since nothing is cached but by the operating system.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote
from xml.etree import ElementTree

import requests
from fsspec import AbstractFileSystem  # type: ignore[import-untyped]
from sqlglot import exp

from local_aws.athena.dialect import call, literal
from local_aws.seams import s3
from local_aws.wire import bucket_and_key, signature

TIMEOUT_SECONDS = 600
METADATA_SUFFIX = ".metadata.json"
S3_KEYS = "{http://s3.amazonaws.com/doc/2006-03-01/}Contents/{http://s3.amazonaws.com/doc/2006-03-01/}Key"


class ObjectFiles(AbstractFileSystem):  # type: ignore[misc] # fsspec has no types
    """The objects of S3 as DuckDB's files."""

    protocol = "s3"
    cachable = False

    def __init__(self, endpoint: str, region: str, scratch: Path) -> None:
        super().__init__()
        self._endpoint, self._region, self._scratch = endpoint, region, scratch

    def open(self, path: str, mode: str = "rb", **_: Any) -> BinaryIO | Upload:
        """Opens an object to read, or to write it in one piece when it is closed."""
        if "w" in mode:
            return Upload(self, path, self._scratch)
        try:
            return file_of(path).open("rb")
        except FileNotFoundError as error:
            msg = f"The object {path} is not in S3."
            raise FileNotFoundError(msg) from error

    def exists(self, path: str, **_: Any) -> bool:
        """Whether there is such an object."""
        return file_of(path).is_file()

    def info(self, path: str, **_: Any) -> Mapping[str, Any]:
        """An object's size."""
        return {"name": path, "size": file_of(path).stat().st_size, "type": "file"}

    def modified(self, path: str) -> datetime:
        """When an object was written."""
        return datetime.fromtimestamp(file_of(path).stat().st_mtime, UTC)

    def glob(self, path: str, **_: Any) -> list[str]:
        """A path as it is, or the objects below one that ends in `**`."""
        if not path.endswith("**"):
            return [path] if self.exists(path) else []
        bucket, prefix = bucket_and_key(path.removesuffix("**"))
        answer = self.request("GET", f"s3://{bucket}/", params={"list-type": "2", "prefix": prefix})
        listed = ElementTree.fromstring(answer.content)  # noqa: S314 - our own answer
        return [f"s3://{bucket}/{key.text}" for key in listed.iterfind(S3_KEYS)]

    def rm_file(self, path: str) -> None:
        """Deletes an object."""
        self.request("DELETE", path)

    def request(self, method: str, path: str, **more: Any) -> requests.Response:
        """Asks S3 about an object."""
        address = f"{self._endpoint}/{quote(path.removeprefix('s3://'))}"
        headers = {"Authorization": signature("s3", self._region)}
        answer = requests.request(method, address, headers=headers, timeout=TIMEOUT_SECONDS, **more)
        if not answer.ok:
            msg = f"{path}: S3 answered {answer.status_code} to {method}"
            raise OSError(msg)
        return answer


class Upload:
    """An object that is being written."""

    def __init__(self, objects: ObjectFiles, path: str, scratch: Path) -> None:
        self._objects, self._path = objects, path
        handle, name = tempfile.mkstemp(dir=scratch)
        self._file, self._name = os.fdopen(handle, "w+b"), Path(name)

    def write(self, data: bytes) -> int:
        """Takes further bytes."""
        return self._file.write(data)

    def flush(self) -> None:
        """Nothing can be seen before the end."""

    def seekable(self) -> bool:
        """An object is written from the first byte to the last."""
        return False

    def close(self) -> None:
        """Puts the object, once."""
        if self._file.closed:
            return
        try:
            self._file.seek(0)
            self._objects.request("PUT", self._path, data=self._file)
        finally:
            self._file.close()
            with suppress(FileNotFoundError):
                self._name.unlink()


ADDRESS = "object_address"


def address_macro() -> str:
    """The statement that creates the macro `object_address`: of a file that holds an object, the address."""
    folder = f"{s3.objects_folder()}/"
    is_object = f"starts_with(file, {literal(folder)})"
    address = f"'s3://' || substr(file, {len(folder) + 1})"
    return f"CREATE MACRO {ADDRESS}(file) AS CASE WHEN {is_object} THEN {address} ELSE file END"


def file_of(path: str) -> Path:
    """The file that holds an object."""
    file = file_once_of(path)
    if not file.is_file():
        file_once_of.cache_clear()
        file = file_once_of(path)
    return file


@lru_cache(maxsize=4096)
def file_once_of(path: str) -> Path:
    """The file that held an object when it was last looked up, which takes longer than to open it."""
    return s3.object_file(*bucket_and_key(path))


def put_scan(node: exp.Table, location: str) -> None:
    """Makes a table's name a scan of the files that its metadata lists."""
    folder, _, version = str(file_of(location)).rpartition("/metadata/")
    options = {
        "allow_moved_paths": exp.true(),
        "version": exp.Literal.string(version.removesuffix(METADATA_SUFFIX)),
        "version_name_format": exp.Literal.string(f"%s%s{METADATA_SUFFIX}"),
    }
    if asked := node.args.get("version"):
        options["snapshot_from_id"] = asked.expression
    named = [exp.Kwarg(this=exp.var(name), expression=value) for name, value in options.items()]
    node.set("this", call("iceberg_scan", exp.Literal.string(folder), *named))
    for part in ("catalog", "db", "version"):
        node.set(part, None)
