"""Whether a model can be served: by what it says about itself, and by trying.

The cache needs a model that remembers nothing but keys and values, and that takes positions and a mask from outside.
Architectures that say otherwise are refused by name; all others must show it on a few tokens.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import torch
from transformers import PreTrainedModel

from cloud_target.engine.hf import packed
from shared.errors import InputError

if TYPE_CHECKING:
    from cloud_target.engine.hf.engine import TargetEngine

_TRIMMABLE = {"full_attention", "sliding_attention"}
# Largest mean total variation distance of next-token distributions with and without the cache.
_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.05}


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
        _refuse(model, "it is an encoder and a decoder")
    if "position_ids" not in inspect.signature(model.forward).parameters:
        _refuse(model, "it counts positions by itself")
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    usual = getattr(config, "original_max_position_embeddings", None) or rope.get("original_max_position_embeddings")
    if rope.get("rope_type", rope.get("type")) == "longrope" and usual and context > usual:
        _refuse(
            model,
            f"beyond {usual} tokens it turns positions in another way, so texts of one pass would disturb each other; "
            f"give --context {usual}",
        )


def settle(engine: TargetEngine) -> bool:
    """How the model runs: packed if it can (returns True), else padded.

    Raises:
        InputError: either way it says something else with the cache than without any, or fails.
    """
    model, usual = engine.model, engine.model.config._attn_implementation
    count = min(12, engine.context)
    tokens = [(7 * i + 1) % engine.description.vocabulary for i in range(count)]
    try:
        with torch.inference_mode():
            alone = model(input_ids=torch.tensor([tokens], device=engine.device), use_cache=False).logits[0].float()
    except Exception as error:
        _refuse(model, f"it does not run ({type(error).__name__}: {error})")
    if usual == "sdpa" and getattr(model, "_supports_attention_backend", False):
        engine.packs = True
        model.set_attn_implementation(packed.NAME)
        if _trouble(engine, tokens, alone) is None:
            return True
        model.set_attn_implementation(usual)
    engine.packs = False
    if (trouble := _trouble(engine, tokens, alone)) is not None:
        _refuse(model, trouble)
    return False


def _trouble(engine: TargetEngine, tokens: list[int], alone: torch.Tensor) -> str | None:
    """Why the engine may not run as it is set now, None if it may."""
    try:
        cached = _read_with_detours(engine, tokens)
    except InputError:
        raise
    except Exception as error:
        return f"it does not run with a cache of ours ({type(error).__name__}: {error})"
    finally:
        for slot in (0, 1):
            engine.trim(slot)
    alone = alone[:, : engine.description.vocabulary]
    distance = 0.5 * (alone.softmax(-1) - cached.softmax(-1)).abs().sum(-1).mean().item()
    if not distance <= _TOLERANCE.get(engine.model.dtype, 0.1):
        return f"it says something else with a cache than without (distance {distance:.3f})"
    # A window is longer than these few tokens, so only what the model asks for shows that its layers have one.
    if engine.packs and engine.windows != engine.expected_windows:
        return "its layers do not say how far they look back"
    return None


def _read_with_detours(engine: TargetEngine, tokens: list[int]) -> torch.Tensor:
    """Read a text in two chunks, with a wrong turn that is cut back, and another text beside it; its logits."""
    half = len(tokens) // 2
    wrong = [tokens[-1]] * (len(tokens) - half)
    begin = engine.run([(1, 0, tokens[:half] + wrong)], [len(tokens)])[:half]
    if engine.capacity < 2 * engine.block:
        return torch.cat((begin, engine.run([(1, half, tokens[half:])], [len(tokens) - half])))
    texts = [(0, 0, tokens[: half + 1]), (1, half, tokens[half:])]
    return torch.cat((begin, engine.run(texts, [0, len(tokens) - half])))


def _refuse(model: PreTrainedModel, why: str) -> None:
    raise InputError(f"{type(model).__name__} cannot be a target: {why}; choose a plain attention model")
