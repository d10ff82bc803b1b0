"""One place owns the versions, and SageMaker Studio's own image satisfies them without a package index."""

import ast
import json
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RUNTIME = {canonicalize_name(r.name): r for r in map(Requirement, PROJECT["dependencies"])}
# What the SageMaker Distribution images hold: aws/sagemaker-distribution, cpu.env.out of each version.
STUDIO = {
    "v4.4.1": {
        "python": "3.12.13",
        "boto3": "1.43.56",
        "ipywidgets": "8.1.9",
        "jupyterlab": "4.5.10",
        "matplotlib": "3.10.9",
        "pandas": "2.3.3",
        "pyarrow": "21.0.0",
        "pyathena": "3.35.4",
        "pyiceberg": "0.11.1",
        "packaging": "20.0",  # what matplotlib 3.10 needs at least; the image has a newer one
        "tqdm": "4.70.0",
    },
    "v2.14.10": {
        "python": "3.11.11",
        "boto3": "1.40.70",
        "ipywidgets": "8.1.8",
        "jupyterlab": "4.5.10",
        "matplotlib": "3.10.9",
        "pandas": "2.3.3",
        "pyarrow": "19.0.1",
        "pyathena": "3.30.1",
        "pyiceberg": "0.11.1",
        "packaging": "20.0",  # what matplotlib 3.10 needs at least; the image has a newer one
        "tqdm": "4.70.0",
    },
}
# JupyterLab itself depends on these, so each image has them.
WITH_JUPYTERLAB = {"nbclient", "nbconvert", "pyyaml"}
# Imported by the library, and brought by a declared dependency as its own public ground.
BROUGHT_BY = {
    "botocore": "boto3",
    "numpy": "pandas",
    "packaging": "nbconvert",
    "nbformat": "nbclient",
    "pygments": "nbconvert",
    "requests": "pyiceberg",
}
IMPORTED_AS = {"yaml": "pyyaml"}
# What only those need who install an extra for it.
WITH_AN_EXTRA = {"app.py": {"aws_cdk"}}


@pytest.mark.parametrize("image", STUDIO)
def test_the_studio_image_satisfies_every_runtime_dependency(image):
    pins = STUDIO[image]
    assert set(RUNTIME) - WITH_JUPYTERLAB == set(pins) - {"python"}
    refused = [
        str(r) for name, r in RUNTIME.items() if name in pins and Version(pins[name]) not in r.specifier
    ]
    assert not refused
    assert Version(pins["python"]) in SpecifierSet(PROJECT["requires-python"])


def test_runtime_dependencies_have_a_floor_and_no_ceiling():
    for requirement in RUNTIME.values():
        assert {part.operator for part in requirement.specifier} == {">="}, str(requirement)


def test_the_library_imports_nothing_that_it_does_not_declare():
    imported = set()
    for path in (ROOT / "lib" / "dynaberg").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            imported |= {name.partition(".")[0] for name in names} - WITH_AN_EXTRA.get(path.name, set())
    foreign = imported - sys.stdlib_module_names - {"dynaberg", "local_aws"}
    packages = {BROUGHT_BY.get(name, IMPORTED_AS.get(name, name)) for name in foreign}
    # `mypy_boto3_*` are looked at by the type checker alone.
    assert {name for name in packages if not name.startswith("mypy_boto3")} <= set(RUNTIME)


def test_environment_yml_is_a_thin_door():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    *conda, pip = environment["dependencies"]
    assert pip == {"pip": ["-e .[local]"]}
    ranges = {name: spec for name, _, spec in (line.partition(" ") for line in conda)}
    assert ranges.pop("python") == PROJECT["requires-python"]
    assert ranges.pop("pip") == ""
    for name, spec in ranges.items():
        assert SpecifierSet(spec) == RUNTIME[canonicalize_name(name)].specifier


