"""From a request for texts to what it is answered with."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge_client.edge import Edge
from edge_client.server.answers import Answer, Chunk, seed_of
from edge_client.server.asked import Asked, Prompt
from edge_client.server.body import read_json
from edge_client.server.errors import ApiError, failed
from edge_client.server.models import Models
from edge_client.server.replies import DONE, LEFT, Events, event_of, unless_left
from edge_client.server.writing import Batch, Writers
from edge_client.settings import Options
from shared.config import Mode
from shared.errors import InputError
from shared.version import version

AskedT = TypeVar("AskedT", bound=Asked)

_LOG = logging.getLogger("uvicorn.error")  # which is where errors of whole answers stand


class Answering:
    """Answers requests for texts of one edge.

    Args:
        models: that a request may name.
        largest_request: bytes of a request's body.
    """

    def __init__(self, edge: Edge, writers: Writers, models: Models, largest_request: int) -> None:
        self._edge, self._writers, self._models = edge, writers, models
        self._largest_request = largest_request

    async def answer(
        self,
        request: Request,
        read: Callable[[dict[str, Any]], AskedT],
        answer_to: Callable[[AskedT, str], Answer[AskedT]],
    ) -> Response:
        """Write what a request asks for.

        Args:
            read: what it asks for.
            answer_to: what becomes of that; is told how the server is named.

        Raises:
            ApiError: it cannot be done.
        """
        asked = read(await read_json(request, self._largest_request))
        if asked.structure.param is not None:
            asked = await run_in_threadpool(self._settled, asked)
        texts = self._writers.begin(self._jobs(asked), asked.events)
        answer = answer_to(asked, f"tandem-{version()}")
        batches = texts.batches()
        if not asked.stream:
            whole = await unless_left(request.receive, lambda: self._collect(answer, batches), texts.give_up)
            return Response(status_code=LEFT) if whole is None else JSONResponse(whole)
        first = await unless_left(request.receive, lambda: _first(batches), texts.give_up)
        if first is None:
            return Response(status_code=LEFT)
        return Events(self._lines(answer, first, batches, texts.give_up), texts.give_up)

    def _settled(self, asked: AskedT) -> AskedT:
        """What is asked of texts of this bundle; grammars are compiled here, which may take a moment.

        Raises:
            ApiError: no answer can be kept to it.
        """
        bundle = self._edge.bundle
        try:
            settled = asked.settled(bundle)
            settled.structure.compile(bundle, self._edge.settings)
        except InputError as error:
            raise ApiError(400, str(error), param=asked.structure.param) from None
        return settled

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
        if asked.must_be_exact and options.setdefault("mode", Mode.EXACT) not in (Mode.EXACT, Mode.CLOUD):
            raise ApiError(
                400,
                f"`tandem.require` asks for the target's own text, which mode {options['mode']} does not write: give "
                "exact or cloud",
                param="tandem.mode" if mode is None else "model",
            )
        try:
            self._edge.settings.override(**options)
        except InputError as error:  # before anything waits
            raise ApiError.of(error) from None
        prompts = [prompt for prompt in asked.prompts for _ in range(asked.choices)]
        return [(prompt, {**options, "seed": seed_of(asked, number)}) for number, prompt in enumerate(prompts)]

    async def _collect(self, answer: Answer[AskedT], batches: AsyncIterator[Batch]) -> dict[str, Any]:
        async for batch in batches:
            if batch.completion is not None:
                answer.completions[batch.text] = batch.completion
        return answer.whole()

    async def _lines(
        self,
        answer: Answer[AskedT],
        first: Batch,
        batches: AsyncIterator[Batch],
        leave: Callable[[], None],
    ) -> AsyncIterator[str]:
        """The stream of an answer; `leave` is called where it fails, for with one text all others are in vain."""
        for chunk in answer.begin():
            yield event_of(chunk)
        try:
            for chunk in self._of(answer, first):
                yield event_of(chunk)
            async for batch in batches:
                for chunk in self._of(answer, batch):
                    yield event_of(chunk)
        except Exception as error:
            leave()
            if not isinstance(error, ApiError):
                _LOG.exception("a stream broke off")
            for chunk in answer.fail(error if isinstance(error, ApiError) else failed()):
                yield event_of(chunk)
            return
        for chunk in answer.close():
            yield event_of(chunk)
        if answer.ends_with_done:
            yield DONE

    def _of(self, answer: Answer[AskedT], batch: Batch) -> list[Chunk]:
        chunks = answer.said(batch.text, batch.events, batch.so_far)
        if batch.completion is not None:
            chunks += answer.end(batch.text, batch.completion)
        return chunks


async def _first(batches: AsyncIterator[Batch]) -> Batch:
    """What comes first: a stream that cannot even begin is an error with a status of its own."""
    return await anext(batches)
