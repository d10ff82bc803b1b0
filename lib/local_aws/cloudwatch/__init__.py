"""The metrics that AWS's services report of themselves, and ministack's do not.

From outside: a metric, reporting metrics, and reporting those of all queues.
"""

from local_aws.cloudwatch.metrics import metric, put_metrics, report_queues

__all__ = ["metric", "put_metrics", "report_queues"]
