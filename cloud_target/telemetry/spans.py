"""Spans of OpenTelemetry for streams, their questions, the wait for room and forward passes.

They hold counts, times, reasons, the id of the call and the tenant's name; never text, token ids or session ids, and no
sentences of errors. A stream continues the trace whose `traceparent` came with it (W3C Trace Context).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import perf_counter, time_ns

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from cloud_target.engine.interface import Scores
from cloud_target.telemetry.calls import present_call
from cloud_target.telemetry.traces import Metadata, Traces
from shared.errors import TandemError

# Passes of one question that have spans; later ones, as of a long text that the target writes, are counted only.
MOST_PASSES = 32
_PARENT = TraceContextTextMapPropagator()
_NO_REASON = "CANCELLED"  # no error of its own: the caller has left, or the reason is that of the stream


@dataclass
class _Question:
    """A question under way, and what its passes took."""

    span: Span
    passes: int = 0
    queued: float = 0.0
    forward: float = 0.0


# Each call runs in a context of its own.
_PRESENT: ContextVar[_Question | None] = ContextVar("question", default=None)


class Spans(Traces):
    """Makes spans.

    Args:
        provider: sends them to whoever wants them.
        version: of Tandem.
    """

    def __init__(self, provider: TracerProvider, version: str = "") -> None:
        self._tracer: Tracer = provider.get_tracer("tandem", version)

    @contextmanager
    def stream(self, metadata: Metadata, tenant: str) -> Iterator[None]:
        parent = _PARENT.extract({key: value for key, value in metadata if isinstance(value, str)}, Context())
        call = present_call()
        about = {"tandem.tenant": tenant, "tandem.request_id": call.id if call else ""}
        with self._span("stream", parent=parent, kind=SpanKind.SERVER, about=about):
            yield

    @contextmanager
    def question(self, arrived: float) -> Iterator[None]:
        with self._span("question", begun=_ago(perf_counter() - arrived)) as span:
            question = _Question(span)
            _PRESENT.set(question)
            try:
                yield
            finally:
                _PRESENT.set(None)
                span.set_attribute("tandem.passes", question.passes)
                span.set_attribute("tandem.queued_seconds", question.queued)
                span.set_attribute("tandem.forward_seconds", question.forward)

    @contextmanager
    def room(self) -> Iterator[None]:
        with self._span("room"):
            yield

    def passed(self, scores: Scores) -> None:
        question = _PRESENT.get()
        if question is None or not question.span.is_recording():
            return
        question.passes += 1
        question.queued += scores.queue_us / 1e6
        question.forward += scores.forward_us / 1e6
        if question.passes <= MOST_PASSES:
            about = {"tandem.queued_seconds": scores.queue_us / 1e6, "tandem.rows": len(scores.own)}
            self._tracer.start_span("pass", start_time=_ago(scores.forward_us / 1e6), attributes=about).end()

    def answered(self, kind: str, written: int) -> None:
        if question := _PRESENT.get():
            question.span.set_attribute("tandem.kind", kind)
            question.span.set_attribute("tandem.written", written)

    @contextmanager
    def _span(
        self,
        name: str,
        *,
        parent: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        begun: int | None = None,
        about: dict[str, str] | None = None,
    ) -> Iterator[Span]:
        """A span that others become children of, for as long as the block lasts; of an error it has the reason."""
        # What the library would record of an exception holds its sentence, which may quote what was asked.
        with self._tracer.start_as_current_span(
            name, parent, kind, about, start_time=begun, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except BaseException as error:
                span.set_status(Status(StatusCode.ERROR, _reason(error)))
                raise


def _reason(error: BaseException) -> str:
    if isinstance(error, TandemError):
        return error.reason
    return "INTERNAL" if isinstance(error, Exception) else _NO_REASON


def _ago(seconds: float) -> int:
    """The time so long ago, as spans have it: nanoseconds since 1970."""
    return time_ns() - round(1e9 * seconds)
