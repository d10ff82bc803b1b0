"""Private parts of ministack's CloudWatch that are replaced, because there is no public way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable


def put_off_alarms() -> Callable[[], Awaitable[None]]:
    """Return what evaluates the alarms, if metrics came since; each alarm reads every metric.

    ministack evaluates all of them at each PutMetricData, so that every delivery waits for every alarm.
    """
    from ministack.core.responses import get_account_id, get_region, request_scope
    from ministack.services import cloudwatch

    due: set[tuple[str, str]] = set()
    evaluate = cloudwatch._evaluate_all_alarms
    cloudwatch._evaluate_all_alarms = lambda: due.add((get_account_id(), get_region()))

    async def evaluate_due() -> None:
        while due:
            with request_scope(*due.pop()):
                evaluate()

    return evaluate_due
