"""The page on other engines: its names are the settings', its SQL parses, its calls are AWS's."""

from __future__ import annotations

import ast
import re
from typing import Any

import boto3
import pytest
import sqlglot
import yaml
from botocore.awsrequest import AWSResponse
from trino_sql_validator import validate

from dynaberg.contracts.contract import load_contract
from dynaberg.settings import load_settings

SETTINGS = load_settings()
PAGE = (SETTINGS.root / "lib" / "dynaberg" / "pages" / "engines.md").read_text(encoding="utf-8")
QUICKSIGHT_TYPES = {"string": "STRING", "decimal(12,2)": "DECIMAL"}


def block(language: str, engine: str) -> str:
    """The code of one block of the page."""
    (found,) = re.findall(rf"```{language} {engine}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def statements(engine: str) -> list[str]:
    return [text.strip() for text in block("sql", engine).split(";") if text.strip()]


ENGINES = ["duckdb", "spark", "trino", "redshift"]


@pytest.mark.parametrize("engine", ENGINES)
def test_every_statement_parses_in_its_dialect(engine: str) -> None:
    asked = [text for text in statements(engine) if text.startswith("SELECT")]
    assert asked
    for text in asked:
        (parsed,) = sqlglot.parse(text, dialect=engine)
        assert isinstance(parsed, sqlglot.exp.Select), text


@pytest.mark.parametrize("text", statements("trino"))
def test_trino_takes_its_statements(text: str) -> None:
    assert validate(text, dialect="trino").valid


@pytest.mark.parametrize("engine", ENGINES)
def test_the_tables_are_those_of_the_settings(engine: str) -> None:
    for text in (text for text in statements(engine) if text.startswith("SELECT")):
        plain = text.replace('"', "")
        assert f"{SETTINGS.namespace}.{SETTINGS.table_name}" in plain
        assert plain.split(" FROM ")[1].startswith(
            ("lake.", f"{SETTINGS.table_bucket_name}@s3tablescatalog.")
        )


def test_the_bucket_and_the_tables_are_named_everywhere() -> None:
    addresses = re.findall(r"arn:aws:s3tables:us-east-1:ACCOUNT:bucket/([a-z0-9-]+)", PAGE)
    assert len(addresses) == 3
    assert set(addresses) == {SETTINGS.table_bucket_name}
    assert f"`{SETTINGS.log_name}`" in PAGE


def test_dbt_reads_and_writes_under_the_names_of_the_settings() -> None:
    files = dict(re.findall(r"```\w+ dbt:(\S+)\n(.*?)```", PAGE, re.DOTALL))
    catalog = f"s3tablescatalog/{SETTINGS.table_bucket_name}"
    profile = yaml.safe_load(files["profiles.yml"])["dynaberg"]["outputs"]["athena"]
    (written,) = yaml.safe_load(files["catalogs.yml"])["catalogs"][0]["write_integrations"]
    (source,) = yaml.safe_load(files["models/sources.yml"])["sources"]
    assert {profile["database"], source["database"]} == {catalog}
    assert written["adapter_properties"] == {"catalog_database": catalog}
    assert {profile["schema"], source["schema"]} == {SETTINGS.namespace}
    assert profile["work_group"] == SETTINGS.name
    assert [table["name"] for table in source["tables"]] == [SETTINGS.table_name, SETTINGS.log_name]


def test_the_spark_block_configures_one_catalog() -> None:
    options = dict(re.findall(r'\.?config\(\s*"([^"]+)",\s*"([^"]+)"', block("python", "spark")))
    ast.parse(block("python", "spark"))
    assert options["spark.sql.catalog.lake.rest.signing-name"] == "s3tables"
    assert options["spark.sql.catalog.lake.type"] == "rest"


def test_quicksight_takes_the_calls_and_the_columns_are_the_contracts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each call is validated against botocore's model of the service; none is sent."""
    sent: list[tuple[str, dict[str, Any]]] = []

    def keep(model: Any, params: dict[str, Any], **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        sent.append((model.name, params["body"]))
        return AWSResponse(params["url"], 200, {}, None), {}

    client = boto3.client("quicksight", region_name="us-east-1")
    client.meta.events.register("before-call.quicksight", keep)
    monkeypatch.setattr(boto3, "client", lambda *_, **__: client)
    # botocore checks that an account id has twelve digits.
    exec(block("python", "quicksight").replace("ACCOUNT", "0" * 12), {})
    assert [name for name, _ in sent] == ["CreateDataSource", "CreateDataSet"]
    contract = load_contract(SETTINGS.root / "data" / "tables" / f"{SETTINGS.table_name}.yaml")
    types = {column.name: QUICKSIGHT_TYPES.get(column.type) for column in contract.columns}
    columns = re.findall(r'"Name": "(\w+)", "Type": "(\w+)"', block("python", "quicksight"))
    assert columns
    for name, type_ in columns:
        assert types[name] == type_
