"""How often two drafts agree, on texts of their own."""

from __future__ import annotations

import numpy as np
import pytest

from cloud_target.export.agreement import agreement, said_by, said_by_torch, write_texts
from cloud_target.export.graph import shared_buffer_graph
from cloud_target.export.runner import Runner
from shared.config import Sampling
from tests.cloud_target.export.checkpoints import CONTEXT, build


def test_a_draft_agrees_with_itself_and_not_with_another():
    one, other = (Runner(shared_buffer_graph(build(kind), CONTEXT), CONTEXT) for kind in ("llama", "qwen2"))
    truth = [said_by(one, text) for text in write_texts(one, [0], 2, CONTEXT)]
    same = agreement(truth, one, Sampling(seed=5))
    assert (same.greedy, same.sampled) == (1.0, 1.0)
    assert agreement(truth, other, Sampling(seed=5)).sampled < 0.3


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gpt2"])
def test_torch_says_what_its_graph_says(kind):
    model = build(kind)
    runner = Runner(shared_buffer_graph(model, CONTEXT), CONTEXT)
    (text,) = write_texts(runner, [3], 1, CONTEXT)
    ours, theirs = said_by(runner, text), said_by_torch(model, text)
    np.testing.assert_allclose(ours.logits, theirs.logits, atol=1e-3)
    assert agreement([theirs], runner, Sampling()).sampled == 1.0


def test_texts_are_what_the_draft_would_write_and_differ_by_seed():
    runner = Runner(shared_buffer_graph(build("llama"), CONTEXT), CONTEXT)
    counted = []
    texts = write_texts(runner, [3, 4], 2, 12, counted.append)
    assert [text[:2] for text in texts] == [[3, 4]] * 2
    assert [len(text) for text in texts] == [12, 12]
    assert texts[0] != texts[1]
    assert counted == [1, 1]
    assert write_texts(runner, [3, 4], 2, 12) == texts
