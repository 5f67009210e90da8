"""A draft graph run on this side: a step takes what the step takes."""

from __future__ import annotations

import tracemalloc

import numpy as np

from cloud_target.export.graph import shared_buffer_graph
from cloud_target.export.runner import Runner
from tests.cloud_target.export.checkpoints import build


def test_a_step_does_not_copy_the_cache():
    """Else it is timed, too, and hides how much faster one way to store weights is than another."""
    context = 1 << 14
    runner = Runner(shared_buffer_graph(build("llama"), context), context)
    cache = 2 * 2 * 2 * 16 * context * 4  # layers, keys and values, heads, their size, places, bytes
    runner.feed([1, 2])
    tracemalloc.start()
    try:
        runner.feed([3])
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < cache / 8


def test_what_was_given_stays_what_it_was():
    runner = Runner(shared_buffer_graph(build("llama"), 48), 48)
    first = runner.feed([1, 2])
    kept = {name: array.copy() for name, array in first.items()}
    runner.feed([3, 4])
    for name, array in first.items():
        np.testing.assert_array_equal(array, kept[name])
