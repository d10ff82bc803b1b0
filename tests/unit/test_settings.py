"""Settings, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynaberg.errors import SettingsError
from dynaberg.settings import Settings, load_settings


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "cdk.context.json").write_text('{"namespace": "lake"}')
    return tmp_path


def test_the_defaults_are_the_samples() -> None:
    settings = Settings()
    assert (settings.table_bucket_name, settings.table_name) == ("streamtablebucket", "transactions")
    assert (settings.namespace, settings.bucket_name, settings.stream_type) == (
        "analytics",
        "streambucket",
        "dynamodb",
    )
    assert settings.log_name == "transactions_changes"


def test_the_caller_wins_over_the_environment_and_that_over_the_file(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DYNABERG_TARGET", "aws")
    monkeypatch.setenv("DYNABERG_NAME", "from-environment")
    settings = load_settings(project, target="local")
    assert (settings.namespace, settings.target, settings.name) == ("lake", "local", "from-environment")


def test_the_buckets_of_the_sample_follow_the_name(project: Path) -> None:
    def buckets(**given: str) -> tuple[str, str]:
        settings = load_settings(project, **given)
        return settings.table_bucket_name, settings.bucket_name

    assert buckets() == ("streamtablebucket", "streambucket")
    assert buckets(name="ada") == ("ada-streamtablebucket", "ada-streambucket")
    (project / "cdk.context.json").write_text('{"bucket_name": "mine"}')
    assert buckets(name="ada") == ("ada-streamtablebucket", "mine")


def test_long_names_have_buckets_of_their_own(tmp_path: Path) -> None:
    names = [f"a-name-that-is-as-long-as-{letter}"[:24] + letter for letter in "xyz"]
    found = {load_settings(tmp_path, name=name).bucket_name for name in names}
    assert len(found) == 3
    assert all(len(name) <= 25 for name in found)


def test_the_cdks_own_keys_are_left_alone(project: Path) -> None:
    (project / "cdk.context.json").write_text(
        '{"aws:cdk:x": 1, "@aws-cdk/core:y": true, "namespace": "lake"}'
    )
    assert load_settings(project).namespace == "lake"


def test_a_folder_without_the_file_has_the_defaults(tmp_path: Path) -> None:
    assert load_settings(tmp_path) == Settings(root=tmp_path)


BAD_FILES = {
    "the blog's trailing comma": (
        '{"table_name": "transactions",\n "stream_type": "dynamodb",\n}',
        "is not JSON",
        "Remove the comma before the closing bracket",
    ),
    "no JSON at all": ("table_name: transactions", "is not JSON", "README"),
    "a list": ("[1, 2]", "holds a list", "Write it as"),
    "a key misspelt": (
        '{"tablename": "x"}',
        "'tablename', which is not a setting",
        "Did you mean 'table_name'?",
    ),
    "a key of nobody": ('{"zzz": "x"}', "'zzz', which is not a setting", "Remove it"),
    "a name with a hyphen": ('{"table_name": "my-table"}', "`table_name` is 'my-table'", "underscores"),
    "a name that is a number": ('{"namespace": 7}', "`namespace` is 7", "lower-case"),
    "a stream type of nobody": ('{"stream_type": "kafka"}', "`stream_type` is 'kafka'", "dynamodb"),
}


@pytest.mark.parametrize(("text", "message", "hint"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_explained(project: Path, text: str, message: str, hint: str) -> None:
    (project / "cdk.context.json").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(project)
    assert message in caught.value.message
    assert hint in caught.value.hint


BAD_VALUES = {
    "target": ("locale", "Did you mean 'local'?"),
    "stream_type": ("dynamo", "Did you mean 'dynamodb'?"),
    "table_bucket_name": ("Stream_Bucket", "3 to 63 lower-case"),
    "bucket_name": ("b" * 26, "2 to 25 lower-case"),
    "name": ("9lives", "a letter first"),
}


@pytest.mark.parametrize(("key", "value", "hint"), [(k, v, h) for k, (v, h) in BAD_VALUES.items()])
def test_a_bad_value_is_explained(key: str, value: str, hint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings(**{key: value})  # type: ignore[arg-type]
    assert repr(value) in caught.value.message
    assert hint in caught.value.hint


def test_an_unknown_setting_is_explained(project: Path) -> None:
    with pytest.raises(SettingsError, match="not a setting"):
        load_settings(project, colour="blue")


@pytest.mark.parametrize("name", ["protect", "raw_parquet"])
def test_what_is_on_or_off_is_a_truth_value(name: str) -> None:
    assert getattr(Settings(), name) is False
    with pytest.raises(SettingsError, match=f"`{name}` is 'yes'"):
        Settings(**{name: "yes"})  # type: ignore[arg-type]


@pytest.mark.parametrize("hours", [23, 8761, "24"])
def test_kinesis_keeps_changes_for_a_day_to_a_year(hours: object) -> None:
    with pytest.raises(SettingsError, match="24 to 8760 hours"):
        Settings(retention_hours=hours)  # type: ignore[arg-type]
    assert Settings(retention_hours=8760).retention_hours == 8760


@pytest.mark.parametrize(
    ("name", "source", "pipeline"),
    [
        ("dynaberg", "", "dynaberg"),
        ("dynaberg", "orders", "dynaberg--orders"),
        ("dynaberg", "Orders", "dynaberg--orders-"),
        ("dynaberg", "web.orders", "dynaberg--web-orde"),
        ("a-name-that-is-25-letters", "orders", "a-name-that-is-25"),
    ],
)
def test_the_names_of_a_source_are_short_and_its_own(name: str, source: str, pipeline: str) -> None:
    found = Settings(name=name, source=source).pipeline
    assert found.startswith(pipeline)
    assert len(found) <= 25
    others = {Settings(name=name, source=other).pipeline for other in ("ORDERS", "web-orders", "web_orders")}
    assert found not in others
    assert len(others) == 3


def test_a_source_is_no_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="'source', which is not a setting"):
        load_settings(tmp_path, source="orders")
