"""How often two drafts agree, on texts of their own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cloud_target.export.agreement import agreement, said_by, said_by_torch, write_texts
from cloud_target.export.bundle import make_bundle
from cloud_target.export.candidates import CANDIDATES
from cloud_target.export.graph import shared_buffer_graph
from cloud_target.export.runner import Runner
from edge_client.edge import Edge
from shared.config import Sampling
from tests.cloud_target.export.checkpoints import CONTEXT, build, save

UNCUT = Sampling(temperature=1.0, top_p=1.0)


def test_a_draft_agrees_with_itself_and_not_with_another():
    one, other = (Runner(shared_buffer_graph(build(kind), CONTEXT), CONTEXT) for kind in ("llama", "qwen2"))
    truth = [said_by(one, text, Sampling(seed=5)) for text in write_texts(one, [0], 2, CONTEXT)]
    same = agreement(truth, one, Sampling(seed=5))
    assert (same.greedy, same.sampled) == (1.0, 1.0)
    assert agreement(truth, other, Sampling(seed=5)).sampled < 0.3


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gpt2"])
@pytest.mark.parametrize("sampling", [Sampling(), UNCUT])
def test_torch_says_what_its_graph_says(kind, sampling):
    model = build(kind)
    runner = Runner(shared_buffer_graph(model, CONTEXT), CONTEXT)
    (text,) = write_texts(runner, [3], 1, CONTEXT)
    ours, theirs = said_by(runner, text, sampling), said_by_torch(model, text, sampling)
    np.testing.assert_array_equal(ours.likeliest, theirs.likeliest)
    np.testing.assert_array_equal(ours.drawn, theirs.drawn)
    assert agreement([theirs], runner, sampling).sampled == 1.0


def test_what_is_drawn_is_what_a_device_would_draw_beyond_the_candidates_too(tmp_path):
    model = build("llama", num_hidden_layers=1)
    model.model.norm.weight.mul_(0.1)  # so flat that many draws are of unlikely tokens
    make_bundle(save(model, tmp_path / "model"), tmp_path / "bundle")
    (text,) = write_texts(Runner(tmp_path / "bundle" / "draft.onnx", CONTEXT), [3], 1, CONTEXT)
    with Edge(bundle=tmp_path / "bundle") as edge:
        sampling = {"temperature": 1.0, "top_p": 1.0, "seed": 0, "mode": "local"}
        shown = edge.generate([3], max_tokens=CONTEXT - 1, **sampling).token_ids
    assert text[1 : 1 + len(shown)] == shown
    said = said_by_torch(model, text, UNCUT)
    assert said.drawn[: len(shown)].tolist() == shown
    p = model(torch.tensor([text])).logits[0].topk(CANDIDATES).indices
    assert sum(token not in row for token, row in zip(shown, p.tolist(), strict=False)) > 3


def test_texts_are_what_the_draft_would_write_and_differ_by_seed():
    runner = Runner(shared_buffer_graph(build("llama"), CONTEXT), CONTEXT)
    counted = []
    texts = write_texts(runner, [3, 4], 2, 12, counted.append)
    assert [text[:2] for text in texts] == [[3, 4]] * 2
    assert [len(text) for text in texts] == [12, 12]
    assert texts[0] != texts[1]
    assert counted == [1, 1]
    assert write_texts(runner, [3, 4], 2, 12) == texts
