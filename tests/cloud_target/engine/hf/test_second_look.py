"""In float32 the target's own tokens are those of transformers' plain reading, however texts are split and batched."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from cloud_target.engine.hf.engine import TargetEngine
from cloud_target.engine.hf.model import load_target
from cloud_target.engine.interface import FORBIDDEN, Feed, Masks, Vitals
from shared.config import Sampling
from shared.sampling import Sampler
from tests.cloud_target.engine.checkpoints import VOCABULARY, write_checkpoint

LENGTH, TEXTS = 32, 4


@pytest.fixture(scope="module", params=["llama", "gpt2", "gptj", "gemma3"])
def twins(request, tmp_path_factory) -> tuple[TargetEngine, torch.nn.Module]:
    """A target in which every token has a twin that is as good as itself, but for less than rounding takes; and the
    same checkpoint as transformers has it."""
    place = write_checkpoint(tmp_path_factory.mktemp("twins") / request.param, request.param)
    model = AutoModelForCausalLM.from_pretrained(place, attn_implementation="eager")
    with torch.no_grad():
        head = model.get_output_embeddings().weight
        head[1::2] = head[::2] * (1 + 1e-7 * torch.randn(len(head) // 2, head.shape[1]))
        model.get_input_embeddings().weight.copy_(head)  # where both are one they stay so
    model.save_pretrained(place)
    own = "sdpa" if model._supports_sdpa else "eager"
    plain = AutoModelForCausalLM.from_pretrained(place, attn_implementation=own).eval()
    return TargetEngine(load_target(str(place), "cpu"), memory=1 << 20), plain


def texts(chance: np.random.Generator) -> list[tuple[list[int], Sampling]]:
    return [
        (
            chance.integers(0, VOCABULARY, LENGTH).tolist(),
            Sampling(float(chance.choice([0.0, 0.7, 1.0])), 0, float(chance.choice([0.9, 1.0])), i),
        )
        for i in range(TEXTS)
    ]


@torch.inference_mode()
def own_after(plain: torch.nn.Module, text: list[int], sampling: Sampling, allowed: np.ndarray | None = None) -> int:
    """The target's own token after a text, from a plain reading of it."""
    said = plain(torch.tensor([text]), use_cache=False, logits_to_keep=1)
    logits = said.logits[0, -1, :VOCABULARY].numpy()
    if allowed is not None:
        logits = np.where(allowed, logits, np.float32(FORBIDDEN))
    logits = logits - logits.max()  # as a target has them: what falls together by that is a tie, and the lower id's
    ids = np.argsort(-logits, kind="stable")
    return Sampler(sampling).draw(ids, logits[ids], len(text)).token


def truth(plain: torch.nn.Module, text: list[int], sampling: Sampling) -> list[int]:
    return [own_after(plain, text[:end], sampling) for end in range(1, len(text) + 1)]


def split_reading(engine: TargetEngine, chance: np.random.Generator, every: list[tuple[list[int], Sampling]]):
    """The own tokens of all texts, read in parts of any size, in passes with any others."""
    done, own = [0] * len(every), [[] for _ in every]
    while any(count < LENGTH for count in done):
        feeds, whose = [], []
        for slot, (text, sampling) in enumerate(every):
            if done[slot] < LENGTH and chance.random() < 0.6:
                end = min(done[slot] + int(chance.choice([1, 2, 5, 17, 40])), LENGTH)
                feeds.append(Feed(slot, done[slot], tuple(text[done[slot] : end]), 0, sampling, text=text))
                whose.append(slot)
        for slot, feed, scores in zip(whose, feeds, engine.forward(feeds) if feeds else [], strict=True):
            own[slot] += scores.own.tolist()
            done[slot] = feed.end
    for slot in range(len(every)):
        engine.trim(slot)
    return own


def test_no_split_and_no_company_changes_a_token(twins):
    engine, plain = twins
    chance = np.random.default_rng(5)
    every = texts(chance)
    expected = [truth(plain, *one) for one in every]
    for _ in range(4):
        assert split_reading(engine, chance, every) == expected
    assert engine.looks > 100  # nearly every token has a twin, so nearly every one was close
    assert engine.vitals() == Vitals(second_looks=engine.looks)


def test_without_it_they_do(twins, monkeypatch):
    """Otherwise the test above shows nothing."""
    engine, _ = twins
    monkeypatch.setattr(engine, "second_look", None)
    chance = np.random.default_rng(5)
    every = texts(chance)
    readings = [split_reading(engine, chance, every) for _ in range(6)]
    assert any(reading != readings[0] for reading in readings)


def test_guesses_are_decided_by_the_text_that_they_end(twins):
    engine, plain = twins
    chance = np.random.default_rng(7)
    for text, sampling in texts(chance):
        trunk, guesses = text[:20], text[20:28]
        line = tuple(range(19, 19 + len(guesses)))
        tree = tuple(int(chance.integers(18, 20 + i)) for i in range(len(guesses)))
        parents = tree if engine.branches else line
        told = parents if parents != line else ()
        feed = Feed(0, 0, (*trunk, *guesses), 18, sampling, spare=len(guesses), parents=told, text=trunk)
        own = engine.forward([feed])[0].own.tolist()
        paths = [trunk[:19], trunk]
        for token, parent in zip(guesses, parents, strict=True):
            paths.append([*paths[parent - 18], token])
        assert own == [own_after(plain, path, sampling) for path in paths]
        engine.trim(0)


def test_what_a_grammar_forbids_stays_forbidden(twins):
    engine, plain = twins
    chance = np.random.default_rng(8)
    for text, sampling in texts(chance):
        allowed = chance.random((LENGTH, VOCABULARY)) < 0.3
        allowed[:, 3] = True
        masks = Masks("some", 0, lambda allowed=allowed: np.packbits(allowed, axis=1, bitorder="little"))
        feed = Feed(0, 0, tuple(text), 0, sampling, masks=masks, text=text)
        expected = [own_after(plain, text[: end + 1], sampling, allowed[end]) for end in range(LENGTH)]
        assert engine.forward([feed])[0].own.tolist() == expected
        engine.trim(0)


def test_a_feed_without_its_text_is_answered_as_it_was_read(twins):
    engine, _ = twins
    engine.forward([Feed(0, 0, (1, 2, 3), 0, Sampling(0.0))])
    looks = engine.looks
    assert len(engine.forward([Feed(0, 3, (4, 5, 6), 0, Sampling(0.0))])[0].own) == 3
    assert engine.looks == looks
    engine.trim(0)
