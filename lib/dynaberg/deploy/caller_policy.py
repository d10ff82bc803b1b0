"""The caller's policies: what whoever deploys and whoever works with the workbench must be allowed to do.

`work` is what the library itself calls, and what Athena calls in its name. `deploy` is what CloudFormation
calls in the name of whoever executes a change set; it holds IAM's own actions, and can be given to another
principal or to a CloudFormation service role.
"""

from __future__ import annotations

import json
from pathlib import Path
from string import Template
from typing import Any

from dynaberg.contract import Contract
from dynaberg.settings import Settings, check_choice

POLICIES = ("work", "deploy")
_FOLDER = Path(__file__).parent / "policies"
_KEY = "${KmsKeyArn}"


def caller_policy(
    name: str, settings: Settings, contract: Contract, *, account: str, region: str, partition: str = "aws"
) -> dict[str, Any]:
    """A policy for the caller, with the names of the settings.

    Args:
        name: `work` or `deploy`.
        settings: The names, and the KMS key.
        contract: The source table.
        account: The account's id.
        region: The Region.
        partition: The partition, such as `aws-cn`.

    Returns:
        An IAM policy document.

    Raises:
        SettingsError: There is no such policy.
    """
    check_choice("policy", name, POLICIES)
    names = {
        "Account": account,
        "Region": region,
        "Partition": partition,
        "Name": settings.name,
        "TableBucketName": settings.table_bucket_name,
        "Namespace": settings.namespace,
        "BucketName": settings.bucket_name,
        "SourceTableName": contract.source_table,
        "KmsKeyArn": settings.kms_key_arn,
    }
    document: dict[str, Any] = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    wanted = [s for s in document["Statement"] if settings.kms_key_arn or s["Resource"] != _KEY]
    text = Template(json.dumps(document | {"Statement": wanted})).substitute(names)
    filled: dict[str, Any] = json.loads(text)
    return filled


def actions_of(policy: dict[str, Any]) -> list[str]:
    """The actions that a policy allows, sorted."""
    return sorted({action for statement in policy["Statement"] for action in statement["Action"]})
