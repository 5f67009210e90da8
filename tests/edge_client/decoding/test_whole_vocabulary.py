"""Equal models write the same, whatever of the vocabulary a sampling asks for; old bundles go on as they did."""

from __future__ import annotations

import shutil

import numpy as np
import onnx
import pytest
import torch

from cloud_target.engine.scoring.score import Row, score
from cloud_target.export.bundle import make_bundle
from edge_client.decoding.constraint import Constraint
from edge_client.decoding.drafter import Drafter
from edge_client.inference.draft import Draft, Leaf
from edge_client.inference.draft_loading import draft_maker
from shared.config import Criterion, Sampling
from shared.grammar.cursor import Allowed
from shared.manifest import read_manifest, write_manifest
from shared.sampling import Sampler
from tests.cloud_target.export.checkpoints import build, save, tiny_tokenizer

pytestmark = pytest.mark.slow  # bundles are made

VOCABULARY, TOKENS = 2500, 40
SAMPLINGS = [
    Sampling(1.0, 0, 1.0),
    Sampling(1.0, 0, 0.9),
    Sampling(0.7, 0, 0.9),
    Sampling(0.3, 0, 1.0),
    Sampling(1.5, 200, 0.95),
    Sampling(0.0),
]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Of a model with far more tokens than candidates; `old` lacks the output with all logits."""
    root = tmp_path_factory.mktemp("whole")
    tokenizer = tiny_tokenizer(VOCABULARY)
    for architecture, kind in {"llama": "shared-buffer", "qwen2": "concat"}.items():
        model = build(architecture, VOCABULARY)
        with torch.no_grad():  # not so sharp that the likeliest tokens are all there is
            model.get_output_embeddings().weight.mul_(0.4)
        save(model, root / architecture, tokenizer)
        make_bundle(root / architecture, root / kind, kind=kind)
    shutil.copytree(root / "shared-buffer", root / "old")
    manifest, graph = read_manifest(root / "old"), onnx.load(root / "old" / "draft.onnx")
    [place] = [i for i, output in enumerate(graph.graph.output) if output.name == "logits"]
    del graph.graph.output[place]
    onnx.save(graph, root / "old" / "draft.onnx")
    write_manifest(root / "old", manifest)
    return root


def load(bundle) -> Draft:
    return draft_maker(bundle, read_manifest(bundle))()


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=lambda s: f"T{s.temperature}-{s.top_k}-{s.top_p}")
@pytest.mark.parametrize("kind", ["shared-buffer", "concat"])
def test_equal_models_agree(bundles, kind, sampling):
    draft = load(bundles / kind)
    drafter = Drafter(draft, Sampler(sampling), None, Criterion.STRICT)
    text, far = [5, 7], 0
    for _ in range(TOKENS):
        token = drafter.propose(text).token
        draft.rewind(len(text) - 1)
        step = draft.feed(text[-1:])
        own = score(torch.from_numpy(step.every.copy())[None], [Row(len(text), sampling)]).own
        assert token == own[0]
        assert drafter.guess(text) == own[0]
        far += token not in step.ids
        text.append(token)
    assert (far > 0) == (sampling.temperature > 0)


def test_a_tree_knows_all_logits_of_its_nodes(bundles):
    draft = load(bundles / "shared-buffer")
    draft.feed([5, 7])
    found = [step.every.copy() for step in draft.grow([Leaf(9, -1), Leaf(11, -1)])]
    found += [step.every.copy() for step in draft.grow([Leaf(3, 0)])]
    for path, every in zip(([9], [11], [9, 3]), found, strict=True):
        draft.rewind(2)
        np.testing.assert_allclose(draft.feed(path).every, every, atol=1e-4)


@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_bundles_from_before_draw_from_candidates(bundles, temperature):
    draft, sampling = load(bundles / "old"), Sampling(temperature, 0, 1.0 if temperature == 1 else 0.9)
    drafter = Drafter(draft, Sampler(sampling), None, Criterion.STRICT)
    text = [5, 7]
    for _ in range(10):
        token = drafter.propose(text).token
        draft.rewind(len(text) - 1)
        step = draft.feed(text[-1:])
        assert step.every is None
        assert token == Sampler(sampling).draw(step.ids, step.logits, len(text)).token
        text.append(token)


def test_what_is_told_of_q_is_what_was_drawn_from(bundles):
    """The residual coupling sends q, so it is that of the candidates."""
    sampling = Sampling(1.0, 0, 1.0)
    drafter = Drafter(load(bundles / "shared-buffer"), Sampler(sampling), None, Criterion.STRICT, keeps_q=True)
    text = [5, 7]
    for _ in range(10):
        proposal = drafter.propose(text)
        ids, q = proposal.q
        assert len(ids) == 64
        assert proposal.token in ids
        assert q.sum() == pytest.approx(1)
        text.append(proposal.token)


def test_a_grammar_keeps_to_the_candidates_that_it_allows(bundles):
    """Also where it allows them all, for of the others nobody has asked it."""

    class Even:
        def allowed(self, text):
            return Allowed(np.packbits(np.arange(VOCABULARY) % 2 == 0, bitorder="little"), VOCABULARY)

    constraint = Constraint.__new__(Constraint)
    constraint._cursor, constraint._begin, constraint._sampling = Even(), 2, Sampling(1.0, 0, 1.0)
    drafter = Drafter(
        load(bundles / "shared-buffer"), Sampler(Sampling(1.0, 0, 1.0)), None, Criterion.STRICT, constraint=constraint
    )
    text = [5, 7]
    for _ in range(20):
        token = drafter.propose(text).token
        assert token % 2 == 0
        assert token == drafter.guess(text)
        text.append(token)
