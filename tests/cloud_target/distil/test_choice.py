"""Layers that do nothing are found, and the choice hangs on nothing but model and text."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaForCausalLM

from cloud_target.distil.choice import choose_layers
from cloud_target.distil.layers import Layers
from tests.cloud_target.distil.conftest import LAYERS, build

ROWS = np.random.default_rng(0).integers(2, 300, (2, 24))


def with_idle(idle: set[int]) -> LlamaForCausalLM:
    """A model in which these layers add nothing to what they are given."""
    model = build()
    with torch.no_grad():
        for index in idle:
            model.model.layers[index].self_attn.o_proj.weight.zero_()
            model.model.layers[index].mlp.down_proj.weight.zero_()
    return model


@given(idle=st.sets(st.integers(0, LAYERS - 1), min_size=1, max_size=LAYERS - 1))
def test_layers_that_do_nothing_go_first_and_cost_nothing(idle: set[int]) -> None:
    choice = choose_layers(Layers(with_idle(idle)), ROWS, LAYERS - len(idle))
    assert set(choice.gone) == idle
    assert choice.kept == tuple(sorted(set(range(LAYERS)) - idle))
    assert max(choice.costs) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("count", range(1, LAYERS + 1))
def test_costs_are_the_divergences_of_what_is_left(target: LlamaForCausalLM, count: int) -> None:
    choice = choose_layers(Layers(target), ROWS, count)
    assert choice == choose_layers(Layers(target), ROWS, count)
    assert len(choice.kept) == count
    ids = torch.from_numpy(ROWS)
    p = target(ids).logits.log_softmax(-1)
    for number, cost in enumerate(choice.costs, 1):
        kept = [index for index in range(LAYERS) if index not in choice.gone[:number]]
        q = Layers(target).keep(kept)(ids).logits.log_softmax(-1)
        assert cost == pytest.approx(float((p.exp() * (p - q)).sum(-1).mean()), rel=1e-3)


def test_the_first_to_go_is_the_one_that_is_missed_least(target: LlamaForCausalLM) -> None:
    first = choose_layers(Layers(target), ROWS, LAYERS - 1)
    others = [choose_layers(Layers(with_idle({index})), ROWS, LAYERS - 1).gone for index in range(LAYERS)]
    assert others == [(index,) for index in range(LAYERS)]
    p = target(torch.from_numpy(ROWS)).logits.log_softmax(-1)
    costs = []
    for gone in range(LAYERS):
        q = Layers(target).keep([i for i in range(LAYERS) if i != gone])(torch.from_numpy(ROWS)).logits.log_softmax(-1)
        costs.append(float((p.exp() * (p - q)).sum(-1).mean()))
    assert first.gone == (int(np.argmin(costs)),)


def test_it_finds_what_trying_all_of_them_each_time_finds(target: LlamaForCausalLM) -> None:
    ids = torch.from_numpy(ROWS)
    p = target(ids).logits.log_softmax(-1)
    kept = list(range(LAYERS))
    for count in range(LAYERS - 1, 0, -1):
        costs = {}
        for layer in kept:
            q = Layers(target).keep([i for i in kept if i != layer])(ids).logits.log_softmax(-1)
            costs[layer] = float((p.exp() * (p - q)).sum(-1).mean())
        kept.remove(min(costs, key=costs.__getitem__))
        assert choose_layers(Layers(target), ROWS, count).kept == tuple(kept)
