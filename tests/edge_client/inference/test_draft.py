"""The draft on the device against torch: whatever is fed and forgotten, the step is that of the text which is left."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.export.bundle import make_bundle
from cloud_target.export.check import reference
from cloud_target.export.checkpoint import load_checkpoint
from edge_client.inference.draft import ConcatDraft, Leaf, SharedBufferDraft
from edge_client.inference.draft_loading import draft_maker
from edge_client.testing.models import ScriptedDraft
from shared.errors import BundleError, ContextLengthError, InputError
from shared.manifest import read_manifest, write_manifest
from tests.cloud_target.export.checkpoints import CONTEXT, VOCABULARY, build, save

TOKENS = st.integers(0, VOCABULARY - 1)
# Feed 1 to 7 tokens, or go back to a share of what has been read.
MOVES = st.lists(st.one_of(st.lists(TOKENS, min_size=1, max_size=7), st.floats(0, 1)), min_size=1, max_size=12)
BUNDLES = {"llama": "shared-buffer", "gpt2": "shared-buffer", "qwen2": "concat"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Checkpoints and float32 bundles of two kinds, and an 8-bit one."""
    root = tmp_path_factory.mktemp("drafts")
    for architecture, kind in BUNDLES.items():
        save(build(architecture), root / architecture)
        make_bundle(root / architecture, root / f"{architecture}.bundle", kind=kind)
    make_bundle(root / "gpt2", root / "int8.bundle", dtype="int8")
    return root


def load(bundle):
    return draft_maker(bundle, read_manifest(bundle))()


