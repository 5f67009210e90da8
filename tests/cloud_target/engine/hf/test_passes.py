"""Passes over texts in several slots, packed and padded: the cache changes no logits."""

from __future__ import annotations

import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_target.engine.hf.costs import Costs
from cloud_target.engine.hf.passes import PaddedPasses, Text
from tests.cloud_target.engine.checkpoints import CONTEXT, MAKERS, VOCABULARY
from tests.cloud_target.engine.hf.plain import without_cache

SLOTS = 3
tokens = st.integers(0, VOCABULARY - 1)
quick = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_which_models_need_no_padding(make):
    # transformers 5 lets the attention of every architecture be replaced.
    padded = {"gptj"} if transformers.__version__ < "5" else set()
    assert {kind for kind in MAKERS if isinstance(make(kind).passes, PaddedPasses)} == padded


# Calls cost nothing, so every row has its own; calls cost everything, so all rows share one.
ALONE, TOGETHER = Costs(call=0.0, new=1.0), Costs(call=1.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "costs"),
    [*((kind, ALONE) for kind in MAKERS), *((kind, TOGETHER) for kind in ("llama", "mistral", "gptj"))],
)
@quick
@given(data=st.data())
def test_cached_logits_are_those_without_a_cache(make, kind, costs, data):
    """Texts in several slots grow and are cut back in pieces of any size, alone and side by side, in any order."""
    engine, texts = make(kind), [[] for _ in range(SLOTS)]
    engine.passes.costs = costs
    for slot in range(SLOTS):
        engine.trim(slot)
    for _ in range(data.draw(st.integers(1, 5))):
        rows, keep = [], []
        for slot in data.draw(st.permutations(range(SLOTS)))[: data.draw(st.integers(1, SLOTS))]:
            start = data.draw(st.integers(0, len(texts[slot])))
            new = data.draw(st.lists(tokens, min_size=1, max_size=min(9, CONTEXT - start)))
            texts[slot][start:] = new
            rows.append(Text(slot, start, new))
            keep.append(data.draw(st.integers(0, len(new))))
        with torch.inference_mode():
            found = engine.passes.run(rows, keep)
        engine.check_integrity()
        expected = [
            without_cache(engine, texts[slot])[len(texts[slot]) - n :] for (slot, *_), n in zip(rows, keep, strict=True)
        ]
        assert found.dtype is torch.float32
        assert torch.allclose(found, torch.cat(expected), atol=1e-4)


def test_the_whole_context_can_be_used(make):
    engine = make("llama")
    text = [i % VOCABULARY for i in range(CONTEXT)]
    with torch.inference_mode():
        engine.passes.run([Text(0, 0, text[:-1])], [0])
        found = engine.passes.run([Text(2, 0, [1]), Text(0, CONTEXT - 1, text[-1:])], [0, 1])
    assert torch.allclose(found, without_cache(engine, text)[-1:], atol=1e-4)
