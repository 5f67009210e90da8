"""Loading a causal model, and running it over whole documents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from cloud_target.engine.files import refuse_adapter
from cloud_target.engine.hf.context import name_length
from cloud_target.engine.hf.reading import one_sentence, read_model
from cloud_target.engine.hf.trial import fuse
from cloud_target.engine.hf.typed import move
from cloud_target.engine.tokens import read_tokens
from shared.errors import InputError


def load_model(directory: str | Path, device: str = "cpu") -> PreTrainedModel:
    """The model of a directory in float32, ready to be read, not trained.

    Raises:
        InputError: there is no model that can be loaded as it was meant.
    """
    refuse_adapter(path := _existing(directory))
    model = read_model(path, torch.float32, "eager").requires_grad_(False)
    name_length(model, directory)
    with one_sentence(f"the model of {directory} does not run"):
        model = move(model, device).eval()
        fuse(model)
    return model


def load_model_tokenizer(directory: str | Path) -> Tokenizer:
    """The tokenizer beside a model, as transformers has it.

    Raises:
        InputError: there is none that can be used.
    """
    return read_tokens(_existing(directory)).tokenizer


def run(
    model: PreTrainedModel, ids: np.ndarray | torch.Tensor, chosen: np.ndarray | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states after the final norm ``[b, n, hidden]`` and logits ``[b, n, vocabulary]``, float32.

    Documents are padded at their end only, so causal attention needs no mask.

    Args:
        chosen: the tokens that are asked about, ``bool [b, n]``: then it is ``[m, hidden]`` and ``[m, vocabulary]`` of
            those, in order, and the head's product, a large part of the work, is spared for the others.
    """
    ids = torch.as_tensor(ids, device=model.device)
    heard: list[torch.Tensor] = []
    # What the output head is given is the hidden state, whatever the model does with its product afterwards.
    marks = None if chosen is None else torch.from_numpy(chosen).to(model.device)

    def hear(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        heard.append(inputs[0] if marks is None else inputs[0][marks][None])
        return (heard[-1], *inputs[1:])

    hook = model.get_output_embeddings().register_forward_pre_hook(hear)
    try:
        logits = model(input_ids=ids, use_cache=False).logits
    finally:
        hook.remove()
    hidden, logits = heard[-1].float(), logits.float()
    return (hidden, logits) if marks is None else (hidden[0], logits[0])


def _existing(directory: str | Path) -> Path:
    """A misspelt directory would be taken for a Hugging Face id.

    Raises:
        InputError: there is none.
    """
    path = Path(directory).expanduser()
    if not path.is_dir():
        raise InputError(f"there is no directory {directory}; give a model's")
    return path
