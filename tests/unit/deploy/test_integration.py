"""The account's catalog of table buckets: made where there is none, and never against its mode."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dynaberg import aws, deploy
from dynaberg.errors import DeploymentError, SettingsError
from dynaberg.settings import Settings

EVERYBODY = [{"Principal": {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"}, "Permissions": ["ALL"]}]
EVERY_BUCKET = "arn:aws:s3tables:eu-central-1:111122223333:bucket/*"
FEDERATED = {"Identifier": EVERY_BUCKET, "ConnectionName": "aws:s3tables"}


class Account:
    """Glue and Lake Formation of an account, as far as the integration asks them."""

    def __init__(self, catalog: dict[str, Any] | None = None, *, registered: bool = False) -> None:
        self.catalog, self.registered = catalog, registered
        self.calls: list[str] = []

    def get_catalog(self, **_: str) -> dict[str, Any]:
        if self.catalog is None:
            raise not_found("GetCatalog")
        return {"Catalog": self.catalog}

    def create_catalog(self, **wanted: Any) -> None:
        self.calls.append("create_catalog")
        if self.catalog is not None:
            raise ClientError({"Error": {"Code": "AlreadyExistsException", "Message": ""}}, "CreateCatalog")
        self.catalog = wanted["CatalogInput"]

    def describe_resource(self, **wanted: str) -> dict[str, Any]:
        assert wanted == {"ResourceArn": EVERY_BUCKET}
        if not self.registered:
            raise not_found("DescribeResource")
        return {"ResourceInfo": {}}

    def register_resource(self, **arguments: Any) -> None:
        self.calls.append("register_resource")
        self.registered = True
        self.arguments = arguments


def not_found(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "EntityNotFoundException", "Message": ""}}, operation)


@pytest.fixture
def enter(monkeypatch: pytest.MonkeyPatch) -> Callable[[Account], Any]:
    def open_account(account: Account) -> Any:
        monkeypatch.setattr(aws, "client", lambda session, name: account)
        monkeypatch.setattr(aws, "account_id", lambda session: "111122223333")
        return SimpleNamespace(region_name="eu-central-1", get_partition_for_region=lambda region: "aws")

    return open_account


IAM, LAKE_FORMATION = Settings(target="aws"), Settings(target="aws", access_mode="lakeformation")
BY_IAM = {
    "FederatedCatalog": FEDERATED,
    "CreateDatabaseDefaultPermissions": EVERYBODY,
    "CreateTableDefaultPermissions": EVERYBODY,
}
BY_GRANTS = {
    "FederatedCatalog": FEDERATED,
    "CreateDatabaseDefaultPermissions": [],
    "CreateTableDefaultPermissions": [],
}


def test_where_there_is_none_it_is_made_for_iam(enter: Callable[[Account], Any]) -> None:
    account = Account()
    report = deploy.integrate_analytics(enter(account), IAM)
    assert report.to_dict("records") == [{"catalog": "s3tablescatalog", "access_mode": "iam", "made": True}]
    assert account.catalog == BY_IAM
    assert account.calls == ["create_catalog"]


def test_where_there_is_none_it_is_made_for_lake_formation(enter: Callable[[Account], Any]) -> None:
    account, role = Account(), "arn:aws:iam::111122223333:role/lake"
    deploy.integrate_analytics(enter(account), LAKE_FORMATION, data_access_role_arn=role)
    assert account.catalog == {**BY_GRANTS, "AllowFullTableExternalDataAccess": "True"}
    assert account.calls == ["register_resource", "create_catalog"]
    assert account.arguments == {
        "ResourceArn": EVERY_BUCKET,
        "RoleArn": role,
        "WithFederation": True,
        "WithPrivilegedAccess": True,
    }


def test_lake_formation_needs_a_role_only_where_nothing_is_registered(
    enter: Callable[[Account], Any],
) -> None:
    account = Account()
    with pytest.raises(SettingsError, match="no role yet") as caught:
        deploy.integrate_analytics(enter(account), LAKE_FORMATION)
    assert "data_access_role_arn" in caught.value.hint
    assert account.calls == []
    account = Account(registered=True)
    deploy.integrate_analytics(enter(account), LAKE_FORMATION)
    assert account.calls == ["create_catalog"]


@pytest.mark.parametrize(("catalog", "settings"), [(BY_IAM, IAM), (BY_GRANTS, LAKE_FORMATION)])
def test_what_exists_is_left_as_it_is(
    enter: Callable[[Account], Any], catalog: dict[str, Any], settings: Settings
) -> None:
    account = Account(dict(catalog))
    report = deploy.integrate_analytics(enter(account), settings)
    assert not report["made"].item()
    assert (account.catalog, account.calls) == (catalog, [])


@pytest.mark.parametrize(
    ("account", "settings", "mode"),
    [
        (Account(BY_IAM), LAKE_FORMATION, "iam"),
        (Account(BY_GRANTS), IAM, "lakeformation"),
        (Account({**BY_IAM, "CreateTableDefaultPermissions": []}), IAM, "lakeformation"),
        (Account(registered=True), IAM, "lakeformation"),
    ],
    ids=["IAM's", "Lake Formation's", "half of each", "registered, no catalog"],
)
def test_an_account_is_never_changed_over(
    enter: Callable[[Account], Any], account: Account, settings: Settings, mode: str
) -> None:
    with pytest.raises(SettingsError, match=f"with '{mode}'") as caught:
        deploy.integrate_analytics(enter(account), settings)
    assert f'access_mode to "{mode}"' in caught.value.hint
    assert account.calls == []


def test_someone_faster_with_another_mode_is_noticed(enter: Callable[[Account], Any]) -> None:
    class Raced(Account):
        def create_catalog(self, **wanted: Any) -> None:
            self.catalog = BY_GRANTS
            super().create_catalog(**wanted)

    with pytest.raises(SettingsError, match="lakeformation"):
        deploy.integrate_analytics(enter(Raced()), IAM)


def test_a_catalog_of_something_else_is_named(enter: Callable[[Account], Any]) -> None:
    account = Account({"FederatedCatalog": {"ConnectionName": "aws:redshift"}})
    with pytest.raises(DeploymentError, match="does not contain table buckets"):
        deploy.integrate_analytics(enter(account), IAM)
