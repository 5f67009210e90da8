"""Everything that the contract does not allow is refused, with a sentence that says which rule."""

from __future__ import annotations

import pytest

from cloud_target.protocol.requests import Limits, parse_request, parse_terms
from shared.config import Coupling, Sampling
from shared.errors import ContextLengthError, InputError, ProtocolError
from shared.wire import codec
from shared.wire.v1 import target_pb2 as wire

LIMITS = Limits(vocabulary=10, context=20, max_request_tokens=12)
SESSION = codec.encode_session(b"s" * 16, Sampling(), Coupling.GUMBEL, [1])
RESIDUAL = codec.encode_session(b"s" * 16, Sampling(), Coupling.RESIDUAL, [1])


def parse(**fields):
    fields = {"session": SESSION, "request_id": 1, "tokens": [1, 2, 3], "audit_from": 1, "judge_from": 2} | fields
    message = wire.DecodeRequest(**fields)
    return parse_request(message, parse_terms(message, LIMITS), LIMITS)


def distribution(*ids: int) -> wire.SparseDistribution:
    return wire.SparseDistribution(ids=ids, probabilities=[1 / len(ids)] * len(ids))


def test_a_good_request():
    request = parse(position=5, prefix_hash=7, write_on=3)
    assert (request.position, request.prefix_hash, request.tokens, request.end) == (5, 7, (1, 2, 3), 8)
    assert (request.audit_from, request.judge_from, request.write_on, request.audit_only) == (1, 2, 3, False)
    assert request.terms.end_ids == {1}
    assert request.q == ()


def test_the_widest_request_fits():
    assert parse(position=8, tokens=[9] * 12, audit_from=0, judge_from=12).end == LIMITS.context


@pytest.mark.parametrize(
    ("error", "match", "fields"),
    [
        (ProtocolError, "must carry the session", {"session": None}),
        (ProtocolError, "16 random bytes", {"session": codec.encode_session(b"short", Sampling(), Coupling.GUMBEL)}),
        (ProtocolError, "end ids", {"session": codec.encode_session(b"s" * 16, Sampling(), Coupling.GUMBEL, [10])}),
        (ProtocolError, "end ids", {"session": codec.encode_session(b"s" * 16, Sampling(), Coupling.GUMBEL, [1] * 65)}),
        (ProtocolError, "coupling", {"session": wire.Session(session_id=b"s" * 16, sampling=SESSION.sampling)}),
        (InputError, "top-p", {"session": wire.Session(session_id=b"s" * 16, coupling=1)}),
        (ProtocolError, "13 tokens in one request", {"tokens": [1] * 13}),
        (ContextLengthError, "21 tokens does not fit", {"position": 18}),
        (ContextLengthError, "does not fit", {"position": 2**32 - 1}),
        (ProtocolError, "not below the vocabulary of 10", {"tokens": [1, 2, 10]}),
        (ProtocolError, "not below the vocabulary of 10", {"tokens": [1, 2, 2**32 - 1]}),
        (ProtocolError, "audit_from must not be above judge_from", {"audit_from": 3, "judge_from": 2}),
        (ProtocolError, "audit_from must not be above judge_from", {"judge_from": 4}),
        (ProtocolError, "prefix_hash must be 0", {"prefix_hash": 1}),
        (ProtocolError, "first token of a text", {"audit_from": 0}),
        (ProtocolError, "first token of a text", {"tokens": [], "audit_from": 0, "judge_from": 0}),
        (ProtocolError, "audit_only", {"audit_only": True}),
        (ProtocolError, "audit_only", {"audit_only": True, "judge_from": 3, "write_on": 1}),
        (ProtocolError, "1 distributions q for 1 judged", {"q": [distribution(3)]}),
        (ProtocolError, "0 distributions q for 1 judged", {"session": RESIDUAL}),
        (ProtocolError, "probability 0", {"session": RESIDUAL, "q": [distribution(4, 5)]}),
        (ProtocolError, "below the vocabulary", {"session": RESIDUAL, "q": [distribution(3, 11)]}),
    ],
)
def test_what_is_not_allowed(error, match, fields):
    with pytest.raises(error, match=match):
        parse(**fields)


def test_residual_with_q():
    [(ids, probabilities)] = parse(session=RESIDUAL, q=[distribution(3, 4)]).q
    assert ids.tolist() == [3, 4]
    assert probabilities.tolist() == [0.5, 0.5]
