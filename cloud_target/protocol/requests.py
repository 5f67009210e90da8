"""Requests as values that can be trusted: every rule of the contract is checked here, before anything is touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cloud_target.engine.interface import Description, Engine, Sparse
from cloud_target.protocol.constraint import Constraint
from cloud_target.protocol.meant import meant
from cloud_target.sessions.session import session_key
from shared.config import Coupling, Sampling
from shared.errors import ContextLengthError, ProtocolError
from shared.grammar.engine import GrammarEngine
from shared.wire import codec
from shared.wire.guesses import GuessTree, decode_guesses
from shared.wire.v1 import target_pb2 as wire


@dataclass(frozen=True)
class Limits:
    """What a request may ask for.

    Attributes:
        vocabulary: ids are below it.
        context: longest text in tokens.
        max_request_tokens: most tokens in one request.
    """

    vocabulary: int
    context: int
    max_request_tokens: int

    @classmethod
    def of(cls, engine: Engine, context: int | None = None) -> Limits:
        """A request may carry as much as the context holds, so that a prompt never needs two.

        Args:
            context: a tenant's longest text, if it may not have all of the engine's.
        """
        context = min(engine.context, context or engine.context)
        return cls(engine.description.vocabulary, context, context)


@dataclass(frozen=True)
class Terms:
    """What the first request of a stream settles for all of them.

    Attributes:
        reading: seconds between two words to the edge about how far a long text is read; 0 for none.
        target: fingerprint of the target that is meant; "" where nobody looked.
        adapter: the name of that which the text is read with; "" for none.
    """

    session_id: bytes
    sampling: Sampling
    coupling: Coupling
    end_ids: frozenset[int]
    tenant: str = ""
    constraint: Constraint | None = field(default=None, compare=False)
    reading: float = field(default=0.0, compare=False)
    target: str = ""
    adapter: str = ""

    @property
    def key(self) -> bytes:
        """What the session is known by: another tenant's with the same id is another one."""
        return session_key(self.tenant, self.session_id)


@dataclass(frozen=True)
class Request:
    """One checked request; spans are indices into `tokens` (see the contract)."""

    request_id: int
    position: int
    prefix_hash: int
    tokens: tuple[int, ...]
    audit_from: int
    judge_from: int
    write_on: int
    audit_only: bool
    q: tuple[Sparse, ...]
    terms: Terms

    @property
    def end(self) -> int:
        """Position after the last token."""
        return self.position + len(self.tokens)


def parse_session_id(session_id: bytes) -> bytes:
    """The id itself.

    Raises:
        ProtocolError: not 16 bytes.
    """
    if len(session_id) != codec.SESSION_ID_BYTES:
        raise ProtocolError(f"a session id is {codec.SESSION_ID_BYTES} random bytes, not {len(session_id)}")
    return session_id


def parse_terms(
    message: wire.DecodeRequest,
    limits: Limits,
    tenant: str = "",
    grammars: GrammarEngine | None = None,
    targets: Sequence[Description] = (),
) -> Terms:
    """The terms that the first request of a stream carries, and who sent it.

    Args:
        grammars: of this target; None where no text is kept to one.
        targets: that there are, of which the session may name one; () where nobody looks.

    Raises:
        ProtocolError, InputError: absent, or a value that the contract does not allow.
        OtherTarget: it means a target that is not here. Looked at first: the rest is that one's to judge.
    """
    if not message.HasField("session"):
        raise ProtocolError("the first request of a stream must carry the session; send it again with one")
    session = message.session
    target = meant(session.target, targets).fingerprint if targets else ""
    end_ids = session.sampling.end_ids
    if len(end_ids) > codec.MAX_END_IDS or max(end_ids, default=0) >= limits.vocabulary:
        raise ProtocolError(f"send at most {codec.MAX_END_IDS} end ids, each below {limits.vocabulary}")
    return Terms(
        parse_session_id(session.session_id),
        codec.decode_sampling(session.sampling),
        codec.decode_coupling(session.coupling),
        frozenset(end_ids),
        tenant,
        Constraint.of(session, grammars, end_ids, tenant),
        codec.decode_reading(session.reading_ms),
        target,
        targets[0].adapter_of(target) if targets else "",
    )


def parse_request(message: wire.DecodeRequest, terms: Terms, limits: Limits) -> Request:
    """A request under the terms of its stream.

    Raises:
        ContextLengthError: the text would be longer than the context.
        ProtocolError: any other rule of the contract broken; the sentence names it.
    """
    audit_from, judge_from, count = message.audit_from, message.judge_from, len(message.tokens)
    if message.position + count > limits.context:
        raise ContextLengthError(
            f"a text of {message.position + count} tokens does not fit in the target's context of {limits.context}; "
            "shorten the prompt or ask for fewer tokens"
        )
    if count > limits.max_request_tokens:
        raise ProtocolError(f"{count} tokens in one request; send at most {limits.max_request_tokens}")
    tokens = tuple(message.tokens)
    if count and max(tokens) >= limits.vocabulary:
        raise ProtocolError(f"a token id is not below the vocabulary of {limits.vocabulary}; check the tokenizer")
    if not audit_from <= judge_from <= count:
        raise ProtocolError(
            f"audit_from must not be above judge_from, nor that above the {count} tokens of the request; they are "
            f"{audit_from} and {judge_from}"
        )
    if message.position == 0 and message.prefix_hash != 0:
        raise ProtocolError("nothing stands before position 0, so prefix_hash must be 0 there")
    if message.position == 0 and audit_from == 0:
        raise ProtocolError(
            "the first token of a text has nothing before it to be judged from; send a prompt of at least one token, "
            "and audit_from 1 or more"
        )
    if message.audit_only and (judge_from < count or message.write_on):
        raise ProtocolError(
            "a request with audit_only neither judges nor writes on; set judge_from to its number of tokens, and "
            "write_on to 0"
        )
    return Request(
        message.request_id,
        message.position,
        message.prefix_hash,
        tokens,
        audit_from,
        judge_from,
        message.write_on,
        message.audit_only,
        _parse_q(message, terms, tokens[judge_from:], limits),
        terms,
    )


def parse_guesses(message: wire.DecodeRequest, limits: Limits) -> GuessTree:
    """The guesses of a request that has some.

    Raises:
        ProtocolError: a rule of the contract broken; the sentence names it.
    """
    if {field.name for field, _ in message.ListFields()} - {"request_id", "guesses"}:
        raise ProtocolError("a request with guesses has nothing else but its id; send the rest in another one")
    tree = decode_guesses(message.guesses, limits.vocabulary)
    if tree.position > limits.context:
        raise ProtocolError(
            f"guesses at position {tree.position} are outside the target's context of {limits.context}; send none there"
        )
    return tree


def _parse_q(message: wire.DecodeRequest, terms: Terms, judged: tuple[int, ...], limits: Limits) -> tuple[Sparse, ...]:
    wanted = len(judged) if terms.coupling is Coupling.RESIDUAL else 0
    if len(message.q) != wanted:
        raise ProtocolError(
            f"{len(message.q)} distributions q for {len(judged)} judged tokens; the {terms.coupling} coupling "
            f"needs {wanted}"
        )
    parsed = tuple(codec.decode_distribution(q, limits.vocabulary) for q in message.q)
    for x, (ids, _) in zip(judged, parsed, strict=True) if parsed else ():
        if not np.isin(x, ids):
            raise ProtocolError("a judged token has probability 0 in its q; it cannot have been drawn from it")
    return parsed
