"""Protection of what holds data: a foundation that is protected is not deleted by mistake.

Source: "Protect CloudFormation stacks from being deleted", AWS CloudFormation User Guide.
"""

from __future__ import annotations

import boto3

from dynaberg import aws
from dynaberg.deploy.deployer import describe_stack
from dynaberg.errors import SettingsError


def protect_stack(session: boto3.Session, stack_name: str, *, protect: bool) -> None:
    """Set whether CloudFormation refuses to delete a stack; what is as wanted is not touched.

    Args:
        session: An open session.
        stack_name: Name of a stack that exists.
        protect: Whether it shall be refused.
    """
    if is_protected(session, stack_name) != protect:
        aws.client(session, "cloudformation").update_termination_protection(
            StackName=stack_name, EnableTerminationProtection=protect
        )


def is_protected(session: boto3.Session, stack_name: str) -> bool:
    """Whether CloudFormation refuses to delete a stack; one that does not exist is not protected."""
    return bool((describe_stack(session, stack_name) or {}).get("EnableTerminationProtection"))


def refuse_protected(session: boto3.Session, stack_name: str) -> None:
    """Refuse to begin a removal that a protected stack would stop half-way.

    Raises:
        SettingsError: The stack is protected; nothing was removed.
    """
    if is_protected(session, stack_name):
        msg = f"Stack {stack_name!r} is protected, its DynamoDB table too. Nothing was removed."
        raise SettingsError(msg, hint="Take the protection off first: `protect` false, then wb.enable_cdc().")
