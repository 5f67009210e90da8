"""Counts every answer, also those that are given before a request reaches its path."""

from __future__ import annotations

from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge_client.server.metrics import Metrics
from edge_client.server.replies import LEFT


class Counting:
    """Counts requests by path and by the status of their answer; goes around everything else."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun: int | None = None
        is_counted = False

        def count(status: int) -> None:
            nonlocal is_counted
            if not is_counted:
                route = scope.get("route")
                self._metrics.answered(route.path if isinstance(route, Route) else "other", status)
                is_counted = True

        async def counted(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = message["status"]
            elif message["type"] == "http.response.body" and not message.get("more_body", False):
                count(LEFT if begun is None else begun)  # before it is sent: whoever has the answer finds it counted
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except Exception:
            count(500)  # as it is answered by the framework, further out
            raise
        finally:
            count(LEFT)
