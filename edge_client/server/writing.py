"""Texts that are written in threads of their own, read by the event loop that serves the requests."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Lock
from time import monotonic
from typing import Any, NamedTuple

from edge_client.decoding.text import Event
from edge_client.edge import Edge
from edge_client.server.asked import Prompt
from edge_client.server.errors import ApiError
from edge_client.settings import Options
from edge_client.stream import Completion, Stream
from shared.errors import InputError, TandemError

# Seconds from one look at a text's figures to the next: often enough to be seen moving.
_LOOKS = 0.25

_ENDED = ApiError(503, "the server is ending; try again when it is back", "server_error", code="shutting_down")


class Batch(NamedTuple):
    """What came since one last looked.

    Attributes:
        text: which of several it belongs to, from 0.
        events: in order; one or more, or none at the end.
        completion: the whole, where the text has ended.
        so_far: its figures, where it goes on and somebody looked since.
    """

    text: int
    events: list[Event]
    completion: Completion | None
    so_far: dict[str, Any] | None = None


class Writers:
    """Threads that write, a text each; a text for which there is none free waits its turn.

    Args:
        texts: written at once.
        waiting: texts that may wait.
        ended: is told of every text that was begun, by whoever has written it.

    Attributes:
        under_way: texts that are being written or wait, now.
    """

    def __init__(self, edge: Edge, texts: int, waiting: int, ended: Callable[[Completion], None]) -> None:
        self.edge = edge
        self._ended = ended
        self.most = texts + waiting
        self._pool = ThreadPoolExecutor(texts, "text")
        self._lock = Lock()
        self._running: set[Writing] = set()

    @property
    def under_way(self) -> int:
        return len(self._running)

    def begin(self, texts: Sequence[tuple[Prompt, Options]], provisional: bool) -> Texts:
        """Write several texts; to be called by the event loop that reads them.

        Args:
            provisional: tell also of tokens that nobody has judged yet, and of the figures so far.

        Raises:
            ApiError: too many wait already.
        """
        if len(texts) > self.most:
            raise ApiError(
                400, f"{len(texts)} texts are asked for at once, and {self.most} are the most; ask for fewer"
            )
        with self._lock:
            if len(self._running) + len(texts) > self.most:
                raise ApiError(
                    429,
                    f"{len(self._running)} texts are being written or wait here, and {self.most} are the most; "
                    "try again in a moment",
                    "rate_limit_error",
                    code="rate_limit_exceeded",
                    headers={"Retry-After": "1"},
                )
            together = Texts(asyncio.get_running_loop())
            together.writings = [Writing(self.edge, *text, provisional, together.wake, self._ended) for text in texts]
            self._running.update(together.writings)
        for writing in together.writings:
            self._pool.submit(self._write, writing)
        return together

    def give_up(self) -> None:
        """Give up all texts, those too that wait."""
        with self._lock:
            running = list(self._running)
        for writing in running:
            writing.give_up()

    def close(self) -> None:
        """Give up all texts, and wait until their threads have noticed."""
        self.give_up()
        self._pool.shutdown()

    def _write(self, writing: Writing) -> None:
        try:
            writing.write()
        finally:
            with self._lock:
                self._running.discard(writing)


class Writing:
    """One text: written by a thread, read and given up by the event loop.

    Args:
        wake: tells the reader that there is something new; from any thread.
        ended: is told what was written, also where the rest is not wanted, or cannot be written.
    """

    def __init__(
        self,
        edge: Edge,
        prompt: Prompt,
        options: Options,
        provisional: bool,
        wake: Callable[[], None],
        ended: Callable[[Completion], None],
    ) -> None:
        self._edge = edge
        self._prompt = prompt
        self._options = options
        self._provisional = provisional
        self._wake = wake
        self._ended = ended
        self._events: deque[Event] = deque()
        self._stream: Stream[Event] | None = None
        self._so_far: dict[str, Any] | None = None
        self._is_given_up = False
        self.completion: Completion | None = None
        self.error: Exception | None = None

    def write(self) -> None:
        """Write it to its end; errors are kept for the reader."""
        try:
            if self._is_given_up:
                raise _ENDED
            with self._edge.stream(self._prompt, provisional=self._provisional, **self._options) as stream:
                self._stream = stream
                if self._is_given_up:
                    stream.text.cancel()
                looked = monotonic()
                for event in stream:
                    if self._provisional and (now := monotonic()) - looked > _LOOKS:
                        self._look(stream)
                        looked = now
                    self._events.append(event)
                    self._wake()
            self._ended(stream.completion)
            self.completion = stream.completion
        except Exception as error:  # the reader says what it was
            if self._stream is not None:
                with suppress(InputError):  # it never began
                    self._ended(self._stream.completion)
            self.error = error
        finally:
            self._wake()

    def _look(self, stream: Stream[Event]) -> None:
        if (found := stream.so_far) is not None:
            self._so_far = found.as_dict() | {"prompt_tokens": stream.text.prompt_length}

    def take(self) -> list[Event]:
        """What has come since the last time."""
        events = []
        with suppress(IndexError):
            while True:
                events.append(self._events.popleft())
        return events

    def look(self) -> dict[str, Any] | None:
        """The figures so far, once: None until there are newer ones."""
        found, self._so_far = self._so_far, None
        return found

    def give_up(self) -> None:
        """Nobody wants the rest: the thread ends after the token, or the call, that is under way."""
        self._is_given_up = True
        if self._stream is not None:
            self._stream.text.cancel()


class Texts:
    """Several texts that are read together, as their tokens come."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.writings: list[Writing] = []
        self._loop = loop
        self._news = asyncio.Event()
        self._is_awake = False

    def wake(self) -> None:
        """Tell the reader that there is something new; from any thread."""
        if not self._is_awake:
            self._is_awake = True
            with suppress(RuntimeError):  # the loop is closed: nobody reads any more
                self._loop.call_soon_threadsafe(self._news.set)

    async def batches(self) -> AsyncIterator[Batch]:
        """What comes, until all texts have ended.

        Raises:
            ApiError: one of them cannot be written.
        """
        left = dict(enumerate(self.writings))
        while left:
            await self._news.wait()
            self._news.clear()
            self._is_awake = False  # before one looks: what comes while one looks wakes again
            for number, writing in list(left.items()):
                completion, error = (
                    writing.completion,
                    writing.error,
                )  # before the events, of which none come behind
                events = writing.take()
                if events or completion is not None:
                    yield Batch(number, events, completion, writing.look())
                if error is not None:
                    raise ApiError.of(error) if isinstance(error, TandemError) else error
                if completion is not None:
                    del left[number]

    def give_up(self) -> None:
        """Nobody wants the rest."""
        for writing in self.writings:
            writing.give_up()
