"""How much memory long computations take: as much as one piece of the work needs, however much there is of it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from cloud_target.training import label as labelling
from cloud_target.training import own_text, verifier
from cloud_target.training.label import Rows, label
from cloud_target.training.models import run
from cloud_target.training.own_text import bearable_texts, write_own_text
from cloud_target.training.steps import CheckpointSteps
from cloud_target.training.verifier import FitSettings, fit
from shared.config import Sampling
from tests.cloud_target.training.made_up import made_up_rows
from tests.cloud_target.training.test_distil import random_documents

WAYS = [Sampling(), Sampling(temperature=0.0), Sampling(temperature=1.0, top_p=1.0)]


def wide_rows(documents: int, hidden: int = 512) -> Rows:
    rows = made_up_rows(documents, 50, seed=0)
    return Rows(np.tile(rows.features, (1, hidden // rows.features.shape[1])), *list(vars(rows).values())[1:])


def most_traced(work: Any) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_head_is_fitted_without_a_copy_of_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = wide_rows(200)
    monkeypatch.setattr(verifier, "_AT_ONCE", 256)
    larger: list[int] = []
    # torch's memory is not traced: no tensor that a step is made with may be as large as the rows, either.
    forward = torch.nn.Linear.forward
    monkeypatch.setattr(torch.nn.Linear, "forward", lambda self, x: (larger.append(x.numel() * 4), forward(self, x))[1])
    taken = most_traced(lambda: fit(rows, FitSettings(units=8, epochs=1, batch=256)))
    assert rows.features.nbytes > 1 << 24
    assert max(taken, *larger) < rows.features.nbytes * 0.6


def test_rows_are_gathered_in_the_place_of_one_copy() -> None:
    part = wide_rows(50)

    def parts() -> Iterator[Rows]:
        for _ in range(8):
            yield part.where(np.arange(len(part)))

    joined: list[Rows] = []
    taken = most_traced(lambda: joined.append(Rows.gather(parts(), 8 * len(part))))
    assert taken < 1.5 * joined[0].features.nbytes
    np.testing.assert_array_equal(joined[0].features, Rows.join([part] * 8).features)
    np.testing.assert_array_equal(joined[0].nll, Rows.join([part] * 8).nll)


def test_no_parts_are_no_rows_of_none() -> None:
    with pytest.raises(ValueError, match="concatenate"):
        Rows.gather([], 0)


def test_logits_are_scored_in_pieces_and_say_the_same(
    draft: LlamaForCausalLM, target: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents, starts = random_documents(5), [1, 4, 2, 3, 7]

    def labelled() -> Rows:
        return label(CheckpointSteps(draft), target, documents, [WAYS] * 5, starts, seed=3, batch_tokens=64)

    whole, sizes, score = labelled(), [], labelling.score
    monkeypatch.setattr(labelling, "bearable_tokens", lambda *_: 3)
    monkeypatch.setattr(labelling, "score", lambda logits, rows: (sizes.append(len(logits)), score(logits, rows))[1])
    pieces = labelled()
    assert max(sizes) == 3
    for name, array in vars(whole).items():
        close = np.testing.assert_allclose if array.dtype == np.float32 else np.testing.assert_array_equal
        close(getattr(pieces, name), array, **({"rtol": 1e-4, "atol": 1e-5} if array.dtype == np.float32 else {}))


def test_only_what_is_asked_about_goes_through_the_head(target: LlamaForCausalLM) -> None:
    ids = np.arange(24).reshape(2, 12) + 3
    chosen = np.zeros((2, 12), bool)
    chosen[0, 5:9], chosen[1, :2] = True, True
    heard: list[int] = []
    hook = target.get_output_embeddings().register_forward_hook(lambda _, __, logits: heard.append(logits.shape[1]))
    with torch.inference_mode():
        hidden, logits = run(target, ids)
        some = run(target, ids, chosen)
    hook.remove()
    assert heard == [12, 6]
    torch.testing.assert_close(some[0], hidden[torch.from_numpy(chosen)])
    torch.testing.assert_close(some[1], logits[torch.from_numpy(chosen)])


def test_fewer_texts_are_written_at_once_than_keys_and_values_have_room_for(
    target: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = target.config
    size = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * 4
    monkeypatch.setattr(own_text, "_KEPT", {"cpu": 5 * size * (4 + 8)})
    assert bearable_texts(target, 12) == 5
    assert bearable_texts(target, 10**9) == 1
    batches: list[int] = []
    write = own_text.continue_texts
    monkeypatch.setattr(
        own_text, "continue_texts", lambda model, rows, *rest: (batches.append(len(rows)), write(model, rows, *rest))[1]
    )
    write_own_text(target, random_documents(30), [Sampling()], 8, 60, [], longest_opening=4, batch=16)
    assert max(batches) == 5
