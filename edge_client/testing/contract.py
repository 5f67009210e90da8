"""The contract (`proto/tandem/v1/target.proto`) read as plainly as it can be: what one stream's requests are answered.

Nothing is kept of a session but the ids of its text, and one token is scored after the other. The real target gives
the same answers with a cache, a scheduler and a model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edge_client.testing.opinion import Opinion
from edge_client.testing.scripts import Script
from shared import prefix_hash as prefix
from shared.config import Coupling, Sampling
from shared.errors import ContextLengthError, InputError, OtherTarget, ProtocolError
from shared.grammar import library
from shared.grammar.cursor import Cursor
from shared.grammar.engine import GrammarEngine
from shared.wire import codec
from shared.wire.guesses import TEXT, decode_guesses
from shared.wire.v1 import target_pb2 as wire

# In the place of a forbidden token's logit: no temperature and no noise lets it win.
_FORBIDDEN = np.float32(-1e9)


@dataclass(frozen=True)
class Terms:
    """What the first request of a stream settles for all of them."""

    session_id: bytes
    sampling: Sampling
    is_residual: bool
    end_ids: frozenset[int]
    grammar: tuple[Cursor, int] | None = None  # and where it begins

    def allowed(self, logits: np.ndarray, text: list[int]) -> np.ndarray:
        """The logits after a text, without the tokens that the grammar forbids there."""
        if self.grammar is None or len(text) < self.grammar[1]:
            return logits
        cursor, begin = self.grammar
        allowed = cursor.allowed(text[begin:])
        return logits if allowed is None else np.where(allowed.has(np.arange(len(logits))), logits, _FORBIDDEN)


class ScriptedStream:
    """One `Decode` stream; the `ServiceStream` of a `LoopbackTransport`.

    Args:
        script, vocabulary, context: see `ScriptedTarget`.
        texts: ids that are known of each session's text, by session id; changed by every answer.
        grammars: that texts can be kept to; None where they cannot.
        fingerprint: of the target; a stream that names another one is refused.
    """

    def __init__(
        self,
        script: Script,
        vocabulary: int,
        context: int,
        texts: dict[bytes, list[int]],
        grammars: GrammarEngine | None = None,
        fingerprint: str = "",
    ) -> None:
        self._script = script
        self._vocabulary, self._context = vocabulary, context
        self._texts, self._grammars, self._fingerprint = texts, grammars, fingerprint
        self._terms: Terms | None = None
        self._guesses = 0  # that came

    def answers(self, message: wire.DecodeRequest) -> Iterator[wire.DecodeResponse]:
        """See `ServiceStream.answers`."""
        if message.HasField("guesses"):  # they change no token, so there is nothing to be done about them
            self._check_guesses(message)
            return
        if self._terms is None:
            self._terms = _terms(message, self._grammars, self._fingerprint)
        self._check(message)
        text = self._texts.setdefault(self._terms.session_id, [])
        for answer in self._answer(text, message, self._terms):
            answer.request_id = message.request_id
            yield answer

    def _answer(self, text: list[int], message: wire.DecodeRequest, terms: Terms) -> Iterator[wire.DecodeResponse]:
        if message.position > len(text):
            yield wire.DecodeResponse(resync=wire.Resync(held=len(text)))
        elif message.prefix_hash != prefix.extend(0, text[: message.position]):
            yield wire.DecodeResponse(stale=wire.Stale())
        elif message.audit_only and not message.tokens:
            yield wire.DecodeResponse(verdict=wire.Verdict(audit=wire.Audit()))
        else:
            verdict = self._judge(text, message, terms)
            yield wire.DecodeResponse(verdict=verdict)
            if message.write_on:
                goes_on = verdict.HasField("token") and verdict.token not in terms.end_ids
                for continuation in self._write_on(text, message.write_on if goes_on else 0, terms):
                    yield wire.DecodeResponse(continuation=continuation)

    def _judge(self, text: list[int], message: wire.DecodeRequest, terms: Terms) -> wire.Verdict:
        """Audit and judge the request's tokens; `text` becomes what stands of them, and the target's own token."""
        judge_from = message.position + message.judge_from
        qs = [codec.decode_distribution(q, self._vocabulary) for q in message.q]
        text[message.position :] = message.tokens
        audit: list[tuple[bool, bool, float]] = []
        own, ends, fallen_unlikely = None, False, False
        for position in range(message.position + message.audit_from, len(text)):
            x, opinion, is_judged = text[position], self._opinion(text[:position], terms), position >= judge_from
            residual = is_judged and terms.is_residual
            choice = opinion.residual_choice(x, qs[position - judge_from]) if residual else opinion.own
            if is_judged and choice != x:  # it falls, and all after it
                own, fallen_unlikely = choice, opinion.is_unlikely(x)
                del text[position:]
                break
            audit.append((choice != x, opinion.is_unlikely(x), opinion.nll(x)))
            if is_judged and x in terms.end_ids:
                ends = True
                del text[position + 1 :]
                break
        verdict = wire.Verdict(
            audit=_audit(audit),
            stands=max(len(text) - judge_from, 0),
            fallen_unlikely=fallen_unlikely,
            names_guesses=message.write_on > 0,
            timing=wire.Timing(),
        )
        if not (message.audit_only or ends or len(text) == self._context):
            opinion = self._opinion(text, terms)
            verdict.token = opinion.own if own is None else own
            verdict.token_nll = _code(opinion.nll(verdict.token))
            verdict.token_unlikely = opinion.is_unlikely(verdict.token)
            text.append(verdict.token)
        return verdict

    def _write_on(self, text: list[int], count: int, terms: Terms) -> Iterator[wire.Continuation]:
        """Add at most `count` tokens to `text`, a message each; the last message says that it is."""
        count = min(count, self._context - len(text))
        if not count:
            yield wire.Continuation(position=len(text), done=True)
        while count:
            opinion = self._opinion(text, terms)
            text.append(opinion.own)
            count = 0 if opinion.own in terms.end_ids else count - 1
            yield wire.Continuation(
                position=len(text) - 1,
                tokens=[opinion.own],
                nll=codec.encode_nll([opinion.nll(opinion.own)]),
                unlikely=codec.encode_bitmap([opinion.is_unlikely(opinion.own)]),
                done=not count,
                timing=wire.Timing(),
            )

    def _opinion(self, text: list[int], terms: Terms) -> Opinion:
        return Opinion(terms.allowed(self._script(tuple(text)), text), terms.sampling, len(text))

    def _check(self, message: wire.DecodeRequest) -> None:
        """Refuse what would otherwise be answered with nonsense; the real target checks more."""
        count = len(message.tokens)
        if message.position + count > self._context:
            raise ContextLengthError(
                f"a text of {message.position + count} tokens does not fit in the target's context of {self._context}; "
                "shorten the prompt or ask for fewer tokens"
            )
        if max(message.tokens, default=0) >= self._vocabulary:
            raise ProtocolError(
                f"token id {max(message.tokens)} is outside the vocabulary of {self._vocabulary}; check the tokenizer"
            )
        if not message.audit_from <= message.judge_from <= count:
            raise ProtocolError(
                f"audit_from must not be above judge_from, nor that above the {count} tokens of the request; they are "
                f"{message.audit_from} and {message.judge_from}"
            )
        if message.position + message.audit_from == 0:
            raise ProtocolError("the first token of a text has nothing before it to be judged from; send a prompt")

    def _check_guesses(self, message: wire.DecodeRequest) -> None:
        if self._terms is None:
            raise ProtocolError("the first request of a stream has no guesses; send them after one with the session")
        if wire.DecodeRequest(request_id=message.request_id, guesses=message.guesses) != message:
            raise ProtocolError("a request with guesses has nothing else but its id; send the rest in another one")
        tree = decode_guesses(message.guesses, self._vocabulary)
        if tree.position > self._context:
            raise ProtocolError(f"guesses are outside the target's context of {self._context}; send none there")
        if TEXT - min(tree.parents) > self._guesses:
            raise ProtocolError("a guess follows one that was not sent on this stream; send what it follows first")
        self._guesses += len(tree.tokens)


def _audit(rows: list[tuple[bool, bool, float]]) -> wire.Audit:
    """Of each token: not the target's own, unlikely, and nats."""
    off_strict, unlikely, nll = (np.array([row[column] for row in rows]) for column in range(3))
    return codec.encode_audit(codec.AuditedTokens(off_strict, unlikely, nll))


def _code(nats: float) -> int:
    return codec.encode_nll([nats])[0]


def _terms(message: wire.DecodeRequest, grammars: GrammarEngine | None, fingerprint: str) -> Terms:
    if not message.HasField("session"):
        raise ProtocolError("the first request of a stream must carry the session; send it again with one")
    session = message.session
    if session.target not in ("", fingerprint):
        raise OtherTarget(f"it is a text of {session.target[:8]}, and here is {fingerprint[:8]}; begin it anew")
    return Terms(
        session.session_id,
        codec.decode_sampling(session.sampling),
        codec.decode_coupling(session.coupling) is Coupling.RESIDUAL,
        frozenset(session.sampling.end_ids),
        _grammar(session, grammars),
    )


def _grammar(session: wire.Session, grammars: GrammarEngine | None) -> tuple[Cursor, int] | None:
    if not session.HasField("grammar"):
        return None
    if grammars is None or session.grammar.engine != library.version():
        raise InputError("this target does not follow grammars as the caller does; ask without a schema")
    return grammars.compile(session.grammar.source).cursor(session.sampling.end_ids), session.grammar.begin
