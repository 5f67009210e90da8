"""The protocol, without I/O: what one request does to a session, and what is answered.

`answer` is a generator. It yields feeds, to be run by whoever drives it, and responses, to be sent. It may be closed at
any point, and a feed may fail: the session then knows what was read until then, never something false, so the same
request gives the same answer again. Why the contract is so: docs/protocol.md.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from itertools import takewhile

import numpy as np

from cloud_target.engine.interface import Feed, Scores, Sparse
from cloud_target.protocol.forthcoming import forthcoming
from cloud_target.protocol.guesses import MOST_JUDGED, Picked
from cloud_target.protocol.prospects import Prospects
from cloud_target.protocol.requests import Limits, Request
from cloud_target.sessions.session import Session
from shared.config import Coupling
from shared.wire import codec
from shared.wire.codec import AuditedTokens
from shared.wire.v1 import target_pb2 as wire

# Of guesses that follow one another, more than these hardly ever all stand.
DEEP = 8


@dataclass(frozen=True, slots=True)
class Pause:
    """Guesses of an edge that knows all of the text would be worth waiting for, so many seconds at most."""

    seconds: float


Step = Feed | wire.DecodeResponse | Pause
Answer = Generator[Step, Scores | None, None]


def answer(session: Session, request: Request, limits: Limits, prospects: Prospects) -> Answer:
    """Answer one request.

    Args:
        session: whose text it builds on; changed as the answer proceeds.
        request: already checked.
        limits: of a text.
        prospects: of the stream; they change no answer, only in how many passes the answers come.

    Yields:
        `Feed` (send its `Scores` back in), `Pause`, which may be cut short, and `DecodeResponse`: a stale or a resync,
        or a verdict and then, if `write_on` is above 0, continuations, of which the last says that it is.
    """
    if not session.matches(request.position, request.prefix_hash):
        yield _mismatch(session, request)
        return
    if request.audit_only and not request.tokens:
        yield wire.DecodeResponse(request_id=request.request_id, verdict=wire.Verdict(audit=wire.Audit()))
        return
    goes_on = yield from _judge(session, request, limits, prospects)
    if request.write_on:
        allowed = min(request.write_on, limits.context - len(session.ids)) if goes_on else 0
        yield from _write_on(session, request, allowed, prospects)


def _mismatch(session: Session, request: Request) -> wire.DecodeResponse:
    """Beyond the known text: say how much is known. Within it: stale; position 0 always matches, so an edge that
    insists can send everything."""
    if request.position > len(session.ids):
        return wire.DecodeResponse(request_id=request.request_id, resync=wire.Resync(held=len(session.ids)))
    return wire.DecodeResponse(request_id=request.request_id, stale=wire.Stale())


def _judge(session: Session, request: Request, limits: Limits, prospects: Prospects) -> Generator[Step, Scores, bool]:
    """Ingest, audit and judge in one pass, or in none where an earlier one has read all of it already; returns whether
    the text goes on after the target's own token."""
    terms = request.terms
    # What the slot holds of the request's own tokens, because the request is repeated or another session lent them, is
    # not read again.
    known = min(session.cached, session.agrees(request.position, request.tokens))
    session.rewrite(request.position, request.tokens, cached=known)
    # A token's row speaks about the next token, so the first audited one needs the row before it.
    first_row = request.position + request.audit_from - 1
    grammar = terms.constraint.key if terms.constraint else None
    scores = None if request.q else session.known_scores(first_row, request.end, terms.sampling, grammar)
    if scores is None:
        scores = yield from _read(session, first_row, request, limits, prospects)
    audited, judged = request.judge_from - request.audit_from, request.tokens[request.judge_from :]
    stands = _stands(scores.given.off_strict[audited:])
    end = next((i for i, token in enumerate(judged[:stands]) if token in terms.end_ids), None)
    if end is not None:
        stands = end + 1
    length = request.position + request.judge_from + stands
    gives_own = not request.audit_only and end is None and length < limits.context
    own = int(scores.own[audited + stands])
    kept = request.tokens[: request.judge_from + stands]
    session.rewrite(request.position, (*kept, own) if gives_own else kept, cached=min(session.cached, length))
    fell = end is None and stands < len(judged)
    yield _verdict(request, scores, audited + stands, stands, fell, gives_own)
    return gives_own and own not in terms.end_ids


def _read(
    session: Session, first_row: int, request: Request, limits: Limits, prospects: Prospects
) -> Generator[Step, Scores, Scores]:
    """Read what a request judges, and with it what others wait to have judged."""
    picked = Picked((), ())
    if request.terms.coupling is Coupling.GUMBEL:
        waiting, branches = prospects.waiting(), prospects.guesses.branches
        picked = forthcoming(session, first_row, waiting, limits, branches)
    feed = _feed(session, first_row, request, picked, request.q)
    scores = yield feed
    return _keep(session, feed, scores).along(range(len(scores.own) - scores.guesses))


