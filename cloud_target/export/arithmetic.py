"""A model of torch that computes in float32, whatever its weights are kept in; or with those of a quantised graph.

Weights are widened a module at a time, while it runs, so that all of them are never there twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from cloud_target.export.packing import Packing
from cloud_target.export.precision import Precision

_ROWS = 4096
# What is one matrix of queries, keys and values in the hand-built graphs.
_ATTENTION = ("q_proj", "k_proj", "v_proj", "c_attn")


@contextmanager
def in_float32(model: PreTrainedModel, stored: Precision | None = None) -> Iterator[None]:
    """While it lasts, every module computes in float32.

    Args:
        stored: weights are rounded to what `quantise` makes of them, as they are used; None leaves them what they are.
    """
    head = model.get_output_embeddings()
    is_tied = model.config.tie_word_embeddings
    with ExitStack() as stack:
        for name, module in model.named_modules():
            if isinstance(module, nn.Embedding):
                is_head = is_tied and module is model.get_input_embeddings()
                packing = (stored.of_head if is_head else stored.of_lookups) if stored else None
                if packing or module.weight.dtype != torch.float32:
                    stack.callback(module.register_forward_hook(_looking_up(packing)).remove)
                continue
            packing = None
            if stored and isinstance(module, nn.Linear | Conv1D):
                is_attention = name.rpartition(".")[2] in _ATTENTION
                body = stored.of_attention if is_attention else stored.of_body
                packing = stored.of_head if module is head else body
            if packing or any(one.dtype != torch.float32 for one in module.parameters(recurse=False)):
                widened = _Widened(packing)
                stack.callback(module.register_forward_pre_hook(widened.widen).remove)
                stack.callback(module.register_forward_hook(widened.restore, always_call=True).remove)
        yield


class _Widened:
    """What the parameters of a module were, while it runs."""

    def __init__(self, packing: Packing | None) -> None:
        self._packing = packing
        self._kept: list[tuple[nn.Parameter, torch.Tensor]] = []

    def widen(self, module: nn.Module, inputs: object) -> None:
        for name, parameter in module.named_parameters(recurse=False):
            self._kept.append((parameter, parameter.data))
            wide = parameter.data.float()
            if name == "weight" and self._packing:
                is_turned = isinstance(module, Conv1D)
                wide = _round(wide.T if is_turned else wide, self._packing)
                wide = wide.T if is_turned else wide
            parameter.data = wide

    def restore(self, module: nn.Module, inputs: object, output: object) -> None:
        for parameter, data in self._kept:
            parameter.data = data
        self._kept.clear()


def _looking_up(packing: Packing | None) -> Callable[[nn.Module, object, torch.Tensor], torch.Tensor]:
    def hook(module: nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor:
        wide = output.float()
        return _round(wide.reshape(-1, wide.shape[-1]), packing).reshape(wide.shape) if packing else wide

    return hook


def _round(rows: torch.Tensor, packing: Packing) -> torch.Tensor:
    found = np.empty(rows.shape, np.float32)
    for first in range(0, len(rows), _ROWS):
        found[first : first + _ROWS] = packing.rounded(rows[first : first + _ROWS].numpy())
    return torch.from_numpy(found)


@contextmanager
def cut_to(model: PreTrainedModel, layers: int | None) -> Iterator[PreTrainedModel]:
    """While it lasts, the model has its first so many layers only; None for all."""
    base = model.base_model
    name = "h" if hasattr(base, "h") else "layers"
    if layers is None:
        yield model
        return
    whole, count = getattr(base, name), model.config.num_hidden_layers
    setattr(base, name, whole[:layers])
    model.config.num_hidden_layers = layers
    try:
        yield model
    finally:
        setattr(base, name, whole)
        model.config.num_hidden_layers = count
