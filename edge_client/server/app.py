"""The paths of the local server, and what each does."""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edge_client.edge import Edge
from edge_client.server.access import Access
from edge_client.server.answering import Answering
from edge_client.server.body import read_json
from edge_client.server.chat.answer import ChatAnswer
from edge_client.server.chat.asked import read_chat
from edge_client.server.completions.answer import CompletionAnswer
from edge_client.server.completions.asked import read_completion
from edge_client.server.counting import Counting
from edge_client.server.errors import ApiError, failed
from edge_client.server.files import StaticFiles
from edge_client.server.link import ServedLink
from edge_client.server.metrics import CONTENT_TYPE, Metrics
from edge_client.server.models import Models
from edge_client.server.responses.answer import ResponseAnswer
from edge_client.server.responses.asked import read_response
from edge_client.server.responses.kept import KeptResponses
from edge_client.server.settings import ServerSettings
from edge_client.server.writing import Writers
from shared.errors import TandemError
from shared.version import version


class Server:
    """The local server over one edge.

    Args:
        edge: writes the texts; its settings hold where a request says nothing else.

    Attributes:
        app: to be served.
    """

    def __init__(self, edge: Edge, settings: ServerSettings) -> None:
        self._edge = edge
        self._settings = settings
        self._models = Models(edge)
        self._metrics = Metrics(lambda: self.under_way)
        self._writers = Writers(edge, settings.texts, settings.waiting, self._metrics.ended)
        self._files = StaticFiles()
        self._link = ServedLink(edge.switch if edge.settings.needs_target else None)
        self._kept = KeptResponses()
        self._answering = Answering(edge, self._writers, self._models, settings.largest_request)
        routes = [
            Route("/", self._show_file),
            Route("/page/{name}", self._show_file),
            Route("/openapi.json", self._show_file),
            Route("/health", self._health),
            Route("/metrics", self._show_metrics),
            Route("/tandem/link", self._turn_link, methods=["POST"]),
            Route("/v1/models", self._list_models),
            Route("/v1/models/{name}", self._show_model),
            Route("/v1/completions", self._complete, methods=["POST"]),
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
            Route("/v1/responses", self._respond, methods=["POST"]),
            Route("/v1/responses/{id}", self._show_or_forget, methods=["GET", "DELETE"]),
        ]
        middleware = [Middleware(Counting, metrics=self._metrics)]
        if settings.origins:
            middleware.append(
                Middleware(
                    CORSMiddleware,
                    allow_origins=settings.origins,
                    allow_methods=["GET", "POST", "DELETE"],
                    allow_headers=["*"],  # OpenAI's own client for browsers sends a dozen of its own
                    allow_private_network=True,  # a page of the web asks this machine
                ),
            )
        middleware.append(Middleware(Access, key=settings.key, origins=settings.origins))
        handlers = {
            ApiError: self._refuse,
            TandemError: self._refuse_by_ours,
            HTTPException: self._refuse_path,
            Exception: self._fail,
        }
        self.app = Starlette(routes=routes, middleware=middleware, exception_handlers=handlers)

    @property
    def under_way(self) -> int:
        """Texts that are being written or wait for their turn, now."""
        return self._writers.under_way

    def give_up(self) -> None:
        """Write no more: neither the texts under way, nor those that wait."""
        self._writers.give_up()

    def close(self) -> None:
        """Give up the texts under way, and wait until their threads have noticed."""
        self._writers.close()

    async def _show_file(self, request: Request) -> Response:
        answer = self._files.answer(request, request.scope["path"].removeprefix("/") or "page/index.html")
        if answer is None:
            raise HTTPException(404)
        return answer

    async def _health(self, request: Request) -> Response:
        said = {"status": "ok", "model": self._models.name, "version": version(), "link": self._link.state}
        return self._answer(request, said)

    async def _turn_link(self, request: Request) -> Response:
        body = await read_json(request, self._settings.largest_request)
        await run_in_threadpool(self._link.turn, body)
        return self._answer(request, {"link": self._link.state})

    async def _show_metrics(self, request: Request) -> Response:
        return Response(self._metrics.text(), media_type=CONTENT_TYPE)

    async def _list_models(self, request: Request) -> Response:
        return self._answer(request, {"object": "list", "data": self._models.listed()})

    async def _show_model(self, request: Request) -> Response:
        return self._answer(request, self._models.described(request.path_params["name"]))

    async def _complete(self, request: Request) -> Response:
        return await self._answering.answer(request, read_completion, CompletionAnswer)

    async def _chat(self, request: Request) -> Response:
        return await self._answering.answer(request, read_chat, ChatAnswer)

    async def _respond(self, request: Request) -> Response:
        read = partial(read_response, kept=self._kept)
        return await self._answering.answer(request, read, partial(ResponseAnswer, kept=self._kept))

    async def _show_or_forget(self, request: Request) -> Response:
        id = request.path_params["id"]
        if (kept := self._kept.find(id)) is None:
            raise ApiError(404, f"there is no response {id[:80]!r} here (any more)", param="id", code="not_found")
        if request.method != "DELETE":
            return self._answer(request, kept.response)
        self._kept.forget(id)
        return self._answer(request, {"id": id, "object": "response", "deleted": True})

    def _answer(
        self, request: Request, body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None
    ) -> Response:
        return JSONResponse(body, status, headers)

    async def _refuse(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError), "it is registered for no other"
        return self._answer(request, error.body, error.status, error.headers)

    async def _refuse_by_ours(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, TandemError), "it is registered for no other"
        return await self._refuse(request, ApiError.of(error))

    async def _refuse_path(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException), "it is registered for no other"
        known = "/v1/chat/completions, /v1/responses, /v1/completions and /v1/models"
        sentence = f"{request.method} {request.url.path} is nothing that is served here; {known} are"
        headers = dict(error.headers or {})  # after a 405 they say what may be done with the path
        return await self._refuse(request, ApiError(error.status_code, sentence, code="unknown_url", headers=headers))

    async def _fail(self, request: Request, error: Exception) -> Response:
        return await self._refuse(request, failed())
