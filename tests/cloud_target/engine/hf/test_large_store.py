"""However large the store is, no pass takes memory for more of it than the texts in that pass have."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from cloud_target.engine.hf.engine import TargetEngine
from cloud_target.engine.hf.model import load_target
from cloud_target.engine.interface import Feed
from shared.config import Sampling
from tests.cloud_target.engine.checkpoints import write_checkpoint
from tests.cloud_target.engine.hf.test_passes import ALONE, TOGETHER

pytestmark = pytest.mark.slow
# Bytes of keys and values: taken only where they are written to, and any copy of a layer's would stand out.
MEMORY = 64 << 20
# Most bytes that anything here needs by itself.
ENOUGH = MEMORY >> 6


def largest_allocation(work: Callable[[], object]) -> int:
    """Bytes of the largest piece of memory that torch takes meanwhile, also inside of its own operations."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as taken:
        work()
    return max((event.self_cpu_memory_usage for event in taken.events()), default=0)


@pytest.fixture(scope="module", params=["llama", "gptj"])
def engine(request, tmp_path_factory) -> TargetEngine:
    directory = write_checkpoint(tmp_path_factory.mktemp("large") / request.param, request.param)
    return TargetEngine(load_target(str(directory), "cpu"), MEMORY)


def test_a_copy_of_the_store_would_be_seen(engine):
    """The other dimension of the same keys: this is how a copy of all of them hid inside of one operation."""
    keys, some = engine._store.keys[0], torch.arange(8)
    assert largest_allocation(lambda: keys.transpose(0, 1).index_select(1, some)) > ENOUGH
    assert largest_allocation(lambda: keys.index_select(0, some)) < ENOUGH


@pytest.mark.parametrize("costs", [ALONE, TOGETHER])
def test_passes_take_no_memory_for_the_rest_of_the_store(engine, costs):
    usual, engine.passes.costs = engine.passes.costs, costs

    def work() -> None:
        engine.forward([Feed(slot, 0, tuple(range(1, 9 + slot)), 7, Sampling(0.0)) for slot in range(3)])
        engine.forward([Feed(slot, 8, (3, 4), 0, Sampling(0.0)) for slot in range(3)])
        engine.copy(0, 3, 8)
        for slot in range(4):
            engine.trim(slot)

    try:
        assert largest_allocation(work) < ENOUGH
    finally:
        engine.passes.costs = usual


def test_the_costs_are_measured_without_the_rest_of_the_store(engine):
    usual = engine.passes.costs
    try:
        assert largest_allocation(lambda: engine.passes.learn_costs(1e-3, 1e-4, engine.context)) < ENOUGH
    finally:
        engine.passes.costs = usual