def assert_is_step_after(step, model, text):
    logits, hidden = (values[-1].astype(np.float64) for values in reference(model, text))
    np.testing.assert_allclose(step.logits, logits[step.ids], atol=1e-3)
    np.testing.assert_allclose(step.logits, -np.sort(-logits)[: len(step.ids)], atol=1e-3)
    normaliser = np.log(np.exp(logits - logits.max()).sum()) + logits.max()
    p = np.exp(logits - normaliser)
    assert step.log_normaliser == pytest.approx(normaliser, abs=1e-3)
    assert step.entropy == pytest.approx(-(p * (logits - normaliser)).sum(), abs=1e-3)
    np.testing.assert_allclose(step.hidden, hidden, atol=1e-3)
    np.testing.assert_allclose(step.every, logits, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", BUNDLES)
def test_any_feeds_and_rewinds_equal_torch(root, architecture):
    draft = load(root / f"{architecture}.bundle")
    assert isinstance(draft, ConcatDraft if BUNDLES[architecture] == "concat" else SharedBufferDraft)
    model = load_checkpoint(root / architecture).model

    @settings(max_examples=25, deadline=None)
    @given(MOVES)
    def check(moves):
        draft.rewind(0)
        text = []
        for move in moves:
            if isinstance(move, float):
                text = text[: int(move * len(text))]
                draft.rewind(len(text))
            elif len(text) + len(move) <= CONTEXT:
                text += move
                assert_is_step_after(draft.feed(move), model, text)
            assert draft.length == len(text)

    check()


@pytest.mark.slow
def test_long_prompt_is_read_in_pieces(root, monkeypatch):
    text = [(7 * i) % VOCABULARY for i in range(CONTEXT)]
    draft = load(root / "llama.bundle")
    monkeypatch.setattr("edge_client.inference.draft._CHUNK", 5)
    assert_is_step_after(draft.feed(text), load_checkpoint(root / "llama").model, text)
    assert draft.length == draft.context == CONTEXT


@settings(max_examples=20, deadline=None)
@given(text=st.lists(TOKENS, min_size=1, max_size=CONTEXT))
def test_eight_bits_stay_close(root, text):
    exact, near = (load(root / name) for name in ("gpt2.bundle", "int8.bundle"))
    a, b = exact.feed(text), near.feed(text)
    shared = set(a.ids.tolist()) & set(b.ids.tolist())
    theirs = dict(zip(b.ids.tolist(), b.logits.tolist(), strict=True))
    errors = [abs(logit - theirs[i]) for i, logit in zip(a.ids.tolist(), a.logits.tolist(), strict=True) if i in shared]
    assert len(shared) > 50
    assert float(np.mean(errors)) < 0.1 * a.logits.std()
    assert a.ids[0] in b.ids[:5]


@pytest.mark.parametrize("bundle", ["llama.bundle", "qwen2.bundle"])
def test_bad_ids_and_full_contexts_are_refused_and_change_nothing(root, bundle):
    draft = load(root / bundle)
    draft.feed([1, 2, 3])
    for ids in ([VOCABULARY], [-1], [1, VOCABULARY, 2], [5, -7]):
        with pytest.raises(InputError, match="outside the vocabulary"):
            draft.feed(ids)
    with pytest.raises(InputError, match="nothing"):
        draft.feed([])
    with pytest.raises(ContextLengthError, match=f"context of {CONTEXT}"):
        draft.feed([1] * (CONTEXT - 2))
    for length in (4, -1):
        with pytest.raises(InputError, match="cannot go back"):
            draft.rewind(length)
    assert draft.length == 3
    draft.feed([1] * (CONTEXT - 3))
    with pytest.raises(ContextLengthError):
        draft.feed([1])


@pytest.fixture
def copy(root, tmp_path):
    """A bundle that a test may damage."""
    return shutil.copytree(root / "llama.bundle", tmp_path / "bundle")


def test_wrong_probe_is_noticed(copy):
    manifest = read_manifest(copy)
    logits = list(manifest.probe.top_logits)
    logits[3] += 3 * manifest.probe.tolerance
    write_manifest(copy, dataclasses.replace(manifest, probe=dataclasses.replace(manifest.probe, top_logits=logits)))
    with pytest.raises(BundleError, match=r"on the probe prompt.*make the bundle again"):
        load(copy)


def test_token_that_is_no_candidate_is_noticed(copy):
    manifest = read_manifest(copy)
    worst = (set(range(VOCABULARY)) - set(load(copy).feed(manifest.probe.ids).ids.tolist())).pop()
    probe = dataclasses.replace(manifest.probe, top_ids=[worst], top_logits=[0.0])
    write_manifest(copy, dataclasses.replace(manifest, probe=probe))
    with pytest.raises(BundleError, match=r"leaves out token \d+ on the probe prompt"):
        load(copy)


def test_weights_that_are_not_numbers_are_noticed(copy):
    manifest = read_manifest(copy)
    model = onnx.load(copy / "draft.onnx")
    weight = next(w for w in model.graph.initializer if w.name == "layer.0.output")
    weight.raw_data = np.full(weight.dims, np.nan, np.float32).tobytes()
    onnx.save(model, copy / "draft.onnx")
    write_manifest(copy, manifest)
    with pytest.raises(BundleError):
        load(copy)


def test_another_models_graph_is_noticed(root, copy):
    manifest = read_manifest(copy)
    shutil.copy(root / "gpt2.bundle" / "draft.onnx", copy / "draft.onnx")
    with pytest.raises(BundleError, match="not the file that the manifest describes"):
        load(copy)
    write_manifest(copy, manifest)
    with pytest.raises(BundleError, match=r"draft\.onnx"):
        load(copy)


@pytest.mark.parametrize("damage", ["shorter", "other bytes", "empty"])
def test_damaged_graph_is_one_sentence(copy, damage):
    manifest, path = read_manifest(copy), copy / "draft.onnx"
    data = path.read_bytes()
    path.write_bytes({"shorter": data[: len(data) // 2], "other bytes": b"no graph" * 99, "empty": b""}[damage])
    write_manifest(copy, manifest)
    with pytest.raises(BundleError) as caught:
        load(copy)
    assert "\n" not in str(caught.value)
    assert "bundle again" in str(caught.value)


@pytest.mark.parametrize(
    "wrong", [{"kind": "tree"}, {"kind": "concat"}, {"layers": 1}, {"hidden": 63}, {"candidates": 5}, {"kv_heads": 4}]
)
def test_manifest_that_does_not_fit_the_graph_is_noticed(copy, wrong):
    manifest = read_manifest(copy)
    write_manifest(copy, dataclasses.replace(manifest, draft=dataclasses.replace(manifest.draft, **wrong)))
    with pytest.raises(BundleError, match=r"draft\.onnx"):
        load(copy)


def uneven(text):
    """Probabilities that depend on the whole text."""
    weights = np.random.default_rng(list(text)).random(12)
    return weights / weights.sum()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 11), min_size=1, max_size=20), st.data())
def test_scripted_draft_is_its_function(text, data):
    draft = ScriptedDraft(uneven, 12)
    draft.feed([3] * 4)
    draft.rewind(data.draw(st.integers(0, 4)))
    kept = [3] * draft.length
    cut = data.draw(st.integers(0, len(text) - 1))
    if cut:
        draft.feed(text[:cut])
    step = draft.feed(text[cut:])
    p = uneven((*kept, *text))
    assert step.ids.tolist() == np.argsort(-p, kind="stable").tolist()
    np.testing.assert_allclose(np.exp(step.logits - step.log_normaliser), p[step.ids], rtol=1e-5)
    assert step.entropy == pytest.approx(-(p * np.log(p)).sum())
    with pytest.raises(InputError, match="outside the vocabulary"):
        draft.feed([12])


def test_scripted_draft_survives_impossible_tokens():
    step = ScriptedDraft(lambda _: [0.0, 1.0, 0.0], 3, candidates=2).feed([0])
    assert step.ids[0] == 1
    assert len(step.ids) == 2
    assert np.isfinite(step.logits).all()


TREES = st.lists(
    st.one_of(
        st.lists(
            st.tuples(TOKENS, st.floats(0, 1)), min_size=1, max_size=6
        ),  # leaves: token, and which node it follows
        st.floats(0, 1),  # the node up to which the text is to go on
        st.lists(TOKENS, min_size=1, max_size=4),  # more text
    ),
    min_size=1,
    max_size=10,
)


def play(draft, moves, check):
    """Grow, keep and feed as the moves say; `check` hears each step, and the ids that it comes after."""
    draft.rewind(0)
    text, nodes = [], []  # of each node, its parent and its ids from the text on
    for move in moves:
        if isinstance(move, float):
            if not nodes:
                continue
            node, path = int(move * (len(nodes) - 1)), []
            end = node
            while node >= 0:
                path.insert(0, node)
                node = nodes[node][0]
            behind = {end}
            rest = [i for i, (parent, _) in enumerate(nodes) if parent in behind and not behind.add(i)]
            draft.keep(path, rest)
            text += nodes[end][1]
            numbers = {end: -1} | {old: new for new, old in enumerate(rest)}
            nodes = [(numbers[nodes[old][0]], nodes[old][1][len(path) :]) for old in rest]
        elif isinstance(move[0], int):
            if len(text) + len(move) > CONTEXT:
                continue
            text += move
            nodes = []
            check(draft.feed(move), text)
        elif len(text) + len(nodes) + len(move) <= CONTEXT:
            leaves = []
            for number, (token, share) in enumerate(move, len(nodes)):
                parent = int(share * len(nodes)) - 1 if draft.branches else number - 1
                leaves.append(Leaf(token, parent))
            for (token, parent), step in zip(leaves, draft.grow(leaves), strict=True):
                nodes.append((parent, [*(nodes[parent][1] if parent >= 0 else ()), token]))
                check(step, [*text, *nodes[-1][1]])
        assert (draft.ids, draft.length, draft.nodes) == (text, len(text), len(nodes))


@pytest.mark.slow
@pytest.mark.parametrize("architecture", BUNDLES)
def test_every_node_of_any_tree_is_as_if_it_were_written_alone(root, architecture):
    draft = load(root / f"{architecture}.bundle")
    model = load_checkpoint(root / architecture).model

    @settings(max_examples=25, deadline=None)
    @given(TREES)
    def check(moves):
        play(draft, moves, lambda step, text: assert_is_step_after(step, model, text))

    check()
