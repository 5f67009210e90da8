"""The verifier's rows say what the two serving sides would have said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from transformers import LlamaForCausalLM

from cloud_target.export.graph import shared_buffer_graph
from cloud_target.training.evaluate import DevText, agreement, as_table
from cloud_target.training.label import Rows, label
from cloud_target.training.models import load_model_tokenizer, run
from cloud_target.training.steps import CheckpointSteps, open_steps
from shared import noise
from shared.config import TYPICAL_DELTA, TYPICAL_EPS, Sampling
from shared.draw import OUTSIDERS
from shared.errors import InputError
from shared.features import NAMES, SCALARS
from tests.cloud_target.training.conftest import CONTEXT, assert_damage_is_told
from tests.cloud_target.training.test_distil import random_documents
from tests.shared.test_repetition import plain_repeats

SAMPLINGS = [
    Sampling(temperature=0.0),
    Sampling(temperature=0.7, top_p=0.9),
    Sampling(temperature=1.0, top_p=1.0),
    Sampling(temperature=0.8, top_k=5, top_p=1.0),
]
STARTS = [1, 4, 2, 3]


def truncated(logits: np.ndarray, sampling: Sampling) -> np.ndarray:
    """The distribution after truncation, over the whole vocabulary, the slow and plain way."""
    order = np.lexsort((np.arange(len(logits)), -logits))
    if sampling.temperature == 0:
        order, scaled = order[:1], np.zeros(1)
    else:
        order = order[: sampling.top_k or len(order)]
        scaled = np.exp((logits[order].astype(float) - logits.max()) / sampling.temperature)
        scaled /= scaled.sum()
        survivors = int((scaled.cumsum() < sampling.top_p).sum()) + 1
        order, scaled = order[:survivors], scaled[:survivors]
    p = np.zeros(len(logits))
    p[order] = scaled / scaled.sum() if sampling.temperature else 1.0
    return p


def choose(p: np.ndarray, seed: int, position: int) -> int:
    ids = np.flatnonzero(p)
    return int(ids[np.argmax(np.log(p[ids]) + noise.gumbel(noise.key(seed, position), ids))])


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=lambda s: f"T{s.temperature}")
def test_rows_equal_brute_force(draft: LlamaForCausalLM, target: LlamaForCausalLM, sampling: Sampling) -> None:
    documents = random_documents(4)
    rows = label(CheckpointSteps(draft), target, documents, [[sampling]] * 4, STARTS, first_document=10, seed=3)
    assert len(rows) == sum(len(document) - start for document, start in zip(documents, STARTS, strict=True))
    for index, document in enumerate(documents):
        own = rows.where(rows.document == 10 + index)
        assert own.position.tolist() == list(range(STARTS[index], len(document)))
        ids = document[None].astype(np.int64)
        q_logits, p_logits = (run(model, ids)[1][0].numpy() for model in (draft, target))
        seed = 3 * 1_000_003 + (10 + index) * 16
        for row, position in enumerate(own.position.tolist()):
            x = choose(truncated(q_logits[position - 1], sampling), seed, position)
            y = choose(truncated(p_logits[position - 1], sampling), seed, position)
            log_p1 = torch.from_numpy(p_logits[position - 1]).double().log_softmax(0).numpy()
            entropy = -(np.exp(log_p1) * log_p1).sum()
            assert own.off_strict[row] == (x != y)
            assert own.token[row] == x
            if sampling.temperature:
                survivors = int((truncated(q_logits[position - 1], sampling) > 0).sum())
                order = np.argsort(-q_logits[position - 1], kind="stable")[: survivors + OUTSIDERS]
                running = np.zeros(len(log_p1))
                running[order] = np.exp(q_logits[position - 1][order].astype(float) / sampling.temperature)
                running[x] = 0
                assert own.second[row] == choose(running, seed, position)
            else:
                assert own.second[row] == np.argsort(-q_logits[position - 1], kind="stable")[1]
            assert own.unlikely[row] == (np.exp(log_p1[x]) < min(TYPICAL_EPS, TYPICAL_DELTA * np.exp(-entropy)))
            assert own.repeating[row] == plain_repeats([*document[:position].tolist(), x])
            assert own.off_typical[row] == (x != y and (own.unlikely[row] or own.repeating[row]))
            assert own.nll[row] == pytest.approx(-log_p1[x], abs=1e-4)
            assert own.own_nll[row] == pytest.approx(-log_p1[y], abs=1e-4)
            log_q1 = torch.from_numpy(q_logits[position - 1]).double().log_softmax(0).numpy()
            assert own.features[row, NAMES.index("log_probability")] == pytest.approx(log_q1[x], abs=1e-4)
            assert own.features[row, NAMES.index("entropy")] == pytest.approx(
                -(np.exp(log_q1) * log_q1).sum(), abs=1e-4
            )
            assert own.features[row, NAMES.index("temperature")] == pytest.approx(sampling.temperature)


def test_a_draft_that_is_the_target_is_never_off_target(target: LlamaForCausalLM) -> None:
    rows = label(CheckpointSteps(target), target, random_documents(3), [[Sampling(), Sampling(temperature=0)]] * 3)
    assert not rows.off_strict.any()
    assert rows.tv.max() < 1e-3
    np.testing.assert_allclose(rows.nll, rows.own_nll)


def test_graph_and_checkpoint_give_the_same_rows(
    draft: LlamaForCausalLM, target: LlamaForCausalLM, tmp_path: Path
) -> None:
    onnx.save(shared_buffer_graph(draft, CONTEXT).whole(), tmp_path / "draft.onnx")
    graph = open_steps(tmp_path / "draft.onnx", CONTEXT)
    documents = random_documents(5)
    first, second = (label(steps, target, documents, [[Sampling()]] * 5) for steps in (graph, CheckpointSteps(draft)))
    assert first.features.shape[1] == SCALARS + 64
    np.testing.assert_allclose(first.features, second.features, atol=2e-3)
    np.testing.assert_array_equal(first.off_strict, second.off_strict)


def test_a_missing_draft_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no graph"):
        open_steps(tmp_path / "draft.onnx", CONTEXT)
    with pytest.raises(InputError, match="there is no directory"):
        open_steps(tmp_path / "draft", CONTEXT)


def test_a_missing_tokenizer_is_refused_before_a_hub_is_asked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no directory"):
        load_model_tokenizer(tmp_path / "tokenizer")


def test_rows_survive_a_file_and_are_summed_up(
    draft: LlamaForCausalLM, target: LlamaForCausalLM, tmp_path: Path
) -> None:
    documents = random_documents(4)
    rows = label(CheckpointSteps(draft), target, documents, [[Sampling()]] * 4)
    parts = [rows.where(rows.document < 2), rows.where(rows.document >= 2)]
    texts = [DevText("a.txt", "documents", 0.7, 0.9), DevText("b.txt", "documents", 0.7, 0.9)]
    for number, part in enumerate(parts):
        part.save(tmp_path / f"{number}.npz")
    lines = agreement([(text, Rows.load(tmp_path / f"{number}.npz")) for number, text in enumerate(texts)])
    pooled, mean = lines[2:]
    assert pooled["tokens"] == len(rows)
    assert pooled["agreement"] == pytest.approx(1 - rows.off_strict.mean(), abs=1e-4)
    expected = np.mean([1 - part.off_strict.mean() for part in parts])
    assert mean["agreement"] == pytest.approx(expected, abs=2e-4)
    assert as_table(lines).count("\n") == len(lines) + 1
    with pytest.raises(InputError, match="rows"):
        Rows.load(tmp_path / "nowhere.npz")
    assert_damage_is_told(tmp_path / "0.npz", Rows.load)
