"""The proof that Iceberg equals DynamoDB: both sides, digests, comparison, and the repair of differences.

Public: `reconcile` with its preview and its report, and `repair`.
"""

from dynaberg.proof.preview import preview_reconcile
from dynaberg.proof.reconcile import reconcile
from dynaberg.proof.repair import repair
from dynaberg.proof.report import ReconcileReport

__all__ = ["ReconcileReport", "preview_reconcile", "reconcile", "repair"]
