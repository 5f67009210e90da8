"""Whether a model can be served: by what it says about itself, and by trying.

The slot cache needs a model that remembers nothing but keys and values, and that takes positions and a mask from
outside. Architectures that say otherwise are refused by name; all others must show it on a few tokens.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import torch
from transformers import PreTrainedModel

from shared.errors import InputError

if TYPE_CHECKING:
    from cloud_target.engine.engine import TargetEngine

_TRIMMABLE = {"full_attention", "sliding_attention"}
# Largest mean total variation distance of next-token distributions with and without the cache.
_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.05}


def refuse_unfit(model: PreTrainedModel) -> None:
    """Refuse models whose memory cannot be cut back to an earlier position.

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


def refuse_unlike(engine: TargetEngine) -> None:
    """Refuse a model that says something else with the slot cache than without any.

    Raises:
        InputError: it does, or it fails.
    """
    count = min(12, engine.context)
    tokens = [(7 * i + 1) % engine.description.vocabulary for i in range(count)]
    try:
        with torch.inference_mode():
            ids = torch.tensor([tokens], device=engine.device)
            alone = engine.model(input_ids=ids, use_cache=False).logits[0, :, : engine.description.vocabulary].float()
            cached = _read_with_detours(engine, tokens)
    except InputError:
        raise
    except Exception as error:
        _refuse(engine.model, f"it does not run with a cache of ours ({type(error).__name__}: {error})")
    distance = 0.5 * (alone.softmax(-1) - cached.softmax(-1)).abs().sum(-1).mean().item()
    if not distance <= _TOLERANCE.get(engine.model.dtype, 0.1):
        _refuse(engine.model, f"it says something else with a cache than without (distance {distance:.3f})")


def _read_with_detours(engine: TargetEngine, tokens: list[int]) -> torch.Tensor:
    """Read a text in two parts, with a wrong turn that is cut back, and another text beside it; its logits."""
    half, last = len(tokens) // 2, engine.slots - 1
    wrong = [tokens[-1]] * (len(tokens) - half)
    begin = engine.run([(last, 0, tokens[:half] + wrong)], [len(tokens)])[:half]
    texts, keep = [(last, half, tokens[half:])], [len(tokens) - half]
    if last:
        texts, keep = [(0, 0, tokens[: half + 1]), *texts], [0, *keep]
    return torch.cat((begin, engine.run(texts, keep)))


def _refuse(model: PreTrainedModel, why: str) -> None:
    raise InputError(f"{type(model).__name__} cannot be a target: {why}; choose a plain attention model")
