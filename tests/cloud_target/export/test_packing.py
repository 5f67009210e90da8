"""Packed weights stand for what onnx's own operator says that they do, and for little else than the weights were."""

from __future__ import annotations

import numpy as np
import onnx
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from cloud_target.export.packing import blocks_of, pack, rounded, scales

BITS, BLOCKS = st.sampled_from([8, 4]), st.sampled_from([32, 64, 128])
ROWS = st.tuples(st.integers(1, 6), st.integers(1, 300), st.integers(0, 2**32 - 1), st.floats(-30, 30))


def drawn(rows) -> np.ndarray:
    count, inputs, seed, magnitude = rows
    random = np.random.default_rng(seed)
    found = random.standard_t(2, (count, inputs)) * 2.0**magnitude
    found[random.random(found.shape) < 0.1] = 0
    return found.astype(np.float32)


def dequantised(levels: np.ndarray, steps: np.ndarray, bits: int, block: int) -> np.ndarray:
    """By onnx's reference of DequantizeLinear, in blocks along a row."""
    kind = onnx.TensorProto.UINT8 if bits == 8 else onnx.TensorProto.UINT4
    flat = levels.reshape(len(levels), -1)
    if bits == 4:  # two to a byte, the first one in the lower half
        flat = np.stack((flat & 15, flat >> 4), axis=-1).reshape(len(flat), -1)
    middle = np.full(steps.shape, 1 << (bits - 1), np.uint8)
    constants = [
        helper.make_tensor(name, kind, array.shape, array.reshape(-1).tolist())
        for name, array in (("levels", flat), ("middle", middle))
    ]
    node = helper.make_node("DequantizeLinear", ["levels", "steps", "middle"], ["y"], axis=1, block_size=block)
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, flat.shape)
    graph = helper.make_graph([node], "g", [], [y], [*constants, numpy_helper.from_array(steps, "steps")])
    (found,) = ReferenceEvaluator(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])).run(None, {})
    return found


@given(ROWS, BITS, BLOCKS)
def test_levels_stand_for_what_onnx_says(rows, bits, block):
    weights = drawn(rows)
    levels, steps = pack(weights, bits, block), scales(weights, bits, block)
    count = blocks_of(weights.shape[1], block)
    assert (levels.dtype, levels.shape) == (np.uint8, (len(weights), count, block * bits // 8))
    assert (steps.dtype, steps.shape) == (np.float32, (len(weights), count))
    theirs = dequantised(levels, steps, bits, block)
    np.testing.assert_array_equal(rounded(weights, bits, block), theirs[:, : weights.shape[1]])
    assert not theirs[:, weights.shape[1] :].any()


@given(ROWS, BITS, BLOCKS)
def test_no_weight_is_off_by_more_than_half_a_step_of_its_block(rows, bits, block):
    weights = drawn(rows)
    steps = np.repeat(scales(weights, bits, block), block, axis=1)[:, : weights.shape[1]]
    off = np.abs(rounded(weights, bits, block).astype(np.float64) - weights)
    assert (off <= 0.5001 * steps).all()
    assert (rounded(weights, bits, block)[weights == 0] == 0).all()


@given(ROWS, BITS, BLOCKS, st.data())
def test_rows_are_packed_the_same_alone_and_in_company(rows, bits, block, data):
    weights = drawn(rows)
    row = data.draw(st.integers(0, len(weights) - 1))
    alone = weights[row : row + 1]
    np.testing.assert_array_equal(pack(weights, bits, block)[row : row + 1], pack(alone, bits, block))
    np.testing.assert_array_equal(scales(weights, bits, block)[row : row + 1], scales(alone, bits, block))
