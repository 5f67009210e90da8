"""What the draft learns from: the target's text and distributions, and that learning brings the two together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from cloud_target.training.distil import distil, draft_like
from cloud_target.training.loop import batches
from cloud_target.training.loss import loss_terms
from cloud_target.training.models import load_model, run
from cloud_target.training.own_text import OwnText, continue_texts, write_own_text
from cloud_target.training.pretrain import Shape
from cloud_target.training.settings import RunSettings
from cloud_target.training.teacher import SoftTargets, ask_teacher
from shared.config import Sampling
from shared.errors import InputError
from tests.cloud_target.training.conftest import CONTEXT, VOCABULARY, assert_damage_is_told

SMALL = Shape(64, layers=1, feed_forward=64, kv_heads=1, context=CONTEXT)


def random_documents(count: int, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.integers(5, VOCABULARY, random.integers(6, 40)).astype(np.uint16) for _ in range(count)]


@given(seed=st.integers(0, 1000))
def test_loss_terms_are_the_divergences_they_are_named_for(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    log_p = (3 * torch.randn(4, 30, generator=generator)).log_softmax(1)
    logits = 3 * torch.randn(4, 30, generator=generator)
    log_q = logits.log_softmax(1)
    top_log_p, top_ids = log_p.topk(30, dim=1)
    kl, tv, warm = loss_terms(logits, top_ids, top_log_p)
    torch.testing.assert_close(kl, (log_p.exp() * (log_p - log_q)).sum(1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(tv, (log_p.exp() - log_q.exp()).abs().sum(1) / 2, atol=1e-4, rtol=1e-4)
    gap = ((log_p / 0.7).softmax(1) - (log_q / 0.7).softmax(1)).abs().sum(1) / 2
    torch.testing.assert_close(warm, gap, atol=1e-4, rtol=1e-4)
    # With the tail as one token, KL and TV can only be smaller.
    some = loss_terms(logits, top_ids[:, :8], top_log_p[:, :8])
    assert (some[:2] <= torch.stack((kl, tv)) + 1e-4).all()


def test_greedy_own_text_is_what_the_target_writes_step_by_step(target: LlamaForCausalLM) -> None:
    openings = np.stack([document[:5] for document in random_documents(3)])
    text = continue_texts(target, openings, 10, Sampling(temperature=0), [0], torch.Generator())
    expected = openings.astype(np.int64)
    for _ in range(text.shape[1] - 5):
        best = run(target, expected)[1][:, -1].argmax(1)
        expected = np.concatenate((expected, best.numpy()[:, None]), 1)
    np.testing.assert_array_equal(text, expected)


def test_truncated_own_text_stays_among_the_survivors(target: LlamaForCausalLM) -> None:
    own = write_own_text(target, random_documents(40), [Sampling(temperature=0.7, top_p=0.5)], 8, 200, [0], batch=20)
    for document, opening in zip(own.documents, own.openings, strict=True):
        logits = run(target, document[None].astype(np.int64))[1][0]
        p = (logits.double() / 0.7).softmax(1)
        for place in range(opening, len(document)):
            likelier = p[place - 1][p[place - 1] > p[place - 1, int(document[place])]]
            assert likelier.sum() < 0.5 + 1e-6


def test_own_text_survives_a_file(target: LlamaForCausalLM, tmp_path: Path) -> None:
    samplings = [Sampling(temperature=1.0, top_p=1.0), Sampling()]
    own = write_own_text(target, random_documents(30), samplings, 6, 100, [0], batch=10)
    own.save(tmp_path / "own.npz")
    again = OwnText.load(tmp_path / "own.npz")
    assert all(np.array_equal(a, b) for a, b in zip(own.documents, again.documents, strict=True))
    np.testing.assert_array_equal(own.openings, again.openings)
    np.testing.assert_array_equal(own.sources, again.sources)
    assert set(np.round(again.top_p, 3)) == {np.float32(1.0), np.float32(0.9)}
    with pytest.raises(InputError, match="own text"):
        OwnText.load(tmp_path / "nowhere.npz")
    assert_damage_is_told(tmp_path / "own.npz", OwnText.load)


def test_documents_take_turns_to_begin_a_text_and_texts_fit_the_context(target: LlamaForCausalLM) -> None:
    documents = [np.full(40, number + 5, np.uint16) for number in range(12)]
    own = write_own_text(target, documents, [Sampling()], 100, 1, [0], batch=5)
    more = write_own_text(target, documents, [Sampling()], 100, 300, [0], batch=5)
    assert len(set(own.sources)) == 5
    for document, source in zip(more.documents, more.sources, strict=True):
        assert len(document) <= CONTEXT
        assert document[0] == document[1] == source + 5
    counts = np.bincount(more.sources, minlength=12)
    assert counts.max() - counts.min() <= 1
    with pytest.raises(InputError, match="none of 12 documents is longer"):
        write_own_text(target, [document[:2] for document in documents], [Sampling()], 5, 10, [0])


@pytest.mark.parametrize("count", [0, 1, 2])
def test_own_text_ends_where_the_target_says(target: LlamaForCausalLM, count: int) -> None:
    def written(ends: list[int]) -> list[np.ndarray]:
        wild = Sampling(temperature=1.0, top_p=1.0)
        own = write_own_text(target, random_documents(30), [wild], 20, 400, ends, batch=30)
        return [document[opening:] for document, opening in zip(own.documents, own.openings, strict=True)]

    ends = np.bincount(np.concatenate(written([]))).argsort()[::-1][:count].tolist()
    texts = written(ends)
    assert all(not np.isin(text[:-1], ends).any() for text in texts)
    assert any(np.isin(text, ends).any() for text in texts) == bool(ends)


@pytest.fixture(scope="module")
def soft_targets(target: LlamaForCausalLM) -> SoftTargets:
    return ask_teacher(target, random_documents(24), top=16, batch_tokens=100)


def test_teacher_sees_each_document_from_its_beginning(target: LlamaForCausalLM, soft_targets: SoftTargets) -> None:
    for start, length in zip(soft_targets.starts, soft_targets.lengths, strict=True):
        place = slice(start, start + length)
        log_p = run(target, soft_targets.ids[place][None].astype(np.int64))[1][0].log_softmax(1)
        top = torch.from_numpy(soft_targets.top_ids[place].astype(np.int64))
        expected = torch.from_numpy(soft_targets.top_log_p[place].astype(np.float32))
        torch.testing.assert_close(log_p.gather(1, top), expected, atol=0.01, rtol=0.01)


def test_batches_carry_the_targets_of_their_tokens(soft_targets: SoftTargets) -> None:
    batch = next(batches(soft_targets, rows=3, width=40, random=np.random.default_rng(0)))
    assert batch.ids.shape == (3, 40)
    assert batch.top_ids.shape == (3, 40, 16)
    row = batch.inside[0]
    starts = [s for s in soft_targets.starts if soft_targets.ids[s] == batch.ids[0, 0]]
    matches = [np.array_equal(soft_targets.top_ids[s], batch.top_ids[0, 0].numpy()) for s in starts]
    assert row[0]
    assert any(matches)


@pytest.mark.slow
def test_distillation_brings_the_draft_to_the_target(
    target: LlamaForCausalLM, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda model: model)
    documents = random_documents(60)
    targets, dev = ask_teacher(target, documents), ask_teacher(target, random_documents(10, seed=1))
    settings = RunSettings(tokens=30_000, minutes=5, batch_tokens=256, peak=3e-3)

    def divergence(model: LlamaForCausalLM) -> float:
        logits = run(model, dev.ids[None, : dev.lengths[0]].astype(np.int64))[1][0]
        place = slice(0, int(dev.lengths[0]))
        top_ids = torch.from_numpy(dev.top_ids[place].astype(np.int64))
        return float(loss_terms(logits, top_ids, torch.from_numpy(dev.top_log_p[place].astype(np.float32)))[0].mean())

    torch.manual_seed(0)
    before = divergence(draft_like(target, SMALL).requires_grad_(False))
    distil(target, tokenizer, targets, dev, SMALL, settings, tmp_path, width=40, evaluations=1)
    after = divergence(load_model(tmp_path))
    assert after < 0.8 * before
