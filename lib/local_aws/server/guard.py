"""The check of every call against the policies of its caller, if the local AWS was started to enforce IAM."""

from __future__ import annotations

from collections.abc import Sequence

from local_aws.seams import iam
from local_aws.wire import AtRest, Request, Response, Service

_NO_SERVICES: Sequence[Service] = ()


class Guard(AtRest):
    """Stands before all other services of the gateway (a `Service`)."""

    def __init__(self) -> None:
        self._services = _NO_SERVICES
        iam.let_functions_call_in_their_roles_name()

    def before(self, services: Sequence[Service]) -> list[Service]:
        """The services of the gateway, with the guard before them."""
        self._services = services
        return [self, *services]

    def claims(self, method: str, path: str, target: str) -> bool:
        """Every call of AWS."""
        return not path.startswith("/_")

    async def handle(self, request: Request) -> Response | None:
        """Refuse a call, or let the others answer it."""
        if refused := iam.refusal(request):
            return refused
        for service in self._services:
            if service.claims(request.method, request.path, request.target):
                return await service.handle(request)
        return None
