"""A narrower model is the wide one where nothing was lost, and what is lost is what adds least."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from benchmarks.architectures import ARCHITECTURES, VOCABULARY, save
from cloud_target.distil.anatomy import Sizes, anatomy_of, check_hidden
from cloud_target.distil.directions import find_width
from cloud_target.distil.width import Width, narrow
from cloud_target.engine.hf.reading import read_model
from shared.errors import InputError

HIDDEN, NARROW = 64, 32
TEXT = np.random.default_rng(0).integers(0, VOCABULARY, (6, 40))
EXACT = (
    "Llama",
    "Llama, padded vocabulary",
    "Llama, tied, with biases, wide heads",
    "Llama, one key-value head",
    "Mistral, sliding window",
    "Qwen2",
    "Qwen2, sliding window",
    "Qwen3",
    "Qwen3, mixed windows",
    "SmolLM3 (some layers without positions)",
    "Phi-3, sliding window",
    "Phi-3, longrope",
    "Phi-3, partly rotated",
    "GPT-2",
    "GPT-2, scores divided by layer",
    "GPT-2, other activation",
)
GEMMA = ("Gemma 3", "Gemma 3, two ropes")


def built(name: str, seed: int = 0) -> PreTrainedModel:
    """One of that architecture, with weights of its own for each seed."""
    model = next(architecture for architecture in ARCHITECTURES if architecture.name == name).build()
    if model is None:
        pytest.skip("this version of transformers has no such architecture")
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1 + 0.3 * torch.randn(weight.shape, generator=random))
    return model.requires_grad_(False)


def gains_alike(model: PreTrainedModel) -> None:
    """Of all norms behind a block of a Gemma 3."""
    for layer in model.model.layers:
        for norm in (layer.post_attention_layernorm, layer.post_feedforward_layernorm):
            norm.weight.fill_(0.3)


@torch.inference_mode()
def logits(model: PreTrainedModel) -> torch.Tensor:
    return model(input_ids=torch.from_numpy(TEXT), use_cache=False).logits


def assert_same(found: PreTrainedModel, model: PreTrainedModel, tolerance: float = 1e-5) -> None:
    """Within float32's error, by the spread of the logits."""
    truth = logits(model)
    assert float((logits(found) - truth).abs().max() / truth.std()) < tolerance * 20


@settings(max_examples=len(EXACT))
@given(name=st.sampled_from(EXACT), seed=st.integers(0, 2**31))
def test_a_model_that_is_turned_and_keeps_all_computes_what_it_did(name: str, seed: int) -> None:
    model = built(name, seed)
    before = logits(model)
    width = find_width(model, TEXT, HIDDEN)
    turned = narrow(model, width)
    assert not np.allclose(width.directions, np.eye(HIDDEN), atol=0.1)
    assert not turned.config.tie_word_embeddings
    assert_same(turned, model)
    assert torch.equal(logits(model), before)  # as it was


@pytest.mark.parametrize("name", GEMMA)
def test_norms_behind_a_block_keep_the_direction_and_where_their_gains_are_alike_the_length(name: str) -> None:
    model = built(name)
    turned = narrow(model, find_width(model, TEXT, HIDDEN))
    truth = logits(model)
    assert float((logits(turned) - truth).pow(2).mean().sqrt() / truth.std()) < 0.1
    gains_alike(model)
    assert_same(narrow(model, find_width(model, TEXT, HIDDEN)), model)


