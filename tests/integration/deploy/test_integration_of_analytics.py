"""The federated catalog of table buckets, on the local AWS."""

from __future__ import annotations

import boto3
import pytest
from botocore.exceptions import ClientError

from dynaberg import deploy
from dynaberg.settings import Settings
from local_aws import Status


@pytest.fixture(scope="module")
def session(local_aws: Status) -> boto3.Session:
    return boto3.Session()


def test_the_catalog_is_made_once_and_never_changed(session: boto3.Session) -> None:
    deploy.integrate_analytics(session, Settings())
    glue = session.client("glue")
    before = glue.get_catalog(CatalogId="s3tablescatalog")["Catalog"]
    again = deploy.integrate_analytics(session, Settings(access_mode="lakeformation"))
    assert again.to_dict("records") == [{"catalog": "s3tablescatalog", "access_mode": "iam", "made": False}]
    assert glue.get_catalog(CatalogId="s3tablescatalog")["Catalog"] == before
    assert before["FederatedCatalog"]["ConnectionName"] == "aws:s3tables"
    with pytest.raises(glue.exceptions.AlreadyExistsException):
        glue.create_catalog(Name="s3tablescatalog", CatalogInput={})


def test_every_table_bucket_has_a_catalog_under_it(session: boto3.Session) -> None:
    deploy.integrate_analytics(session, Settings())
    arn = session.client("s3tables").create_table_bucket(name="seen-by-glue")["arn"]
    glue = session.client("glue")
    child = glue.get_catalog(CatalogId="s3tablescatalog/seen-by-glue")["Catalog"]
    assert child["FederatedCatalog"]["Identifier"] == arn
    listed = glue.get_catalogs(ParentCatalogId="s3tablescatalog")["CatalogList"]
    assert "seen-by-glue" in {catalog["Name"] for catalog in listed}
    assert [c["Name"] for c in glue.get_catalogs()["CatalogList"]] == ["s3tablescatalog"]
    with pytest.raises(glue.exceptions.EntityNotFoundException):
        glue.get_catalog(CatalogId="s3tablescatalog/no-such-bucket")
    session.client("s3tables").delete_table_bucket(tableBucketARN=arn)


def test_there_is_no_lake_formation_here(session: boto3.Session) -> None:
    lake_formation, arn = session.client("lakeformation"), "arn:aws:s3tables:us-east-1:000000000000:bucket/*"
    with pytest.raises(lake_formation.exceptions.EntityNotFoundException):
        lake_formation.describe_resource(ResourceArn=arn)
    with pytest.raises(ClientError, match="has no Lake Formation"):
        lake_formation.register_resource(ResourceArn=arn, UseServiceLinkedRole=True)
