"""The paths of the local server, and what each does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
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
from edge_client.server.answers import Answer, seed_of
from edge_client.server.asked import Asked, Prompt, read_chat, read_completion
from edge_client.server.body import read_json
from edge_client.server.errors import ApiError
from edge_client.server.files import StaticFiles
from edge_client.server.link import ServedLink
from edge_client.server.metrics import CONTENT_TYPE, Metrics
from edge_client.server.models import Models
from edge_client.server.replies import Events, unless_left
from edge_client.server.settings import ServerSettings
from edge_client.server.writing import Batch, Writers
from edge_client.settings import Options
from shared.errors import InputError, TandemError
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
        self._writers = Writers(edge, settings.texts, settings.waiting)
        self._metrics = Metrics(lambda: self.under_way)
        self._files = StaticFiles()
        self._link = ServedLink(edge.switch if edge.settings.needs_target else None)
        routes = [
            Route("/", self._show_file),
            Route("/page/{name}", self._show_file),
            Route("/openapi.json", self._show_file),
            Route("/health", self._health),
            Route("/metrics", self._show_metrics),
            Route("/tandem/link", self._turn_link, methods=["POST"]),
            Route("/v1/models", self._list_models),
            Route("/v1/models/{name}", self._show_model),
            Route("/v1/completions", partial(self._write, read=read_completion), methods=["POST"]),
            Route("/v1/chat/completions", partial(self._write, read=read_chat), methods=["POST"]),
        ]
        middleware = [Middleware(Access, key=settings.key, origins=settings.origins)]
        if settings.origins:
            middleware.insert(
                0,
                Middleware(
                    CORSMiddleware,
                    allow_origins=settings.origins,
                    allow_methods=["GET", "POST"],
                    allow_headers=["Authorization", "Content-Type"],
                ),
            )
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
        self._metrics.answered(request.scope["route"].path, answer.status_code)
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

    async def _write(self, request: Request, read: Callable[[dict[str, Any]], Asked]) -> Response:
        asked = read(await read_json(request, self._settings.largest_request))
        if asked.structure.param is not None:
            await run_in_threadpool(self._see_structure, asked)
        texts = self._writers.begin(self._jobs(asked), asked.events)
        answer = Answer(asked, f"tandem-{version()}")
        batches = texts.batches()
        if not asked.stream:
            whole = await unless_left(request.receive, lambda: self._collect(answer, batches), texts.give_up)
            return self._answer(request, whole or {})
        first = await unless_left(request.receive, lambda: _first(batches), texts.give_up)
        self._metrics.answered(request.url.path, 200)
        return Events(self._chunks(answer, first, batches), texts.give_up)

    def _see_structure(self, asked: Asked) -> None:
        """Refuse what no answer can be kept to; it is compiled for that, which may take a moment."""
        try:
            self._edge.bundle.compile(self._edge.settings.override(**asked.structure.options))
        except InputError as error:
            raise ApiError(400, str(error), param=asked.structure.param) from None

    def _jobs(self, asked: Asked) -> list[tuple[Prompt, Options]]:
        """What the writers are given: a prompt and its options, a choice each."""
        options: Options = {**asked.options}
        mode = self._models.mode(asked.model)
        if mode is not None and options.setdefault("mode", mode) != mode:
            raise ApiError(
                400,
                f"the model {asked.model!r} is mode {mode}, and another is asked for; give one of them",
                param="model",
            )
        self._edge.settings.override(**options)  # which refuses what it cannot do, before anything waits
        prompts = [prompt for prompt in asked.prompts for _ in range(asked.choices)]
        return [
            (
                prompt,
                {**options, **self._length(asked), "seed": seed_of(asked, number)},
            )
            for number, prompt in enumerate(prompts)
        ]

    def _length(self, asked: Asked) -> Options:
        """How long a text may become: an answer as long as it takes, if nobody says anything."""
        return {"max_tokens": asked.max_tokens} if asked.max_tokens is not None or asked.is_chat else {}

    async def _collect(self, answer: Answer, batches: AsyncIterator[Batch]) -> dict[str, Any]:
        async for batch in batches:
            if batch.completion is not None:
                self._metrics.ended(batch.completion)
                answer.completions[batch.text] = batch.completion
        return answer.whole()

    async def _chunks(
        self, answer: Answer, first: Batch | None, batches: AsyncIterator[Batch]
    ) -> AsyncIterator[dict[str, Any]]:
        if answer.asked.is_chat:
            for number in range(answer.asked.choices):
                yield answer.opening(number)
        try:
            if first is not None:
                for chunk in self._of(answer, first):
                    yield chunk
            async for batch in batches:
                for chunk in self._of(answer, batch):
                    yield chunk
        except ApiError as error:
            yield error.body
            return
        if answer.asked.with_usage:
            yield answer.figures()

    def _of(self, answer: Answer, batch: Batch) -> list[dict[str, Any]]:
        chunk = answer.said(batch.text, batch.events)
        chunks = [] if chunk is None else [chunk]
        if batch.completion is not None:
            self._metrics.ended(batch.completion)
            chunks.append(answer.end(batch.text, batch.completion))
        return chunks

    def _answer(
        self, request: Request, body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None
    ) -> Response:
        path = request.scope.get("route")
        self._metrics.answered(path.path if isinstance(path, Route) else "other", status)
        return JSONResponse(body, status, headers)

    async def _refuse(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError), "it is registered for no other"
        return self._answer(request, error.body, error.status, error.headers)

    async def _refuse_by_ours(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, TandemError), "it is registered for no other"
        return await self._refuse(request, ApiError.of(error))

    async def _refuse_path(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException), "it is registered for no other"
        known = "/v1/chat/completions, /v1/completions and /v1/models"
        sentence = f"{request.method} {request.url.path} is nothing that is served here; {known} are"
        headers = dict(error.headers or {})  # after a 405 they say what may be done with the path
        return await self._refuse(request, ApiError(error.status_code, sentence, code="unknown_url", headers=headers))

    async def _fail(self, request: Request, error: Exception) -> Response:
        sentence = "the server failed at this request; its standard error says why"  # where uvicorn writes it
        return await self._refuse(request, ApiError(500, sentence, "server_error"))


async def _first(batches: AsyncIterator[Batch]) -> Batch:
    """What comes first: a stream that cannot even begin is an error with a status of its own."""
    return await anext(batches)
