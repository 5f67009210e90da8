"""What is packed comes back, and what the contract does not allow is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.config import Coupling, Sampling
from shared.errors import InputError, ProtocolError
from shared.sampling import Sampler
from shared.wire import codec
from shared.wire.v1 import target_pb2 as wire

bounded = settings(max_examples=50, deadline=None)


@bounded
@given(st.lists(st.booleans(), max_size=70))
def test_bitmap_round_trip(flags):
    data = codec.encode_bitmap(flags)
    assert len(data) == (len(flags) + 7) // 8
    assert codec.decode_bitmap(data, len(flags)).tolist() == flags


def test_bitmap_is_least_significant_bit_first():
    assert codec.encode_bitmap([True, False, False, False, False, False, False, False, True]) == b"\x01\x01"


@bounded
@given(st.lists(st.floats(0, 30), max_size=40))
def test_nll_round_trip(nats):
    nats = np.array(nats, dtype=np.float64)
    decoded = codec.decode_nll(codec.encode_nll(nats))
    kept = nats < (255 / 64) ** 2
    assert (np.abs(np.sqrt(decoded) - np.sqrt(nats))[kept] <= 0.5 / 64 + 1e-12).all()
    assert np.allclose(decoded[~kept], (255 / 64) ** 2)


def test_every_nll_code_is_its_own_round_trip():
    codes = bytes(range(256))
    assert codec.encode_nll(codec.decode_nll(codes)) == codes


@pytest.mark.parametrize(("nats", "code"), [(0.0, 0), (-1e-9, 0), (1.0, 64), (4.0, 128), (1e9, 255), (np.inf, 255)])
def test_nll_codes(nats, code):
    assert codec.encode_nll([nats]) == bytes([code])


@bounded
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(0, 15)), max_size=40))
def test_audit_round_trip(rows):
    strict, unlikely, nll = (np.array([row[i] for row in rows]) for i in range(3))
    message = codec.encode_audit(codec.AuditedTokens(strict, unlikely, nll))
    decoded = codec.decode_audit(wire.Audit.FromString(message.SerializeToString()))
    assert len(decoded) == len(rows)
    assert decoded.off_strict.tolist() == strict.tolist()
    assert decoded.unlikely.tolist() == unlikely.tolist()
    assert np.allclose(np.sqrt(decoded.nll), np.sqrt(nll.astype(float)), atol=0.5 / 64 + 1e-12)


def test_audit_of_unequal_lengths_is_refused():
    with pytest.raises(ProtocolError, match="bitmap of 3 tokens has 2 bytes"):
        codec.decode_audit(wire.Audit(off_strict=b"\0\0", unlikely=b"\0", nll=b"\0\0\0"))


@bounded
@given(
    temperature=st.integers(0, 100_000).map(lambda n: n / 10_000),
    top_k=st.integers(0, 2**32 - 1),
    top_p=st.integers(1, 10_000).map(lambda n: n / 10_000),
    seed=st.integers(0, 2**64 - 1),
    coupling=st.sampled_from(Coupling),
    end_ids=st.lists(st.integers(0, 2**32 - 1), max_size=codec.MAX_END_IDS),
)
def test_session_round_trip(temperature, top_k, top_p, seed, coupling, end_ids):
    sampling = Sampling(temperature, top_k, top_p, seed)
    message = codec.encode_session(b"0123456789abcdef", sampling, coupling, end_ids)
    message = wire.Session.FromString(message.SerializeToString())
    assert message.session_id == b"0123456789abcdef"
    assert codec.decode_sampling(message.sampling) == sampling
    assert codec.decode_coupling(message.coupling) == coupling
    assert list(message.sampling.end_ids) == end_ids


@pytest.mark.parametrize("top_p", [5e-324, 1e-46, 1e-30])
def test_a_top_p_that_a_float32_cannot_hold_still_means_the_likeliest_token(top_p):
    message = codec.encode_session(b"0123456789abcdef", Sampling(0.7, 0, top_p, 1), Coupling.GUMBEL)
    assert codec.decode_sampling(message.sampling).top_p == max(top_p, 1e-37)


@pytest.mark.parametrize(
    ("temperature", "top_p"),
    [(-1, 1), (11, 1), (float("nan"), 1), (float("inf"), 1), (1, 0), (1, 1.5), (1, float("nan"))],
)
def test_sampling_out_of_range_is_refused(temperature, top_p):
    with pytest.raises(InputError):
        codec.decode_sampling(wire.Sampling(temperature=temperature, top_p=top_p))


@pytest.mark.parametrize("value", [wire.COUPLING_UNSPECIFIED, 17])
def test_unknown_coupling_is_refused(value):
    with pytest.raises(ProtocolError, match="unknown"):
        codec.decode_coupling(value)


@bounded
@given(st.dictionaries(st.integers(0, 99), st.floats(1e-3, 1.0), min_size=1, max_size=20))
def test_distribution_round_trip(weights):
    ids = np.array(list(weights), dtype=np.int64)
    probabilities = np.array(list(weights.values()))
    probabilities /= probabilities.sum()
    message = codec.encode_distribution(ids, probabilities)
    decoded_ids, decoded = codec.decode_distribution(message, vocabulary=100)
    assert decoded_ids.tolist() == ids.tolist()
    assert np.allclose(decoded, probabilities, atol=1e-6)
    assert decoded.sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("temperature", [0.0, 0.01, 0.1, 10.0])
def test_whatever_the_draft_draws_from_can_be_sent(temperature):
    """At low temperatures most probabilities are smaller than a float32 can say."""
    logits = np.linspace(20.0, -20.0, 64, dtype=np.float32)
    draw = Sampler(Sampling(temperature=temperature, top_p=1.0)).draw(np.arange(64), logits, 5)
    ids, probabilities = codec.decode_distribution(codec.encode_distribution(*draw.distribution), vocabulary=64)
    assert draw.token in ids
    assert np.allclose(probabilities, draw.distribution[1][: len(ids)], atol=1e-6)


@pytest.mark.parametrize(
    ("ids", "probabilities"),
    [
        ([], []),
        ([1, 2], [1.0]),
        ([1, 1], [0.5, 0.5]),
        ([1, 100], [0.5, 0.5]),
        ([1, 2], [1.0, 0.0]),
        ([1, 2], [1.5, -0.5]),
        ([1, 2], [0.5, 0.4]),
        ([1, 2], [float("nan"), 0.5]),
        ([1, 2], [float("inf"), 0.5]),
    ],
)
def test_bad_distribution_is_refused(ids, probabilities):
    with pytest.raises(ProtocolError, match="q"):
        codec.decode_distribution(wire.SparseDistribution(ids=ids, probabilities=probabilities), vocabulary=100)
