"""What is deployed on AWS: stacks and templates, permissions, the functions' code, checks and clean-up.

Public: deploying and inspecting the four stacks by name, the doctor, and the clean-up.
"""

from dynaberg.deploy.adoption import adopt, refuse_adopted
from dynaberg.deploy.cleanup import clean_up, list_resources, remove_source
from dynaberg.deploy.deployer import change_parameters
from dynaberg.deploy.doctor import doctor
from dynaberg.deploy.handover import aws_seconds, forwarded_until
from dynaberg.deploy.integration import integrate_analytics
from dynaberg.deploy.packaging import package, package_with, upload
from dynaberg.deploy.parameters import (
    Pace,
    access_parameters,
    check_readers,
    delivery_parameters,
    foundation_parameters,
    observe_parameters,
    pace_of,
    parquet_parameters,
)
from dynaberg.deploy.stack_state import (
    Part,
    created_at,
    of_source,
    stack_drift,
    stack_name,
    stack_parameters,
)
from dynaberg.deploy.stacks import (
    code_bucket,
    delete_part,
    deploy_firehose,
    deploy_part,
    enable_cdc,
    exists,
    grants,
    outputs,
    parquet_outputs,
    policy,
    preview,
    tags,
)
from dynaberg.deploy.template import TEMPLATES, load_template, log_id, stream_name, template_for

__all__ = [
    "TEMPLATES",
    "Pace",
    "Part",
    "access_parameters",
    "adopt",
    "aws_seconds",
    "change_parameters",
    "check_readers",
    "clean_up",
    "code_bucket",
    "created_at",
    "delete_part",
    "delivery_parameters",
    "deploy_firehose",
    "deploy_part",
    "doctor",
    "enable_cdc",
    "exists",
    "forwarded_until",
    "foundation_parameters",
    "grants",
    "integrate_analytics",
    "list_resources",
    "load_template",
    "log_id",
    "observe_parameters",
    "of_source",
    "outputs",
    "pace_of",
    "package",
    "package_with",
    "parquet_outputs",
    "parquet_parameters",
    "policy",
    "preview",
    "refuse_adopted",
    "remove_source",
    "stack_drift",
    "stack_name",
    "stack_parameters",
    "stream_name",
    "tags",
    "template_for",
    "upload",
]
