"""The CDK app: the same templates, for people who deploy with `cdk`. It needs the extra `cdk`, and Node.

    $ cdk synth
    $ cdk deploy --all -c stream_type=kinesis

It deploys one source: the table of the settings, and with a `when` all tables that share its source. Each
stack includes its template as it is, or as it is for several change logs. Where the workbench passes an
output of one stack to a parameter of the next, the app uses an export and an import; the functions' code is
an asset of the CDK, so the account must have been bootstrapped (`cdk bootstrap`).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from aws_cdk import App, CfnResource, Fn, Stack
from aws_cdk.aws_s3_assets import Asset
from aws_cdk.cloudformation_include import CfnInclude

from dynaberg import deploy
from dynaberg.contracts import Contract, project_contract, read_project
from dynaberg.deploy import (
    Pace,
    access_parameters,
    check_readers,
    delivery_parameters,
    foundation_parameters,
    observe_parameters,
    package,
    parquet_parameters,
)
from dynaberg.deploy.cdk.table_resources import table_resources
from dynaberg.settings import Settings, load_settings


class Imports(Mapping[str, str]):
    """A stack's outputs, as the stacks after it see them.

    Args:
        settings: The name, and the stream type that decides which outputs there are.
        part: The stack that exports them.
        others: The further change logs of the source.
        keyed_masks: Whether there is a key for masks, too.
    """

    def __init__(
        self,
        settings: Settings,
        part: deploy.Part,
        others: Sequence[str] = (),
        *,
        keyed_masks: bool = False,
    ) -> None:
        self._stack_name = deploy.stack_name(settings, part)
        outputs = deploy.template_for(part, others)["Outputs"]
        holds = {"UsesKinesis": settings.stream_type == "kinesis", "HasMaskKey": keyed_masks}
        self._names = [n for n, o in outputs.items() if holds.get(o.get("Condition"), True)]

    def __getitem__(self, name: str) -> str:
        """The output's value, imported where it is deployed."""
        if name not in self._names:
            raise KeyError(name)
        return str(Fn.import_value(export_name(self._stack_name, name)))

    def __iter__(self) -> Iterator[str]:
        """The names of the outputs."""
        return iter(self._names)

    def __len__(self) -> int:
        """How many outputs there are."""
        return len(self._names)


def build(app: App) -> dict[str, Stack]:
    """Add the stacks to an app, by the settings of its context.

    Args:
        app: The app; its context is `cdk.context.json` and the options `-c key=value`.

    Returns:
        The stacks in the order in which they are deployed: foundation, tables, access, delivery, observe; and
        parquet, by its setting.
    """
    settings = settings_of(app)
    contract = _contract(settings)
    log, *others = (each.log_name for each in contract.of_source)
    check_readers(settings, others)
    keyed = contract.needs_mask_key
    foundation, delivery = Imports(settings, "foundation"), Imports(settings, "delivery", others)
    access = Imports(settings, "access", others, keyed_masks=keyed)
    more: tuple[deploy.Part, ...] = ("parquet",) if settings.raw_parquet else ()
    stacks = {
        part: Stack(app, f"{settings.name}-{part}", tags=deploy.tags(settings))
        for part in ("foundation", "tables", "access", "delivery", "observe", *more)
    }
    for before, after in itertools.pairwise(stacks.values()):
        after.add_stack_dependency(before)
    _include(stacks, "foundation", foundation_parameters(settings, contract))
    _add_tables(stacks["tables"], contract, foundation)
    granted = access_parameters(settings, foundation, {}, log, mask_key="1" if keyed else "")
    _include(stacks, "access", granted, others)
    delivered = _delivery(stacks["delivery"], settings, contract, foundation, access)
    _include(stacks, "delivery", delivered, others)
    _include(stacks, "observe", observe_parameters(settings, foundation, delivery, others), others)
    for part in more:
        _include(stacks, part, parquet_parameters(settings))
    return stacks


def _contract(settings: Settings) -> Contract:
    """The contract of the settings' table, which knows the other tables of its source."""
    own = project_contract(settings)
    project = read_project(settings)
    if stopped := project.why_stopped(own):
        raise stopped
    return next(each for each in project.contracts if each.table == own.table)


def settings_of(app: App) -> Settings:
    """The settings from the app's context; values from `-c` are text."""
    given = {
        f.name: app.node.try_get_context(f.name) for f in fields(Settings) if f.name not in ("root", "source")
    }
    typed = {key: _typed(key, value) for key, value in given.items() if value is not None}
    return load_settings(**{**typed, "target": "aws"})


def export_name(stack_name: str, output: str) -> str:
    """The name by which a stack exports an output."""
    return f"{stack_name}:{output}"


def _typed(key: str, value: Any) -> Any:
    wanted = type(getattr(Settings, key))
    if not isinstance(value, str) or wanted not in (int, bool):
        return value
    return value == "true" if wanted is bool else int(value)


def _include(
    stacks: Mapping[str, Stack],
    part: deploy.Part,
    parameters: Mapping[str, str],
    others: Sequence[str] = (),
) -> None:
    """Include a template as it is, its parameters filled in, its outputs exported."""
    stack, path, template = stacks[part], deploy.TEMPLATES / f"{part}.yaml", deploy.template_for(part, others)
    if others:
        path = _outdir(stack) / f"{part}.included.json"
        path.write_text(json.dumps(template))
    included = CfnInclude(stack, "Template", template_file=str(path), parameters=dict(parameters))
    for name in template.get("Outputs", {}):
        included.get_output(name).export_name = export_name(stack.stack_name, name)


def _add_tables(stack: Stack, contract: Contract, foundation: Mapping[str, str]) -> None:
    arn, namespace = foundation["TableBucketArn"], foundation["Namespace"]
    found = table_resources(contract, table_bucket_arn=arn, namespace=namespace)
    for logical_id, resource in found.items():
        table = CfnResource(stack, logical_id, type=resource["Type"], properties=resource["Properties"])
        table.add_override("DeletionPolicy", resource["DeletionPolicy"])
        table.add_override("UpdateReplacePolicy", resource["UpdateReplacePolicy"])


def _delivery(
    stack: Stack,
    settings: Settings,
    contract: Contract,
    foundation: Mapping[str, str],
    access: Mapping[str, str],
) -> dict[str, str]:
    """The delivery's parameters, its code from the asset."""
    archive = _outdir(stack) / "functions.zip"
    archive.write_bytes(package(contract))
    code = Asset(stack, "Functions", path=str(archive))
    log = contract.of_source[0].log_name
    wanted = delivery_parameters(
        settings, foundation, access, code_key=code.s3_object_key, pace=Pace(), log=log
    )
    return wanted | {"StreamType": settings.stream_type, "CodeBucketName": code.s3_bucket_name}


def _outdir(stack: Stack) -> Path:
    """The folder of the assembly, which is there from now on."""
    app: Any = stack.node.root
    folder = Path(app.outdir)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


if __name__ == "__main__":
    cdk_app = App(analytics_reporting=False)
    build(cdk_app)
    cdk_app.synth()
