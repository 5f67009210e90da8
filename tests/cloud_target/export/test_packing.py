"""Packed weights stand for what onnx's own operator says that they do, and for little else than the weights were."""

from __future__ import annotations

import numpy as np
import onnx
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from cloud_target.export.packing import Packing

PACKINGS = st.builds(Packing, st.sampled_from([8, 4]), st.sampled_from([32, 64, 128]), st.booleans())
ROWS = st.tuples(st.integers(1, 6), st.integers(1, 300), st.integers(0, 2**32 - 1), st.floats(-30, 30))


def drawn(rows) -> np.ndarray:
    count, inputs, seed, magnitude = rows
    random = np.random.default_rng(seed)
    found = random.standard_t(2, (count, inputs)) * 2.0**magnitude
    found[random.random(found.shape) < 0.1] = 0
    return found.astype(np.float32)


def apart(levels: np.ndarray, count: int, bits: int) -> np.ndarray:
    """Levels of which 4 bits have two to a byte, the first one in the lower half: ``[rows, count]``."""
    flat = levels.reshape(len(levels), -1)
    if bits == 4:
        flat = np.stack((flat & 15, flat >> 4), axis=-1).reshape(len(flat), -1)
    return flat[:, :count]


def dequantised(packing: Packing, levels: np.ndarray, steps: np.ndarray, zeros: np.ndarray | None) -> np.ndarray:
    """By onnx's reference of DequantizeLinear, in blocks along a row."""
    kind = onnx.TensorProto.UINT8 if packing.bits == 8 else onnx.TensorProto.UINT4
    count = steps.shape[1]
    flat = apart(levels, count * packing.block, packing.bits)
    middle = np.full(steps.shape, 1 << (packing.bits - 1), np.uint8)
    if zeros is not None:
        middle = apart(zeros, count, packing.bits)
    constants = [
        helper.make_tensor(name, kind, array.shape, array.reshape(-1).tolist())
        for name, array in (("levels", flat), ("zeros", middle))
    ]
    node = helper.make_node("DequantizeLinear", ["levels", "steps", "zeros"], ["y"], axis=1, block_size=packing.block)
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, flat.shape)
    graph = helper.make_graph([node], "g", [], [y], [*constants, numpy_helper.from_array(steps, "steps")])
    (found,) = ReferenceEvaluator(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])).run(None, {})
    return found


@given(ROWS, PACKINGS)
def test_levels_stand_for_what_onnx_says(rows, packing):
    weights = drawn(rows)
    levels, steps = packing.pack(weights), packing.scales(weights)
    count = packing.blocks(weights.shape[1])
    assert (levels.dtype, levels.shape) == (np.uint8, (len(weights), count, packing.block * packing.bits // 8))
    assert (steps.dtype, steps.shape) == (np.float32, (len(weights), count))
    zeros = packing.zeros(weights) if packing.has_zeros else None
    assert zeros is None or (zeros.dtype, zeros.shape) == (np.uint8, (len(weights), -(-count * packing.bits // 8)))
    theirs = dequantised(packing, levels, steps, zeros)
    np.testing.assert_array_equal(packing.rounded(weights), theirs[:, : weights.shape[1]])
    assert not theirs[:, weights.shape[1] :].any()


@given(ROWS, PACKINGS)
def test_no_weight_is_off_by_more_than_half_a_step_of_its_block(rows, packing):
    """Or a whole one at an end of the block, where the level of 0 was rounded."""
    weights = drawn(rows)
    steps = np.repeat(packing.scales(weights), packing.block, axis=1)[:, : weights.shape[1]]
    off = np.abs(packing.rounded(weights).astype(np.float64) - weights)
    assert (off <= (1.0001 if packing.has_zeros else 0.5001) * steps).all()
    assert (packing.rounded(weights)[weights == 0] == 0).all()


@given(ROWS, st.sampled_from([32, 64, 128]))
def test_zeros_of_their_own_make_steps_no_larger_than_they_need_be(rows, block):
    weights = drawn(rows)
    own, middle = (Packing(4, block, has_zeros).scales(weights) for has_zeros in (True, False))
    assert (own <= middle * 14 / 15 * 1.0001).all()


@given(ROWS, PACKINGS, st.data())
def test_rows_are_packed_the_same_alone_and_in_company(rows, packing, data):
    weights = drawn(rows)
    row = data.draw(st.integers(0, len(weights) - 1))
    for make in (packing.pack, packing.scales, packing.zeros):
        np.testing.assert_array_equal(make(weights)[row : row + 1], make(weights[row : row + 1]))
