"""What transformers can do but its types do not say: load with a report, move a model, give its embeddings."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

Model = TypeVar("Model", bound=nn.Module)


# Buffers that older versions saved among the weights; what they hold follows from the configuration.
_BUFFERS = re.compile(r"(inv_freq|\.attn\.(masked_)?bias|\.attention\.(masked_)?bias)$")


@dataclass(frozen=True)
class Loaded:
    """A model, and where the checkpoint is not it.

    Attributes:
        model: as read.
        missing: its weights that the checkpoint lacks: those are filled with noise.
        unexpected: weights of the checkpoint that it has no place for.
    """

    model: PreTrainedModel
    missing: list[str]
    unexpected: list[str]


def from_pretrained(source: str | Path, config: PretrainedConfig, dtype: torch.dtype, attention: str) -> Loaded:
    """A causal language model. Code that lies beside a checkpoint is not run, and nobody is asked whether to.

    Args:
        source: a directory or a Hugging Face id.
        config: of the model.
        dtype: of its weights.
        attention: transformers' name for how attention is computed, such as "sdpa".
    """
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        source,
        config=config,
        dtype=dtype,
        attn_implementation=attention,
        output_loading_info=True,
        trust_remote_code=False,
    )
    model, report = loaded
    unexpected = [name for name in report["unexpected_keys"] if not _BUFFERS.search(name)]
    return Loaded(model, sorted(report["missing_keys"]), sorted(unexpected))


def move(model: Model, device: torch.device | str) -> Model:
    """The same model, now on `device`; transformers' decorator hides that its `to` is a method."""
    model.to(device)
    return model


def token_embeddings(model: PreTrainedModel) -> torch.Tensor:
    """The table of token embeddings, ``[rows, hidden]``."""
    weight = model.get_input_embeddings().weight
    if not isinstance(weight, torch.Tensor):
        raise TypeError(f"the token embeddings of a {type(model).__name__} are no table")
    return weight


def cache_argument(model: PreTrainedModel) -> str | None:
    """What this version of transformers calls the cache when it runs a model; None if the model takes none."""
    takes = inspect.signature(model.forward).parameters
    return next((name for name in ("cache", "past_key_values") if name in takes), None)


def only_logits(model: PreTrainedModel, which: int | torch.Tensor) -> dict[str, Any]:
    """What to run a model with so that it works out the logits of these positions only; nothing if it takes no such.

    Args:
        which: how many of the last ones, 0 for all; or their indices.
    """
    keeps: bool = _keeps_logits(type(model))  # type: ignore[arg-type]  # classes can be hashed, whatever theirs can
    return {"logits_to_keep": which} if keeps else {}


@cache  # asked at each pass
def _keeps_logits(kind: type[PreTrainedModel]) -> bool:
    return "logits_to_keep" in inspect.signature(kind.forward).parameters
