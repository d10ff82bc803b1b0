"""Maintenance of S3 Tables: settings, compaction, snapshot expiry, removal of unreferenced files.

From outside: the service. The jobs run in a process of their own, `python -m local_aws.s3tables.maintenance`.
"""

from local_aws.s3tables.maintenance.api import Maintenance

__all__ = ["Maintenance"]
