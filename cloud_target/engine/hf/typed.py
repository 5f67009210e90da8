"""What transformers can do but its types do not say: load with a report, move a model, give its embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

Model = TypeVar("Model", bound=nn.Module)


def from_pretrained(
    source: str | Path, config: PretrainedConfig, dtype: torch.dtype, attention: str
) -> tuple[PreTrainedModel, list[str]]:
    """A causal language model, and the names of its weights that the checkpoint lacks: those are filled with noise.

    Args:
        source: a directory or a Hugging Face id.
        config: of the model.
        dtype: of its weights.
        attention: transformers' name for how attention is computed, such as "sdpa".
    """
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        source, config=config, dtype=dtype, attn_implementation=attention, output_loading_info=True
    )
    model, report = loaded
    return model, sorted(report["missing_keys"])


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
