"""Trees of guesses in one pass: each node reads its own ancestors only, and the slot keeps the path that stands."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.engine.hf.costs import Costs
from cloud_target.engine.hf.packed import QUERY
from cloud_target.engine.hf.passes import PackedPasses, Text
from cloud_target.engine.interface import WIDEST_TREE, Feed
from cloud_target.engine.lineage import ancestors, depths
from cloud_target.engine.scripted import ScriptedEngine, random_script
from shared.config import Sampling
from tests.cloud_target.engine.checkpoints import MAKERS, VOCABULARY
from tests.cloud_target.engine.hf.plain import without_cache
from tests.cloud_target.engine.hf.test_engine import SLOTS, plain_twin, quick, samplings

ALONE, TOGETHER = Costs(call=0.0, new=1.0), Costs(call=1.0)


def a_tree(random: Random, most: int) -> list[int]:
    """Of every token, the index of the one that it follows."""
    return [-1, *(random.randrange(node) for node in range(1, random.randint(2, most)))]


def path_to(node: int, follows: list[int]) -> list[int]:
    return [*(path_to(follows[node], follows) if follows[node] >= 0 else []), node]


@settings(max_examples=50, deadline=None)
@given(st.randoms(use_true_random=False))
def test_lineage(random):
    follows = a_tree(random, 12)
    for node in range(len(follows)):
        path = path_to(node, follows)
        assert depths(follows)[node] == len(path) - 1
        assert np.flatnonzero(ancestors(follows)[node]).tolist() == path


def test_models_whose_attention_is_ours_read_trees(make):
    assert [kind for kind in MAKERS if make(kind).branches] == [
        kind for kind in MAKERS if isinstance(make(kind).passes, PackedPasses)
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "costs"), [*((kind, ALONE) for kind in MAKERS), *((kind, TOGETHER) for kind in ("llama", "mistral"))]
)
@quick
@given(random=st.randoms(use_true_random=False))
def test_each_node_is_read_as_if_its_path_were_the_text(make, kind, costs, random):
    """Of several slots in one pass, beside a line; then one path is kept, and the text goes on behind it."""
    engine = make(kind)
    if not engine.branches:
        pytest.skip("it reads lines")
    engine.passes.costs = costs
    draw = lambda many: random.choices(range(VOCABULARY), k=many)  # noqa: E731
    before = [draw(random.randint(1, 14)) for _ in range(SLOTS)]
    rows = []
    for slot, text in enumerate(before):
        follows = a_tree(random, 9) if slot else []
        rows.append(Text(slot, len(text), draw(len(follows) or 3), follows))
    with torch.inference_mode():
        for slot, text in enumerate(before):
            engine.trim(slot)
            engine.passes.run([Text(slot, 0, text)], [1])
        found = engine.passes.run(rows, [len(row.tokens) for row in rows]).split([len(row.tokens) for row in rows])
        assert torch.allclose(found[0], without_cache(engine, [*before[0], *rows[0].tokens])[-3:], atol=1e-4)
        for text, row, logits in zip(before[1:], rows[1:], found[1:], strict=True):
            for node in range(len(row.tokens)):
                path = path_to(node, row.follows)
                whole = [*text, *(row.tokens[i] for i in path)]
                assert torch.allclose(logits[node], without_cache(engine, whole)[-1], atol=1e-4)
            engine.passes.store.follow(row.slot, len(text), [len(text) + i for i in path])
            engine.check_integrity()
            after = engine.passes.run([Text(row.slot, len(whole), [7, 3])], [2])
            assert torch.allclose(after, without_cache(engine, [*whole, 7, 3])[-2:], atol=1e-4)


@pytest.mark.slow
@quick
@given(random=st.randoms(use_true_random=False), data=st.data())
def test_scores_of_trees_are_those_of_the_plain_reading(make, random, data):
    """A text goes on behind any of the tokens that were read, and both engines with it."""
    engine = make("llama")
    twin = plain_twin(engine)
    engine.forward([Feed(slot, 0, (0,) * 12, 11, Sampling()) for slot in range(SLOTS)])
    start, kept, sampling = 12, (), data.draw(samplings)
    for _ in range(4):
        needed = random.randint(1, 3)
        score_from = random.randrange(needed)
        parents = tuple(random.randrange(score_from, index) for index in range(needed, needed + random.randint(0, 7)))
        words = tuple(random.choices(range(VOCABULARY), k=needed + len(parents)))
        feed = Feed(0, start, words, score_from, sampling, spare=len(parents), parents=parents, kept=kept)
        beside = Feed(1, 12, (1, 2, 3), 1, sampling)
        for scores, expected in zip(engine.forward([feed, beside]), twin.forward([feed, beside]), strict=True):
            assert scores.own.tolist() == expected.own.tolist()
            assert scores.guesses == expected.guesses
            assert scores.own_unlikely.tolist() == expected.own_unlikely.tolist()
            assert np.allclose(scores.own_nll, expected.own_nll, atol=1e-4)
            assert scores.given.off_strict.tolist() == expected.given.off_strict.tolist()
            assert scores.given.unlikely.tolist() == expected.given.unlikely.tolist()
            assert np.allclose(scores.given.nll, expected.given.nll, atol=1e-4)
        path = path_to(random.randrange(len(words)), feed.follows())
        kept = tuple(start + index for index in path if index >= needed)
        start += len(path)


def test_the_scores_along_a_path():
    """Are those of a feed of that line."""
    engine = ScriptedEngine(random_script(VOCABULARY), VOCABULARY)
    tree = engine.forward([Feed(0, 0, (1, 2, 3, 4, 5, 6), 1, Sampling(), spare=3, parents=(1, 3, 3))])[0]
    line = engine.forward([Feed(0, 0, (1, 2, 4, 6), 1, Sampling())])[0]
    found = tree.along([0, 2, 4])
    for name in ("own", "own_nll", "own_unlikely"):
        assert getattr(found, name).tolist() == getattr(line, name).tolist()
    for name in ("off_strict", "unlikely", "nll"):
        assert getattr(found.given, name).tolist() == getattr(line.given, name).tolist()


@pytest.mark.parametrize(
    "parents",
    [(1, 2), (1, 2, 3, 4), (1, 0, 1), (1, 3, 1), (1, 4, 1)],
    ids=["too few", "too many", "one that is not scored", "itself", "a later one"],
)
def test_what_is_no_tree_never_reaches_the_model(make, parents):
    engine = make("llama")
    engine.forward([Feed(0, 0, (1, 2), 0, Sampling())])
    with pytest.raises(ValueError, match="no tree"):
        engine.forward([Feed(0, 1, (2, 3, 4, 5, 6), 1, Sampling(), spare=3, parents=parents)])


@pytest.mark.parametrize(
    ("start", "kept"),
    [(1, (2, 3)), (2, (1, 0)), (2, (1, 1)), (2, (0,)), (2, (3,))],
    ids=["more than there are", "shrinking", "twice", "before its own", "where nothing is"],
)
def test_what_cannot_be_kept_never_moves(make, start, kept):
    engine = make("llama")
    engine.forward([Feed(0, 0, (1, 2, 3), 0, Sampling())])
    with pytest.raises(ValueError, match=r"place|hold"):
        engine.forward([Feed(0, start, (4,), 0, Sampling(), kept=kept)])


def test_a_feed_with_fewer_guesses_is_a_smaller_tree():
    feed = Feed(0, 3, (9, 1, 2, 3), 0, Sampling(), spare=3, parents=(0, 0, 1))
    assert feed.follows() == (-1, 0, 0, 1)
    fewer = feed.with_guesses(2)
    assert (fewer.tokens, fewer.parents, fewer.follows()) == ((9, 1, 2), (0, 0), (-1, 0, 0))
    assert feed.with_guesses(0).follows() == (-1,)


def test_the_widest_tree_is_one_call_of_attention():
    assert WIDEST_TREE <= QUERY