def test_the_lock_holds_every_dependency_with_a_hash_and_no_address():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert not re.search(r"https?://|--index-url|--find-links|file:", text)
    locked = re.findall(r"^([a-z0-9._-]+)==(\S+)", text, re.MULTILINE)
    blocks = re.split(r"^(?=[a-z0-9._-]+==)", text, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(locked)
    assert all("--hash=sha256:" in block for block in blocks)
    versions: dict[str, list[Version]] = {}
    for name, version in locked:
        versions.setdefault(canonicalize_name(name), []).append(Version(version))
    extras = PROJECT["optional-dependencies"]
    for requirement in map(Requirement, [*PROJECT["dependencies"], *extras["local"], *extras["dev"]]):
        found = versions[canonicalize_name(requirement.name)]
        assert all(version in requirement.specifier for version in found), str(requirement)


def test_the_emulator_is_pinned_exactly():
    pinned = {r.name: str(r.specifier) for r in map(Requirement, PROJECT["optional-dependencies"]["local"])}
    assert pinned["ministack"].startswith("==")
    assert pinned["duckdb"] == pinned["duckdb-extension-iceberg"] == pinned["duckdb-extension-httpfs"]


@pytest.mark.parametrize("version", STUDIO)
def test_the_pins_that_make_studio_installs_are_those_of_the_image(version):
    text = (ROOT / "tests" / "studio" / f"{version}.txt").read_text(encoding="utf-8")
    pins = dict(line.split("==") for line in text.splitlines() if "==" in line)
    image = STUDIO[version]
    assert f"Python {image['python']}:" in text
    # What the image has and the library never asks for; and a floor, which is no pin.
    assert pins.keys() - image.keys() == {"numpy"}
    assert {name: pins[name] for name in pins.keys() - {"numpy"}} == {
        name: image[name] for name in image.keys() - {"python", "packaging"}
    }
    assert {path.stem for path in (ROOT / "tests" / "studio").glob("*.txt")} == set(STUDIO)


# The doors of others: Binder (repo2docker) and Codespaces (containers.dev) -------------------------

BINDER, CONTAINER = ROOT / ".binder", ROOT / ".devcontainer" / "devcontainer.json"
# repo2docker reads these names in `.binder`, and then nothing else of the repository.
READ_BY_BINDER = {"runtime.txt", "requirements.txt", "postBuild"}
READ_BY_CODESPACES = {"name", "image", "hostRequirements", "postCreateCommand", "customizations"}


def test_binder_installs_what_was_tested():
    assert {path.name for path in BINDER.iterdir()} == READ_BY_BINDER
    for line in (BINDER / "requirements.txt").read_text(encoding="utf-8").splitlines():
        option, _, target = line.partition(" ")
        assert option == "-r"
        assert (BINDER / target).resolve() == ROOT / "requirements.lock"
    script = (BINDER / "postBuild").read_text(encoding="utf-8")
    assert script.startswith("#!")
    assert (BINDER / "postBuild").stat().st_mode & 0o111
    # A resolver that ran again could replace what the lock says.
    assert re.findall(r"pip install (.*)", script) == ["--quiet --no-deps --no-build-isolation -e ."]


def test_codespaces_makes_our_environment_and_opens_the_notebooks_with_it():
    container = json.loads(CONTAINER.read_text(encoding="utf-8"))
    assert set(container) == READ_BY_CODESPACES
    target = container["postCreateCommand"].removeprefix("make ")
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    editor = container["customizations"]["vscode"]
    assert editor["settings"]["python.defaultInterpreterPath"].endswith("/.venv/bin/python")
    assert "ms-toolsai.jupyter" in editor["extensions"]
    assert container["hostRequirements"]["cpus"] >= 2
    assert int(container["hostRequirements"]["memory"].removesuffix("gb")) >= 2


def test_both_use_a_python_that_we_support():
    binder = (BINDER / "runtime.txt").read_text(encoding="utf-8").strip().removeprefix("python-")
    image, _, tag = json.loads(CONTAINER.read_text(encoding="utf-8"))["image"].partition(":")
    assert image == "python"
    assert Version(binder) == Version(tag.partition("-")[0])
    assert Version(f"{binder}.0") in SpecifierSet(PROJECT["requires-python"])
