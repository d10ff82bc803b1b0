"""Failing on request: throttling, refused records, failing functions, duplicates, delays.

From outside: the service that takes rules and applies them, and what a call looks like to a rule.
"""

from local_aws.faults.faults import Faults
from local_aws.faults.rules import Call

__all__ = ["Call", "Faults"]
