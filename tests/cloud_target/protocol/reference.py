"""A target alone, the service without I/O, and its requests: what the protocol is tested with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from cloud_target.engine.scripted import Script, ScriptedEngine
from cloud_target.protocol.constraint import grammars_of
from cloud_target.protocol.requests import Limits, Request, parse_request, parse_terms
from cloud_target.sessions.table import SessionTable
from cloud_target.testing.drive import serve
from shared import prefix_hash as prefix
from shared.config import Coupling, Sampling
from shared.sampling import Sampler
from shared.wire import codec
from shared.wire.v1 import target_pb2 as wire

SESSION_ID = b"0123456789abcdef"


def alone(
    script: Script, prompt: Sequence[int], sampling: Sampling, length: int, end_ids: Sequence[int] = ()
) -> list[int]:
    """What the target writes by itself: the prompt and all that follows, at most `length` tokens in all."""
    text, sampler = list(prompt), Sampler(sampling)
    while len(text) < length:
        logits = script(text)
        ids = np.argsort(-logits, kind="stable")
        text.append(sampler.draw(ids, logits[ids], len(text)).token)
        if text[-1] in end_ids:
            break
    return text


class Cloud:
    """The service without I/O: a table, an engine and the protocol."""

    def __init__(self, engine: ScriptedEngine, prefix_caching: bool = True) -> None:
        self.engine, self.table, self.limits = (
            engine,
            SessionTable(engine, prefix_caching=prefix_caching),
            Limits.of(engine),
        )

    def parse(self, message: wire.DecodeRequest, tenant: str = "") -> Request:
        terms = parse_terms(message, self.limits, tenant, grammars_of(self.engine))
        return parse_request(message, terms, self.limits)

    def stream(self, message: wire.DecodeRequest, tenant: str = "") -> Iterator[wire.DecodeResponse]:
        """Responses as they come; stop iterating to cut the answer short."""
        return serve(self.table, self.parse(message, tenant), self.engine)

    def ask(self, message: wire.DecodeRequest, tenant: str = "") -> list[wire.DecodeResponse]:
        return list(self.stream(message, tenant))


def request(
    text: Sequence[int],
    position: int,
    sampling: Sampling,
    *,
    audit_from: int | None = None,
    judge_from: int | None = None,
    write_on: int = 0,
    audit_only: bool = False,
    coupling: Coupling = Coupling.GUMBEL,
    end_ids: Sequence[int] = (),
    q: Sequence[wire.SparseDistribution] = (),
    session_id: bytes = SESSION_ID,
    request_id: int = 1,
    grammar: wire.Grammar | None = None,
) -> wire.DecodeRequest:
    """A request that sends `text[position:]`; spans are positions in the text, by default only the last is judged."""
    judge_from = len(text) - 1 if judge_from is None else judge_from
    audit_from = judge_from if audit_from is None else audit_from
    return wire.DecodeRequest(
        session=codec.encode_session(session_id, sampling, coupling, end_ids, grammar),
        request_id=request_id,
        position=position,
        prefix_hash=prefix.extend(0, text[:position]),
        tokens=text[position:],
        audit_from=max(audit_from - position, 0),
        judge_from=max(judge_from - position, 0),
        write_on=write_on,
        audit_only=audit_only,
        q=q,
    )
