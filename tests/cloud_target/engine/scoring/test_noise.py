"""The torch noise is the numpy noise, bit for bit."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.engine.scoring import noise
from shared import noise as reference

bounded = settings(max_examples=50, deadline=None)
seeds = st.integers(0, 2**64 - 1)
positions = st.integers(0, 2**20)
tokens = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=20)
streams = st.sampled_from([reference.DRAW, reference.ACCEPT, reference.RESIDUAL])
CPU = torch.device("cpu")

# (seed, position, stream, id) -> hash; they must never change: texts made with a seed hang on them.
GOLDEN = {
    (0, 0, 0, 0): 0x0000000000000000,
    (0, 1, 0, 0): 0x4E96155E5F0A1C3F,
    (1, 0, 0, 7): 0xB7A300A0AA287A55,
    (42, 17, 0, 4095): 0xA08A1068F4A3EAD8,
    (42, 17, 1, 4095): 0x46CF441DE30F3623,
    (42, 17, 2, 4095): 0x7B212F53FBE14764,
    (2**64 - 1, 2**20, 0, 151_935): 0x3E23B34A9D66CB4E,
}


@bounded
@given(seeds, positions, streams, tokens)
def test_equals_numpy(seed, position, stream, ids):
    key = reference.key(seed, position, stream)
    expected = np.array(ids, dtype=np.int64)
    keys = noise.keys([(seed, position)], stream, CPU)
    given_ids = torch.tensor(ids)
    assert (noise.bits(keys, given_ids).numpy().view(np.uint64) == reference.bits(key, expected)).all()
    assert (noise.uniform(keys, given_ids).numpy() == reference.uniform(key, expected)).all()
    assert np.allclose(noise.gumbel(keys, given_ids).numpy(), reference.gumbel(key, expected), rtol=1e-13, atol=1e-15)


@bounded
@given(st.lists(st.tuples(seeds, positions), min_size=1, max_size=5), tokens)
def test_rows_have_their_own_keys(pairs, ids):
    keys = noise.keys(pairs, reference.DRAW, CPU)
    batch = noise.bits(keys[:, None], torch.tensor(ids))
    for row, pair in zip(batch, pairs, strict=True):
        assert torch.equal(row, noise.bits(noise.keys([pair], reference.DRAW, CPU), torch.tensor(ids)))


def test_golden_vectors():
    for (seed, position, stream, token), expected in GOLDEN.items():
        keys = noise.keys([(seed, position)], stream, CPU)
        assert int(noise.bits(keys, torch.tensor([token])).numpy().view(np.uint64)[0]) == expected
        assert int(reference.bits(reference.key(seed, position, stream), np.array([token]))[0]) == expected
