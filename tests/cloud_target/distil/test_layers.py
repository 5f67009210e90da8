"""A model with fewer layers is the whole one in which the others do nothing: transformers itself says so."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedModel

from benchmarks.architectures import ARCHITECTURES, save
from cloud_target.distil.layers import Layers
from cloud_target.engine.hf.reading import read_model
from shared.errors import InputError
from tests.cloud_target.distil.conftest import LAYERS, build

TEXT = torch.tensor([[(17 + 31 * i * i) % 300 for i in range(80)]])
NAMES = (
    "Llama",
    "Llama, padded vocabulary",
    "GPT-2",
    "Qwen2",
    "Qwen2, sliding window",
    "Qwen3",
    "Qwen3, mixed windows",
    "Gemma 3",
    "Gemma 3, two ropes",
    "Phi-3, sliding window",
    "Phi-3, longrope",
    "SmolLM3 (some layers without positions)",
)


def built(name: str) -> PreTrainedModel:
    model = next(architecture for architecture in ARCHITECTURES if architecture.name == name).build()
    if model is None:
        pytest.skip("this version of transformers has no such architecture")
    return model


@torch.inference_mode()
def skipping(model: PreTrainedModel, gone: Iterable[int]) -> torch.Tensor:
    """The logits of a model in which hooks let layers answer with what they were given: nothing of ours has a part."""
    layers = model.transformer.h if hasattr(model, "transformer") else model.model.layers

    def give_back(_: object, given: tuple, named: dict, output: object) -> object:
        hidden = given[0] if given else named["hidden_states"]
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    hooks = [layers[i].register_forward_hook(give_back, with_kwargs=True) for i in gone]
    try:
        return model(input_ids=TEXT, use_cache=False).logits
    finally:
        for hook in hooks:
            hook.remove()


@torch.inference_mode()
def logits(model: PreTrainedModel) -> torch.Tensor:
    return model(input_ids=TEXT, use_cache=False).logits


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_cut_model_is_the_whole_one_without_those_layers_and_so_is_its_checkpoint(name: str, tmp_path: Path) -> None:
    save(built(name), tmp_path / "whole")
    whole = read_model(tmp_path / "whole", torch.float32, "eager").eval()
    layers = Layers(whole)
    before = logits(whole)
    for kept in ([1], [0, 2], [1, 2]):
        truth = skipping(whole, set(range(3)) - set(kept))
        cut = layers.keep(kept)
        torch.testing.assert_close(logits(cut), truth, atol=1e-4, rtol=1e-4)
        with layers.without(set(range(3)) - set(kept)):
            torch.testing.assert_close(logits(whole), truth, atol=1e-4, rtol=1e-4)
        assert cut.config.get_text_config().num_hidden_layers == len(kept)
        save(cut, tmp_path / "cut")
        again = read_model(tmp_path / "cut", torch.float32, "eager").eval()
        torch.testing.assert_close(logits(again), truth, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(logits(whole), before)  # as it was


def test_what_is_listed_layer_by_layer_is_cut_along() -> None:
    whole = built("Gemma 3")
    kinds = whole.config.get_text_config().layer_types
    assert len(set(kinds)) == 2
    for kept in ([0, 2], [1]):
        cut = Layers(whole).keep(kept)
        assert cut.config.get_text_config().layer_types == [kinds[index] for index in kept]
    assert whole.config.get_text_config().layer_types == kinds


@given(kept=st.sets(st.integers(0, LAYERS - 1), min_size=1))
def test_any_layers_can_be_kept_in_their_order(kept: set[int]) -> None:
    whole = build()
    cut = Layers(whole).keep(sorted(kept))
    torch.testing.assert_close(logits(cut), skipping(whole, set(range(LAYERS)) - kept), atol=1e-4, rtol=1e-4)
    for new, old in enumerate(sorted(kept)):
        ours, theirs = cut.model.layers[new], whole.model.layers[old]
        assert ours.self_attn.layer_idx == new
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(a, b)
            assert a is not b


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("GPT-2, scores divided by layer", "compute something else where others are missing"),
        ("T5 (encoder-decoder)", "3 lists of 3 layers"),
        ("Jamba", "cannot be cut to 2 layers"),
    ],
)
def test_what_cannot_be_cut_is_refused_in_a_sentence(name: str, why: str, tmp_path: Path) -> None:
    model = built(name)
    if "GPT-2" in name:  # as it is read, with the attention that obeys that setting
        save(model, tmp_path)
        model = read_model(tmp_path, torch.float32, "eager").eval()
    with pytest.raises(InputError, match=why) as refusal:
        Layers(model).keep([0, 2])
    assert "\n" not in str(refusal.value)
