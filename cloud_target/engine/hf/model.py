"""Loading a target: the embedded one, a local directory, or a Hugging Face id."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from cloud_target.engine.files import (
    POCKET,
    find_directory,
    target_fingerprint,
    vocabulary_size,
)
from cloud_target.engine.hf.cpu import guard_bfloat16
from cloud_target.engine.hf.reading import read_model
from cloud_target.engine.hf.typed import move, token_embeddings
from cloud_target.engine.interface import Description
from cloud_target.engine.tokens import read_tokens
from shared.errors import InputError
from shared.identity import tokenizer_fingerprint
from shared.rounding import REPEATABLE

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class LoadedTarget:
    """A target ready to be made an engine.

    Attributes:
        model: in evaluation mode, on its device.
        tokenizer: its fast tokenizer.
        description: who it is.
    """

    model: PreTrainedModel
    tokenizer: Tokenizer
    description: Description


def load_target(name: str = POCKET, device: str = "auto", dtype: str | None = None) -> LoadedTarget:
    """Load a causal language model and its tokenizer.

    Args:
        name: "pocket", a directory, or a Hugging Face id.
        device: "auto", "cpu" or "cuda".
        dtype: "float32", "bfloat16" or "float16"; None as in `choose_dtype`.

    Raises:
        InputError: nothing there, nothing to be had from the hub, no such device, or files that do not belong together.
    """
    place = choose_device(device)
    dtype = choose_dtype(dtype, place)
    directory = find_directory(name)
    source = str(directory) if Path(name).expanduser().is_dir() or name == POCKET else name
    tokenizer = read_tokens(source).tokenizer
    model = move(read_model(source, DTYPES[dtype], "sdpa"), place).eval()
    vocabulary, rows = vocabulary_size(tokenizer), token_embeddings(model).shape[0]
    if vocabulary > rows:
        raise InputError(
            f"the tokenizer of {name} has {vocabulary} ids and the model knows only {rows}, so they do not belong "
            "together; get both from the same place"
        )
    if DTYPES[dtype] is not torch.float32:
        give_float32_logits(model)
    shown = "pocket-target" if name == POCKET else directory.resolve().name if source == str(directory) else name
    fingerprints = target_fingerprint(directory), tokenizer_fingerprint(tokenizer)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    # In fewer digits every twentieth token is close, so there a text hangs on the company that it is read in.
    repeatable = dtype == REPEATABLE
    who = Description(shown, *fingerprints, vocabulary, dtype, place.type, parameters, repeatable)
    return LoadedTarget(model, tokenizer, who)


def choose_device(device: str = "auto") -> torch.device:
    """The device that "auto", "cpu" or "cuda" means here.

    Raises:
        InputError: CUDA is asked for and absent.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("PyTorch finds no CUDA device here; use --device cpu, or install a CUDA build of PyTorch")
    return torch.device(device)


def choose_dtype(dtype: str | None, place: torch.device) -> str:
    """The arithmetic of a target's forward pass: what is asked for, or float32 on a CPU and bfloat16 on CUDA."""
    dtype = dtype or (REPEATABLE if place.type == "cpu" else "bfloat16")
    if place.type == "cpu" and dtype == "bfloat16":
        guard_bfloat16()
    return dtype


class _Float32Head(nn.Module):
    """The last linear layer with float32 results: in 8 bits of mantissa the best tokens would tie."""

    def __init__(self, head: nn.Linear) -> None:
        super().__init__()
        self.on_cuda = head.weight.is_cuda
        self.weight = nn.Parameter(head.weight if self.on_cuda else head.weight.float(), requires_grad=False)
        self.bias = None if head.bias is None else nn.Parameter(head.bias.float(), requires_grad=False)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        if not self.on_cuda:
            return F.linear(hidden.float(), self.weight, self.bias)
        logits = torch.mm(hidden.flatten(0, -2), self.weight.t(), out_dtype=torch.float32).unflatten(
            0, hidden.shape[:-1]
        )
        return logits if self.bias is None else logits + self.bias


def give_float32_logits(model: PreTrainedModel) -> None:
    """Let a model of fewer digits, on its device, give its logits in float32."""
    head = model.get_output_embeddings()
    if type(head) is nn.Linear:
        model.set_output_embeddings(_Float32Head(head))
