"""The paths of the local server, and what each does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, TypeVar

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
from edge_client.server.answers import Answer, Chunk, seed_of
from edge_client.server.asked import Asked, Prompt
from edge_client.server.body import read_json
from edge_client.server.chat.answer import ChatAnswer
from edge_client.server.chat.asked import read_chat
from edge_client.server.completions.answer import CompletionAnswer
from edge_client.server.completions.asked import read_completion
from edge_client.server.errors import ApiError
from edge_client.server.files import StaticFiles
from edge_client.server.link import ServedLink
from edge_client.server.metrics import CONTENT_TYPE, Metrics
from edge_client.server.replies import DONE, Events, event_of, unless_left
from edge_client.server.responses.answer import ResponseAnswer
from edge_client.server.responses.asked import read_response
from edge_client.server.responses.kept import KeptResponses
from edge_client.server.settings import ServerSettings
from edge_client.server.writing import Batch, Writers
from edge_client.settings import Options
from shared.config import Mode
from shared.errors import InputError, TandemError
from shared.version import version

AskedT = TypeVar("AskedT", bound=Asked)


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
        self._name = edge.bundle.manifest.name
        self._writers = Writers(edge, settings.texts, settings.waiting)
        self._metrics = Metrics(lambda: self.under_way)
        self._files = StaticFiles()
        self._link = ServedLink(edge.switch if edge.settings.needs_target else None)
        self._kept = KeptResponses()
        modes = list(Mode) if edge.settings.needs_target else [Mode.LOCAL]
        self._models: dict[str, Mode | None] = {self._name: None} | {f"{self._name}:{mode}": mode for mode in modes}
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
            Route("/v1/responses/{id}", self._show_response),
            Route("/v1/responses/{id}", self._forget_response, methods=["DELETE"]),
        ]
        middleware = [Middleware(Access, key=settings.key, origins=settings.origins)]
        if settings.origins:
            middleware.insert(
                0,
                Middleware(
                    CORSMiddleware,
                    allow_origins=settings.origins,
                    allow_methods=["GET", "POST", "DELETE"],
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
        said = {"status": "ok", "model": self._name, "version": version(), "link": self._link.state}
        return self._answer(request, said)

    async def _turn_link(self, request: Request) -> Response:
        body = await read_json(request, self._settings.largest_request)
        await run_in_threadpool(self._link.turn, body)
        return self._answer(request, {"link": self._link.state})

    async def _show_metrics(self, request: Request) -> Response:
        return Response(self._metrics.text(), media_type=CONTENT_TYPE)

    async def _list_models(self, request: Request) -> Response:
        return self._answer(request, {"object": "list", "data": [self._model(name) for name in self._models]})

    async def _show_model(self, request: Request) -> Response:
        return self._answer(request, self._model(request.path_params["name"]))

    async def _complete(self, request: Request) -> Response:
        return await self._write(request, read_completion, CompletionAnswer)

    async def _chat(self, request: Request) -> Response:
        return await self._write(request, read_chat, ChatAnswer)

    async def _respond(self, request: Request) -> Response:
        read = partial(read_response, kept=self._kept)
        return await self._write(request, read, partial(ResponseAnswer, kept=self._kept))

    async def _show_response(self, request: Request) -> Response:
        kept = self._kept.find(request.path_params["id"])
        if kept is None:
            raise self._unknown_response(request)
        return self._answer(request, kept.response)

    async def _forget_response(self, request: Request) -> Response:
        id = request.path_params["id"]
        if not self._kept.forget(id):
            raise self._unknown_response(request)
        return self._answer(request, {"id": id, "object": "response", "deleted": True})

    def _unknown_response(self, request: Request) -> ApiError:
        sentence = f"there is no response {request.path_params['id']!r} here (any more)"
        return ApiError(404, sentence, param="id", code="not_found")

    async def _write(
        self,
        request: Request,
        read: Callable[[dict[str, Any]], AskedT],
        answer_to: Callable[[AskedT, str], Answer[AskedT]],
    ) -> Response:
        asked = read(await read_json(request, self._settings.largest_request))
        if asked.structure.param is not None:
            asked = await run_in_threadpool(self._settled, asked)
        texts = self._writers.begin(self._jobs(asked), asked.events)
        answer = answer_to(asked, f"tandem-{version()}")
        batches = texts.batches()
        if not asked.stream:
            whole = await unless_left(request.receive, lambda: self._collect(answer, batches), texts.give_up)
            return self._answer(request, whole or {})
        first = await unless_left(request.receive, lambda: _first(batches), texts.give_up)
        self._metrics.answered(request.url.path, 200)
        return Events(self._lines(answer, first, batches, texts.give_up), texts.give_up)

    def _settled(self, asked: AskedT) -> AskedT:
        """What is asked of texts of this bundle; grammars are compiled here, which may take a moment.

        Raises:
            ApiError: no answer can be kept to it.
        """
        settled = asked.settled(self._edge.bundle)
        try:
            self._edge.bundle.compile(self._edge.settings.override(**settled.structure.options))
        except InputError as error:
            raise ApiError(400, str(error), param=asked.structure.param) from None
        return settled

    def _jobs(self, asked: Asked) -> list[tuple[Prompt, Options]]:
        """What the writers are given: a prompt and its options, a choice each."""
        options: Options = {**asked.options}
        mode = self._mode(asked.model)
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
                {**options, "seed": seed_of(asked, number)},
            )
            for number, prompt in enumerate(prompts)
        ]

    def _mode(self, model: str) -> Mode | None:
        if model not in self._models:
            known = ", ".join(self._models)
            raise ApiError(404, f"there is no model {model!r} here, but {known}", param="model", code="model_not_found")
        return self._models[model]

    async def _collect(self, answer: Answer[AskedT], batches: AsyncIterator[Batch]) -> dict[str, Any]:
        async for batch in batches:
            if batch.completion is not None:
                self._metrics.ended(batch.completion)
                answer.completions[batch.text] = batch.completion
        return answer.whole()

    async def _lines(
        self,
        answer: Answer[AskedT],
        first: Batch | None,
        batches: AsyncIterator[Batch],
        leave: Callable[[], None],
    ) -> AsyncIterator[str]:
        """The stream of an answer; `leave` is called where it fails, for with one text all others are in vain."""
        for chunk in answer.begin():
            yield event_of(chunk)
        try:
            for batch in () if first is None else (first,):
                for chunk in self._of(answer, batch):
                    yield event_of(chunk)
            async for batch in batches:
                for chunk in self._of(answer, batch):
                    yield event_of(chunk)
        except ApiError as error:
            leave()
            for chunk in answer.fail(error):
                yield event_of(chunk)
            return
        for chunk in answer.close():
            yield event_of(chunk)
        if answer.ends_with_done:
            yield DONE

    def _of(self, answer: Answer[AskedT], batch: Batch) -> list[Chunk]:
        chunks = answer.said(batch.text, batch.events)
        if batch.completion is not None:
            self._metrics.ended(batch.completion)
            chunks += answer.end(batch.text, batch.completion)
        return chunks

    def _model(self, name: str) -> dict[str, Any]:
        self._mode(name)
        settings = self._edge.settings
        own = {
            "mode": str(self._models[name] or settings.mode),
            "budget": settings.budget,
            "criterion": str(settings.criterion),
            "temperature": settings.temperature,
            "max_tokens": settings.max_tokens,
        }
        return {"id": name, "object": "model", "created": 0, "owned_by": "tandem", "tandem": own}

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
        known = "/v1/chat/completions, /v1/responses, /v1/completions and /v1/models"
        sentence = f"{request.method} {request.url.path} is nothing that is served here; {known} are"
        headers = dict(error.headers or {})  # after a 405 they say what may be done with the path
        return await self._refuse(request, ApiError(error.status_code, sentence, code="unknown_url", headers=headers))

    async def _fail(self, request: Request, error: Exception) -> Response:
        sentence = "the server failed at this request; its standard error says why"  # where uvicorn writes it
        return await self._refuse(request, ApiError(500, sentence, "server_error"))


async def _first(batches: AsyncIterator[Batch]) -> Batch:
    """What comes first: a stream that cannot even begin is an error with a status of its own."""
    return await anext(batches)
