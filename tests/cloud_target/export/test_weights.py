"""Constants that are read later are what they would be at once, however they are cut, stacked and turned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cloud_target.export import weights
from cloud_target.export.weights import Weight

DTYPES = st.sampled_from([torch.float32, torch.bfloat16, torch.float16])


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(1, 9), DTYPES, st.booleans(), st.data())
def test_rows_of_stacked_and_turned_matrices(heights, width, dtype, is_turned, data):
    random = torch.Generator().manual_seed(data.draw(st.integers(0, 2**32)))
    parts = [torch.randn(height, width, generator=random).to(dtype) for height in heights]
    truth = np.concatenate([part.float().numpy() for part in parts])
    weight = Weight.stacked(parts)
    if is_turned:
        weight, truth = weight.T, truth.T
    assert weight.shape == truth.shape
    assert weight.nbytes == truth.nbytes
    first = data.draw(st.integers(0, len(truth)))
    last = data.draw(st.integers(first, len(truth)))
    np.testing.assert_array_equal(weight.rows(first, last), truth[first:last])
    np.testing.assert_array_equal(weight.T.rows(0, truth.shape[1]), truth.T)
    np.testing.assert_array_equal(weight.array(), truth)


@given(st.lists(st.integers(0, 5), max_size=3), st.integers(1, 40))
def test_pieces_are_small_and_together_the_whole(shape, most):
    array = np.arange(np.prod(shape, dtype=int), dtype=np.int64).reshape(shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "_PIECE", most)
        pieces = list(Weight.of(array).pieces())
        np.testing.assert_array_equal(Weight.of(array).array(), array)
    assert all(piece.size <= max(most, piece[:1].size if shape else 1) for piece in pieces)
    assert all(piece.flags.c_contiguous and piece.dtype == array.dtype for piece in pieces)


def test_what_is_no_matrix_cannot_be_turned():
    with pytest.raises(TypeError, match=r"\[3\] cannot be turned"):
        _ = Weight.stacked([torch.zeros(3)]).T
