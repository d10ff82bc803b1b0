"""Statements run: queries, INSERT, UPDATE, DELETE, MERGE, DDL, SHOW, UNLOAD, and their results.

From outside: the runner, an execution and its outcome, and how results are written.
"""

from local_aws.athena.statements.executions import Execution, Executions, invalid
from local_aws.athena.statements.results import header, lines_of_text
from local_aws.athena.statements.runner import Runner

__all__ = ["Execution", "Executions", "Runner", "header", "invalid", "lines_of_text"]