def _feed(session: Session, first_row: int, request: Request, picked: Picked, q: tuple[Sparse, ...] = ()) -> Feed:
    """What the slot lacks of the text, and guesses behind it.

    Args:
        first_row: position of the first token to be scored; if that is in the slot already, it is fed once more.
    """
    terms = request.terms
    session.hold(min(session.cached, first_row))
    kept = session.kept(first_row)
    start = session.cached + len(kept)
    needed, spare = len(session.ids) - start, len(picked.tokens)
    parents = tuple(parent + needed for parent in picked.parents)
    is_line = parents == tuple(range(needed - 1, needed + spare - 1))
    feed = Feed(
        session.slot,
        start,
        (*session.ids[start:], *picked.tokens),
        first_row - start,
        terms.sampling,
        terms.coupling,
        q,
        read=session.hold,
        spare=spare,
        parents=() if is_line else parents,
        kept=kept,
        text=session.ids[:],
        adapter=terms.adapter,
    )
    return replace(feed, masks=terms.constraint.masks(session.ids, feed)) if terms.constraint else feed


def _keep(session: Session, feed: Feed, scores: Scores) -> Scores:
    """A feed was read: the slot holds all of the text now, and perhaps guesses."""
    session.hold(feed.start + feed.needed)
    if scores.guesses:
        session.keep_ahead(feed, scores)
    return scores


def _verdict(
    request: Request, scores: Scores, rows: int, stands: int, fell: bool, gives_own: bool
) -> wire.DecodeResponse:
    """The verdict on the first `rows` scored tokens; the row after them is of the one that fell, and gives the own."""
    given = scores.given
    audit = AuditedTokens(given.off_strict[:rows], given.unlikely[:rows], given.nll[:rows])
    verdict = wire.Verdict(audit=codec.encode_audit(audit), stands=stands, timing=_timing(scores))
    if fell:
        verdict.fallen_unlikely = bool(given.unlikely[rows])
    verdict.names_guesses = request.write_on > 0
    if gives_own:
        verdict.token = int(scores.own[rows])
        verdict.token_nll = codec.encode_nll(scores.own_nll[rows : rows + 1])[0]
        verdict.token_unlikely = bool(scores.own_unlikely[rows])
    return wire.DecodeResponse(request_id=request.request_id, verdict=verdict)


def _write_on(session: Session, request: Request, allowed: int, prospects: Prospects) -> Generator[Step, Scores, None]:
    """A message a pass, with its tokens; at least one, so that the edge learns of the end.

    A pass reads the last token, which gives the next one, and behind it a tree of guesses. Those that stand are the
    target's own tokens, one after the other, and give one more each, so that a pass without guesses writes one token,
    and no pass writes another text.
    """
    guesses, patience = prospects.guesses, prospects.patience
    done = allowed == 0
    if done:
        nothing = wire.Continuation(position=len(session.ids), done=True)
        yield wire.DecodeResponse(request_id=request.request_id, continuation=nothing)
    patience.told(len(session.ids))
    while not done:
        position = len(session.ids)
        # Guesses that stand bring one token more than they are, and need no more room than the text will have.
        most = min(MOST_JUDGED, allowed - 1)
        picked = guesses.pick(position, session.prefix_hash, most)
        if seconds := patience.worth(picked.depth, min(DEEP, most)):
            yield Pause(seconds)
            patience.waited()
            picked = guesses.pick(position, session.prefix_hash, most)
        feed = _feed(session, position - 1, request, picked)
        scores = _keep(session, feed, (yield feed))
        path = picked.path(scores.own.tolist())
        patience.judged(len(path), picked.goes_on(path, scores.guesses), (scores.queue_us + scores.forward_us) / 1e6)
        stood = scores.along([0, *(guess + 1 for guess in path)])
        own = stood.own.tolist()
        end = next((i for i, token in enumerate(own) if token in request.terms.end_ids), None)
        count = len(own) if end is None else end + 1
        session.rewrite(position, own[:count], cached=session.cached)
        patience.told(len(session.ids))
        allowed -= count
        done = allowed == 0 or end is not None
        continuation = wire.Continuation(
            position=position,
            tokens=own[:count],
            nll=codec.encode_nll(stood.own_nll[:count]),
            unlikely=codec.encode_bitmap(stood.own_unlikely[:count]),
            done=done,
            timing=_timing(scores),
        )
        yield wire.DecodeResponse(request_id=request.request_id, continuation=continuation)


def _stands(off_strict: np.ndarray) -> int:
    """How many of the judged tokens stand: those before the first that is not the target's own."""
    return sum(1 for _ in takewhile(lambda off: not off, off_strict))


def _timing(scores: Scores) -> wire.Timing:
    return wire.Timing(queue_us=scores.queue_us, forward_us=scores.forward_us)
