"""The catalogs of Glue, which ministack lacks: what the integration of S3 Tables looks at and makes.

A federated catalog over `bucket/*` has a child for every table bucket, as on AWS. There is no Lake Formation
here: nothing is registered with it, nothing can be, and default permissions are kept but not enforced.
Source: AWS Glue Web API Reference, "CreateCatalog", "GetCatalog", "GetCatalogs".
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from local_aws.json_files import read_json, write_json
from local_aws.s3tables.tables import bucket_arn
from local_aws.wire import ACCOUNT, AtRest, AwsError, Request, Response, Upstream, json_response, signed

_KEPT = (
    "Description",
    "FederatedCatalog",
    "Parameters",
    "CreateTableDefaultPermissions",
    "CreateDatabaseDefaultPermissions",
    "AllowFullTableExternalDataAccess",
)


class GlueCatalogs(AtRest):
    """GetCatalog, GetCatalogs and CreateCatalog of Glue, and Lake Formation's "no" (a `Service`).

    Args:
        ministack: Knows the table buckets.
        state_dir: The local AWS's state folder.
        region: AWS Region.
    """

    def __init__(self, ministack: Upstream, state_dir: Path, region: str) -> None:
        self._ministack, self._region = ministack, region
        self._file = state_dir / "glue" / "catalogs.json"
        self._operations = {
            "AWSGlue.CreateCatalog": self._create,
            "AWSGlue.GetCatalog": self._get,
            "AWSGlue.GetCatalogs": self._list,
        }

    def claims(self, method: str, path: str, target: str) -> bool:
        """Whether this is a call about catalogs, or to Lake Formation."""
        if method == "POST" and path in ("/DescribeResource", "/RegisterResource"):
            return True
        return target in self._operations

    async def handle(self, request: Request) -> Response:
        """Answer it."""
        if not request.target:
            return self._lake_formation(request)
        return json_response(await self._operations[request.target](request.json()))

    async def _create(self, wanted: dict[str, Any]) -> dict[str, Any]:
        name, given = wanted["Name"], wanted["CatalogInput"]
        catalogs = self._catalogs()
        if name in catalogs:
            raise AwsError("AlreadyExistsException", f"Catalog already exists: {name}")
        now = time.time()
        catalogs[name] = {
            "CatalogId": f"{ACCOUNT}:{name}",
            "Name": name,
            "ResourceArn": f"arn:aws:glue:{self._region}:{ACCOUNT}:catalog/{name}",
            "CreateTime": now,
            "UpdateTime": now,
            **{key: given[key] for key in _KEPT if key in given},
        }
        self._file.parent.mkdir(parents=True, exist_ok=True)
        write_json(self._file, catalogs)
        return {}

    async def _get(self, wanted: dict[str, Any]) -> dict[str, Any]:
        name = wanted["CatalogId"].removeprefix(f"{ACCOUNT}:")
        parent, _, child = name.partition("/")
        catalogs = self._catalogs()
        if parent not in catalogs or (child and child not in await self._table_buckets()):
            raise AwsError("EntityNotFoundException", f"Catalog {name} not found.")
        return {"Catalog": self._child(catalogs[parent], child) if child else catalogs[parent]}

    async def _list(self, wanted: dict[str, Any]) -> dict[str, Any]:
        parents = list(self._catalogs().values())
        parent = wanted.get("ParentCatalogId", "").removeprefix(f"{ACCOUNT}:")
        if not parent:
            return {"CatalogList": parents}
        found = [p for p in parents if p["Name"] == parent]
        return {"CatalogList": [self._child(p, b) for p in found for b in await self._table_buckets()]}

    def _child(self, parent: dict[str, Any], bucket: str) -> dict[str, Any]:
        """The catalog of one table bucket, with the settings of its parent."""
        federated = parent.get("FederatedCatalog", {})
        return parent | {
            "CatalogId": f"{parent['CatalogId']}/{bucket}",
            "Name": bucket,
            "ResourceArn": f"{parent['ResourceArn']}/{bucket}",
            "FederatedCatalog": federated | {"Identifier": bucket_arn(bucket, self._region)},
        }

    async def _table_buckets(self) -> list[str]:
        response = await self._ministack(signed("s3tables", self._region, "GET", "/buckets"))
        return [bucket["name"] for bucket in response.json()["tableBuckets"]]

    def _catalogs(self) -> dict[str, dict[str, Any]]:
        return dict(read_json(self._file))

    @staticmethod
    def _lake_formation(request: Request) -> Response:
        if request.path == "/DescribeResource":
            raise AwsError("EntityNotFoundException", "Resource is not registered with Lake Formation.")
        raise AwsError("OperationNotSupportedException", "The local AWS has no Lake Formation.")
