"""Forgetting: people who can be forgotten, with proof, and a change log that keeps only what it needs.

Public: `forget` with its preview, its report and the list of tombstones; `apply_retention` with its preview.
"""

from dynaberg.erasure.forget import forget, preview_forget
from dynaberg.erasure.graves import forgotten
from dynaberg.erasure.people import forget_person, preview_person
from dynaberg.erasure.report import ForgetReport
from dynaberg.erasure.retention import apply_retention, preview_retention

__all__ = [
    "ForgetReport",
    "apply_retention",
    "forget",
    "forget_person",
    "forgotten",
    "preview_forget",
    "preview_person",
    "preview_retention",
]
