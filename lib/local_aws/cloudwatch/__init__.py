"""The metrics that AWS's services report of themselves, and ministack's do not.

From outside: a metric, putting some, and the metrics of queues, which are measured in the background.
"""

from local_aws.cloudwatch.metrics import Metric, QueueMetrics, put_metrics

__all__ = ["Metric", "QueueMetrics", "put_metrics"]
