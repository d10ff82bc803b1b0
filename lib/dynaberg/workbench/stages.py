"""The stages of a pipeline, and bringing it to the one that a notebook needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

import boto3
import pandas as pd

from dynaberg import deploy
from dynaberg.settings import Settings, check_choice
from dynaberg.workbench.table import Table
from dynaberg.workbench.tables import DEPLOYED

Stage = Literal["cdc", "firehose", "traffic", "refresh"]


class _Pipeline(Protocol):
    """What a workbench can do to get from one stage to the next."""

    @property
    def settings(self) -> Settings: ...
    @property
    def session(self) -> boto3.Session: ...
    def table(self, name: str | None = None) -> Table: ...
    def tables(self) -> pd.DataFrame: ...
    def enable_cdc(self) -> object: ...
    def integrate_analytics(self) -> object: ...
    def deploy_firehose(self, *, buffer_seconds: int) -> object: ...
    def generate_traffic(self) -> object: ...


def bring_to(pipeline: _Pipeline, through: Stage) -> None:
    """Bring the pipeline to a stage; what already exists is left as it is.

    Args:
        pipeline: The workbench.
        through: The last stage that must be done.

    Raises:
        SettingsError: There is no such stage.
    """
    stages = tuple(_STAGES)
    check_choice("through", through, stages)
    for stage in stages[: stages.index(through) + 1]:
        _STAGES[stage](pipeline)


def _cdc(pipeline: _Pipeline) -> None:
    if not deploy.exists(pipeline.session, pipeline.settings, "foundation"):
        pipeline.enable_cdc()


def _firehose(pipeline: _Pipeline) -> None:
    if not deploy.exists(pipeline.session, pipeline.settings, "delivery"):
        pipeline.integrate_analytics()
        pipeline.deploy_firehose(buffer_seconds=10)


def _traffic(pipeline: _Pipeline) -> None:
    if pipeline.table().log.current_snapshot() is None:
        pipeline.generate_traffic()
        pipeline.table().wait_for_delivery()


def _refresh(pipeline: _Pipeline) -> None:
    tables = pipeline.tables()
    for name in tables.loc[(tables["state"] == DEPLOYED) & tables["rows"].notna(), "table"]:
        pipeline.table(name).refresh()


_STAGES: Mapping[Stage, Callable[[_Pipeline], None]] = {
    "cdc": _cdc,
    "firehose": _firehose,
    "traffic": _traffic,
    "refresh": _refresh,
}
