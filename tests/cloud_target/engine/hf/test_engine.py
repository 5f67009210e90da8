"""The real engine on tiny checkpoints: the slot cache changes nothing, and scores are what the plain reading says."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_target.engine.hf.engine import TargetEngine
from cloud_target.engine.hf.model import load_target
from cloud_target.engine.hf.passes import Text
from cloud_target.engine.interface import Feed, Masks, Scores, all_scores
from cloud_target.engine.scripted import ScriptedEngine
from cloud_target.protocol.describe import describe
from cloud_target.protocol.requests import Limits
from cloud_target.scheduling.chunks import ChunkedFeed
from shared.config import Coupling, Sampling
from shared.errors import InputError, TargetError
from tests.cloud_target.engine.checkpoints import CONTEXT, VOCABULARY, write_checkpoint
from tests.cloud_target.engine.hf.plain import without_cache

SLOTS = 3
MEMORY = 1 << 20  # bytes; a thousand tokens and more, not the gigabyte that a server takes
Make = Callable[[str], TargetEngine]
tokens = st.integers(0, VOCABULARY - 1)
samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.7, 1.0]),
    top_k=st.sampled_from([0, 4]),
    top_p=st.sampled_from([0.9, 1.0]),
    seed=st.integers(0, 2**64 - 1),
)
quick = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def plain_twin(engine: TargetEngine) -> ScriptedEngine:
    """A scripted engine whose script is the model without a cache: the plain reading of the rules."""
    twin = ScriptedEngine(lambda text: without_cache(engine, list(text))[-1].numpy(), VOCABULARY, SLOTS, CONTEXT)
    twin.forward([Feed(slot, 0, (0,) * 12, 11, Sampling()) for slot in range(SLOTS)])
    return twin


def masks_of(first: int, rows: int, data: st.DataObject) -> Masks | None:
    """Some tokens that are allowed in each row, one at least, or no masks at all."""
    seed = data.draw(st.sampled_from([None, *range(100)]))
    if seed is None:
        return None
    chance = np.random.default_rng(seed)
    allowed = chance.random((rows, VOCABULARY)) < chance.choice([0.05, 0.5, 1.0])
    allowed[np.arange(rows), chance.integers(VOCABULARY, size=rows)] = True
    return Masks(seed, first, lambda: np.packbits(allowed, axis=1, bitorder="little"))


def in_chunks(engine: TargetEngine, feed: Feed, most: int) -> Scores:
    chunks = ChunkedFeed(feed)
    while chunks.read < len(feed.tokens):
        chunk = chunks.next(most)
        assert len(chunk.tokens) <= most
        chunks.add(chunk, engine.forward([chunk])[0])
    return chunks.scores()


def test_it_has_measured_what_a_pass_over_one_token_takes(make):
    engine = make("llama")
    begin = perf_counter()
    for position in range(5):
        engine.forward([Feed(0, position, (1,), 0, Sampling(0.0))])
    assert 0 < engine.step < perf_counter() - begin
    engine.trim(0)


@pytest.mark.slow
@pytest.mark.parametrize("most", [2, 4, None])
@quick
@given(data=st.data())
def test_scores_are_those_of_the_plain_reading(make, most, data):
    """Of feeds in one pass, and of feeds that are read in chunks."""
    engine, feeds = make("llama"), []
    twin = plain_twin(engine)
    engine.forward([Feed(slot, 0, (0,) * 12, 11, Sampling()) for slot in range(SLOTS)])
    for slot in data.draw(st.permutations(range(SLOTS)))[: data.draw(st.integers(1, SLOTS))]:
        text = tuple(data.draw(st.lists(tokens, min_size=1, max_size=9)))
        score_from = data.draw(st.integers(0, len(text) - 1))
        coupling, q = data.draw(st.sampled_from(Coupling)), ()
        if coupling is Coupling.RESIDUAL:
            judged = data.draw(st.integers(0, len(text) - 1 - score_from))
            q = tuple((np.array([x, (x + 1) % VOCABULARY]), np.array([0.75, 0.25])) for x in text[len(text) - judged :])
        start = data.draw(st.integers(0, 12))
        masks = masks_of(start + score_from, len(text) - score_from, data)
        feeds.append(Feed(slot, start, text, score_from, data.draw(samplings), coupling, q, masks=masks))
    found = [in_chunks(engine, feed, most) for feed in feeds] if most else engine.forward(feeds)
    for scores, expected in zip(found, twin.forward(feeds), strict=True):
        assert scores.own.tolist() == expected.own.tolist()
        assert scores.given.off_strict.tolist() == expected.given.off_strict.tolist()
        assert scores.given.unlikely.tolist() == expected.given.unlikely.tolist()
        assert scores.own_unlikely.tolist() == expected.own_unlikely.tolist()
        # Of a forbidden token it is only told that it is one.
        assert np.allclose(*(np.minimum(s.given.nll, 1e6) for s in (scores, expected)), atol=1e-4)
        assert np.allclose(scores.own_nll, expected.own_nll, atol=1e-4)


def test_ids_that_only_pad_the_vocabulary_are_never_written(tmp_path):
    target = load_target(str(write_checkpoint(tmp_path)), "cpu")
    with torch.no_grad():
        target.model.lm_head.weight[VOCABULARY:] *= 50  # the padding would win by far
    engine = TargetEngine(target, MEMORY)
    feeds = [Feed(0, 0, (1, 2, 3, 4, 5), 0, Sampling(1.0, 0, 1.0, seed)) for seed in range(20)]
    assert max(engine.forward([feed])[0].own.max() for feed in feeds) < VOCABULARY


@pytest.mark.parametrize(
    "feed",
    [
        Feed(-1, 0, (1,), 0, Sampling()),
        Feed(99, 1, (1,), 0, Sampling()),
        Feed(0, 0, (), 0, Sampling()),
        Feed(0, CONTEXT, (1,), 0, Sampling()),
        Feed(0, 0, (1, 2), 2, Sampling()),
        Feed(0, 0, (VOCABULARY,), 0, Sampling()),
        Feed(0, 0, (1,), 0, Sampling(), Coupling.RESIDUAL, ((np.array([1]), np.array([1.0])),)),
    ],
)
def test_wrong_feeds_never_reach_the_model(make, feed):
    with pytest.raises(ValueError, match=r"slot|positions|row|distributions|vocabulary"):
        make("llama").forward([feed])


def test_two_feeds_may_not_share_a_slot(make):
    with pytest.raises(ValueError, match="share a slot"):
        make("llama").forward([Feed(0, 0, (1,), 0, Sampling())] * 2)


def test_arithmetic_without_numbers_is_an_error(tmp_path):
    target = load_target(str(write_checkpoint(tmp_path)), "cpu")
    engine = TargetEngine(target, MEMORY)
    with torch.no_grad():
        target.model.get_input_embeddings().weight.fill_(float("nan"))
    with pytest.raises(TargetError, match="gave values that are not numbers; use another --dtype"):
        all_scores(engine.forward([Feed(0, 0, (1, 2), 0, Sampling())]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_a_text_without_numbers_leaves_those_beside_it_alone(tmp_path, make: Make, name):
    """A token has no numbers for an embedding, as if it made the arithmetic overflow; in this pass, and in the next."""
    target = load_target(str(write_checkpoint(tmp_path, name)), "cpu")
    engine, twin = TargetEngine(target, MEMORY), make(name)

    def poisoned(_: torch.nn.Module, ids: tuple[torch.Tensor], read: torch.Tensor) -> torch.Tensor:
        return read.masked_fill((ids[0] == 7)[..., None], float("nan"))

    target.model.get_input_embeddings().register_forward_hook(poisoned)
    for start, poison in ((0, (1, 2, 7)), (3, (1,))):
        feeds = [Feed(slot, start, (3, slot, 4), 0, Sampling(seed=slot)) for slot in (0, 2)]
        one, failed, other = engine.forward([feeds[0], Feed(1, start, poison, 0, Sampling(0.8, 0, 0.9)), feeds[1]])
        assert isinstance(failed, TargetError)
        for found, expected in zip((one, other), twin.forward(feeds), strict=True):
            assert np.array_equal(found.own, expected.own)
            np.testing.assert_allclose(found.own_nll, expected.own_nll, atol=1e-4)
        assert engine.looks == twin.looks  # no text is read once more for what is no number


def test_half_precision_gives_float32_logits(tmp_path):
    directory = str(write_checkpoint(tmp_path))
    half, full = (TargetEngine(load_target(directory, "cpu", dtype), MEMORY) for dtype in ("float16", "float32"))
    text = [Text(0, 0, list(range(10)))]
    with torch.inference_mode():
        rough, exact = half.passes.run(text, [10]), full.passes.run(text, [10])
    assert torch.allclose(rough, exact, atol=0.1)
    assert len(rough.unique()) > 380  # as float16 they would tie in many places
    assert half.description.fingerprint == full.description.fingerprint
    for engine, is_repeatable in ((half, False), (full, True)):
        assert describe(engine, Limits.of(engine)).repeatable is is_repeatable is (engine.second_look is not None)


def test_context(tmp_path):
    target = load_target(str(write_checkpoint(tmp_path)), "cpu")
    assert TargetEngine(target, MEMORY).context == CONTEXT
    assert TargetEngine(target, MEMORY, 20).context == 20
    with pytest.raises(InputError, match=f"between 2 and .* own {CONTEXT} tokens, not {CONTEXT + 1}"):
        TargetEngine(target, MEMORY, CONTEXT + 1)


def test_too_little_memory_is_one_sentence(tmp_path):
    target = load_target(str(write_checkpoint(tmp_path)), "cpu")
    with pytest.raises(InputError, match=r"needs 16384 bytes .* --kv-memory allows \(16383\)"):
        TargetEngine(target, memory=16383)
    assert TargetEngine(target, memory=16384).capacity == CONTEXT
    with pytest.raises(InputError, match=r"only .* are free on this machine; give less"):
        TargetEngine(target, memory=1 << 60)


def test_more_texts_than_there_is_room_for(tmp_path):
    engine = TargetEngine(load_target(str(write_checkpoint(tmp_path)), "cpu"), memory=2 * 16384)
    engine.forward([Feed(slot, 0, (1,), 0, Sampling()) for slot in (5, 6)])
    with pytest.raises(ValueError, match="do not fit in a cache of 128"):
        engine.forward([Feed(7, 0, (1,), 0, Sampling())])
    engine.trim(5)
    engine.forward([Feed(7, 0, (1,), 0, Sampling())])


def test_a_copied_beginning_is_as_good_as_one_that_was_read(make):
    engine, text = make("llama"), [i % VOCABULARY for i in range(20)]
    for slot in range(SLOTS):
        engine.trim(slot)
    with torch.inference_mode():
        engine.passes.run([Text(0, 0, text[:15])], [0])
        engine.copy(0, 1, 12)
        found = engine.passes.run([Text(1, 12, text[12:])], [8])
    assert torch.allclose(found, without_cache(engine, text)[12:], atol=1e-4)
    with pytest.raises(ValueError, match="cannot lend 16 tokens"):
        engine.copy(0, 2, 16)
