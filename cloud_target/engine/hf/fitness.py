"""Whether a model can be served: by what it says about itself, and by trying.

The cache needs a model that remembers nothing but keys and values, and that takes positions and a mask from outside.
Architectures that say otherwise are refused by name; all others must show it on a few tokens.
"""

from __future__ import annotations

import inspect
from typing import NoReturn

import torch
from transformers import PreTrainedModel

from cloud_target.engine.hf import packed
from cloud_target.engine.hf.cache import StoreCache
from cloud_target.engine.hf.passes import PackedPasses, PaddedPasses, Passes
from shared.errors import InputError

# Kinds of layers whose memory can be cut back.
_TRIMMABLE = {"full_attention", "sliding_attention"}
# Largest mean total variation distance of next-token distributions with and without the cache.
_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.05}
# Tokens that a model is tried with.
_TRIAL = 12


def refuse_unfit(model: PreTrainedModel, context: int) -> None:
    """Refuse models whose memory cannot be cut back to an earlier position, or whose texts are not their own.

    Raises:
        InputError: with the reason.
    """
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ()) - _TRIMMABLE
    if getattr(model, "_is_stateful", False):
        _refuse(model, "it keeps a recurrent state, which cannot be cut back to an earlier position")
    if kinds:
        _refuse(model, f"it has layers of kind {', '.join(sorted(kinds))}, whose memory cannot be cut back")
    if config.is_encoder_decoder:
        _refuse(model, "it is an encoder-decoder model")
    if "position_ids" not in inspect.signature(model.forward).parameters:
        _refuse(model, "it counts positions by itself")
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    usual = getattr(config, "original_max_position_embeddings", None) or rope.get("original_max_position_embeddings")
    if rope.get("rope_type", rope.get("type")) == "longrope" and usual and context > usual:
        _refuse(
            model,
            f"beyond {usual} tokens it rotates positions in another way, so texts of one pass would disturb each "
            f"other; give --context {usual}",
        )


def choose_passes(model: PreTrainedModel, cache: StoreCache, vocabulary: int, context: int) -> Passes:
    """The first way to run the model that computes what it computes without a cache: packed if it can, else padded.

    Args:
        model: its attention is set to what the passes need.
        cache: empty; it is empty afterwards.
        vocabulary: ids are below it.
        context: longest text in tokens.

    Raises:
        InputError: either way it says something else with the cache than without any, or fails.
    """
    usual = model.config._attn_implementation
    tokens = [(7 * i + 1) % vocabulary for i in range(min(_TRIAL, context))]
    try:
        with torch.inference_mode():
            alone = model(input_ids=torch.tensor([tokens], device=model.device), use_cache=False).logits[0].float()
    except Exception as error:
        _refuse(model, f"it does not run ({type(error).__name__}: {error})")
    passes: Passes
    if usual == "sdpa" and getattr(model, "_supports_attention_backend", False):
        model.set_attn_implementation(packed.NAME)
        passes = PackedPasses(model, cache, vocabulary, context)
        if _trouble(passes, tokens, alone) is None:
            return passes
        model.set_attn_implementation(usual)
    passes = PaddedPasses(model, cache, vocabulary)
    if (trouble := _trouble(passes, tokens, alone)) is not None:
        _refuse(model, trouble)
    return passes


def _trouble(passes: Passes, tokens: list[int], alone: torch.Tensor) -> str | None:
    """Why the model may not run in this way, None if it may."""
    try:
        cached = _read_with_detours(passes, tokens)
    except InputError:
        raise
    except Exception as error:
        return f"it does not run with a cache of ours ({type(error).__name__}: {error})"
    finally:
        for slot in (0, 1):
            passes.trim(slot)
    alone = alone[:, : passes.vocabulary]
    distance = 0.5 * (alone.softmax(-1) - cached.softmax(-1)).abs().sum(-1).mean().item()
    if not distance <= _TOLERANCE.get(passes.model.dtype, 0.1):
        return f"it computes something else with a cache than without (distance {distance:.3f})"
    return passes.doubt()


def _read_with_detours(passes: Passes, tokens: list[int]) -> torch.Tensor:
    """Read a text in two chunks, with a wrong turn that is cut back, and another text beside it; its logits."""
    half = len(tokens) // 2
    wrong = [tokens[-1]] * (len(tokens) - half)
    begin = passes.run([(1, 0, tokens[:half] + wrong)], [len(tokens)])[:half]
    if passes.store.capacity < 2 * passes.store.block:
        return torch.cat((begin, passes.run([(1, half, tokens[half:])], [len(tokens) - half])))
    texts = [(0, 0, tokens[: half + 1]), (1, half, tokens[half:])]
    return torch.cat((begin, passes.run(texts, [0, len(tokens) - half])))


def _refuse(model: PreTrainedModel, why: str) -> NoReturn:
    raise InputError(f"{type(model).__name__} cannot be a target: {why}; choose a plain attention model")