def idle(model: PreTrainedModel, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Let a model use only so much of its stream, heads and neurons as a narrow one has; which of the latter two."""
    random = np.random.default_rng(seed)
    anatomy, sizes = anatomy_of(model.config), Sizes.of(model.config)
    kept = sizes.narrowed(NARROW)
    # No mean, so that it is no matter whether a norm takes it away.
    some = random.normal(size=(sizes.hidden, NARROW - 1))
    basis = np.linalg.qr(some - some.mean(0))[0]
    onto = torch.from_numpy(basis @ basis.T).float()
    for name in anatomy.embeddings:
        table = model.get_submodule(name).weight
        table.copy_(table @ onto)
    layers = model.get_submodule(anatomy.layers)
    chosen: list[tuple[list[int], list[int]]] = []
    for layer in layers:
        groups = sorted(random.choice(sizes.groups, kept.groups, replace=False).tolist())
        neurons = sorted(random.choice(sizes.neurons, kept.neurons, replace=False).tolist())
        chosen.append((groups, neurons))
        for branch, ours, count in (
            (anatomy.attention, groups, sizes.groups),
            (anatomy.feed_forward, neurons, sizes.neurons),
        ):
            writer = layer.get_submodule(branch.writer)
            used = torch.zeros(count)
            used[ours] = 1
            inputs = writer.weight.shape[0 if anatomy.transposed else 1]
            used = used.repeat_interleave(inputs // count)
            if anatomy.transposed:
                # A mean, that the next norm takes away, is no use either.
                writer.weight.copy_(used[:, None] * writer.weight @ onto + 2 * (1 - used[:, None]))
            else:
                writer.weight.copy_(onto @ writer.weight * used)
            if getattr(writer, "bias", None) is not None:
                writer.bias.copy_(onto @ writer.bias)
    return np.array([groups for groups, _ in chosen]), np.array([neurons for _, neurons in chosen])


@settings(max_examples=len(EXACT))
@given(name=st.sampled_from([*EXACT, *GEMMA]), seed=st.integers(0, 2**31))
def test_what_is_left_out_is_what_is_not_used_and_the_norms_make_up_for_the_width(name: str, seed: int) -> None:
    model = built(name, seed)
    if name in GEMMA:
        gains_alike(model)
    groups, neurons = idle(model, seed)
    width = find_width(model, TEXT, NARROW)
    assert np.array_equal(width.groups, groups)
    assert np.array_equal(width.neurons, neurons)
    made = narrow(model, width)
    assert made.config.hidden_size == NARROW
    assert_same(made, model, 1e-4)


def test_what_is_kept_carries_most_and_is_read_as_long_as_it_was() -> None:
    model = built("Llama")
    width = find_width(model, TEXT, NARROW)
    made = narrow(model, width)
    heard: dict[str, torch.Tensor] = {}

    def hear(model: PreTrainedModel, name: str) -> None:
        norm: nn.Module = model.model.layers[0].input_layernorm
        norm.register_forward_hook(lambda _, given, answer: heard.update({name: answer, f"{name} given": given[0]}))

    hear(model, "wide")
    hear(made, "narrow")
    logits(model)
    logits(made)
    x = heard["wide given"] * heard["wide given"].pow(2).mean(-1, keepdim=True).rsqrt()
    read = x @ torch.from_numpy(width.directions)
    assert float(heard["narrow"].pow(2).mean()) == pytest.approx(float(read.pow(2).mean()), rel=1e-3)
    others = np.linalg.qr(np.random.default_rng(0).normal(size=(HIDDEN, NARROW)))[0]
    assert read.pow(2).sum() > (x @ torch.from_numpy(others).float()).pow(2).sum()


@pytest.mark.slow
@pytest.mark.parametrize("name", [*EXACT, *GEMMA])
def test_a_narrow_model_is_read_as_it_was_written(name: str, tmp_path: Path) -> None:
    save(built(name), tmp_path / "wide")
    model = read_model(tmp_path / "wide", torch.float32, "eager").eval()
    find_width(model, TEXT, NARROW).save(tmp_path / "width.npz")
    made = narrow(model, Width.load(tmp_path / "width.npz"))
    save(made, tmp_path / "draft")
    again = read_model(tmp_path / "draft", torch.float32, "eager").eval()
    torch.testing.assert_close(logits(again), logits(made), atol=1e-4, rtol=1e-4)
    assert made.num_parameters() < model.num_parameters()


@given(groups=st.integers(1, 16), shared=st.integers(1, 8), neurons=st.integers(1, 4096), share=st.floats(0.01, 1))
def test_sizes_shrink_in_proportion_and_never_to_nothing(groups: int, shared: int, neurons: int, share: float) -> None:
    sizes = Sizes(1024, groups * shared, groups, 64, neurons)
    hidden = max(1, round(share * 1024))
    made = sizes.narrowed(hidden)
    assert (made.hidden, made.head, made.heads) == (hidden, 64, made.groups * shared)
    assert groups * hidden / 1024 <= made.groups < groups * hidden / 1024 + 1
    assert made.neurons == neurons or neurons * hidden / 1024 <= made.neurons < neurons * hidden / 1024 + 33
    assert sizes.narrowed(1024) == sizes


@pytest.mark.parametrize(
    ("name", "hidden", "why"),
    [
        ("Llama", 64, "is 64 numbers wide, of which a draft can keep from 1 to 63, not 64"),
        ("GPT-2", 40, "can be 16 numbers wide or a multiple of that, not 40"),
        ("Phi-3, longrope", 40, "can be 32 numbers wide or a multiple of that, not 40"),
        ("OLMo2", 32, "a olmo2 cannot be made narrower, only a llama, .* or gpt2 can; cut it with --layers"),
        ("Cohere (logit scale)", 32, "cannot be made narrower"),
    ],
)
def test_what_cannot_be_narrowed_is_refused_in_a_sentence(name: str, hidden: int, why: str) -> None:
    config: PretrainedConfig = built(name).config
    with pytest.raises(InputError, match=why) as refusal:
        check_hidden(config, hidden, "the target")
    assert "\n" not in str(refusal.value)


def test_weights_that_nobody_knows_are_refused_by_name() -> None:
    model = built("Llama")
    width = find_width(model, TEXT, NARROW)
    model.model.layers[1].gate = nn.Linear(HIDDEN, 1)
    with pytest.raises(InputError, match=r"nobody knows how to narrow \(model.layers.1.gate.bias\); cut it with"):
        narrow(model, width)
