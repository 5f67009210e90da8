"""Loading a causal model, and running it over whole documents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, PreTrainedModel

from cloud_target.engine.hf.typed import move
from cloud_target.engine.tokens import read_tokens
from shared.errors import InputError


def load_model(directory: str | Path, device: str = "cpu") -> PreTrainedModel:
    """The model of a directory in float32, ready to be read, not trained.

    Raises:
        InputError: there is no model that transformers can load.
    """
    try:
        model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, local_files_only=True)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot load a model from {directory}: {error}") from error
    return move(model, device).eval().requires_grad_(False)


def load_model_tokenizer(directory: str | Path) -> Tokenizer:
    """The tokenizer beside a model, as transformers has it."""
    return read_tokens(directory).tokenizer


def run(model: PreTrainedModel, ids: np.ndarray | torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states after the final norm ``[b, n, hidden]`` and logits ``[b, n, vocabulary]``, float32.

    Documents are padded at their end only, so causal attention needs no mask.
    """
    ids = torch.as_tensor(ids, device=model.device)
    heard: list[torch.Tensor] = []
    # What the output head is given is the hidden state, whatever the model does with its product afterwards.
    hook = model.get_output_embeddings().register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0]))
    try:
        logits = model(input_ids=ids, use_cache=False).logits
    finally:
        hook.remove()
    return heard[-1].float(), logits.float()
