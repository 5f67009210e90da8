"""A model with fewer layers: where an architecture has them, what it says without some, and one that lacks them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from cloud_target.engine.hf.context import longest_text
from cloud_target.engine.hf.reading import one_sentence
from cloud_target.engine.hf.switches import LEAST, trial_length
from cloud_target.engine.hf.trial import TOLERANCE, alone, distance, trial_text
from cloud_target.engine.hf.typed import move, token_embeddings
from shared.errors import InputError

# Words in the names of what a configuration lists layer by layer: `layer_types`, `no_rope_layers`, `layers_block_type`.
_LISTED = ("layer", "block")


class Layers:
    """The layers of a model, any of which can be passed by.

    Args:
        model: a decoder whose layers are one `ModuleList`.

    Raises:
        InputError: its layers are not to be found, or it does not run.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.path, self._modules = _find(model)
        self._several = [0] * len(self._modules)
        hooks = [module.register_forward_hook(self._hear(i)) for i, module in enumerate(self._modules)]
        try:
            with one_sentence(f"{type(model).__name__} cannot be cut: it does not run"), torch.inference_mode():
                model(input_ids=torch.zeros((1, 2), dtype=torch.int64, device=model.device), use_cache=False)
        finally:
            for hook in hooks:
                hook.remove()

    def __len__(self) -> int:
        return len(self._modules)

    def _hear(self, index: int) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_: nn.Module, __: object, output: object) -> None:
            self._several[index] = len(output) if isinstance(output, tuple) else 0

        return hook

    @contextmanager
    def without(self, gone: Collection[int]) -> Iterator[None]:
        """For the length of a `with` block each of these layers hands on what it is given."""
        try:
            for index in gone:
                # An attribute of the object, found before the method of its class.
                self._modules[index].__dict__["forward"] = _handing_on(self._several[index])
            yield
        finally:
            for index in gone:
                self._modules[index].__dict__.pop("forward", None)

    def keep(self, kept: Sequence[int]) -> PreTrainedModel:
        """A model of its own that has these layers only, in their order, with copies of the weights.

        Raises:
            InputError: it would compute something else than the whole model that passes the others by.
        """
        name = type(self.model).__name__
        config = _config_of(self.model.config, len(self), kept)
        with one_sentence(f"{name} cannot be cut to {len(kept)} layers"):
            made: PreTrainedModel = type(self.model)(config)
            made.load_state_dict(_renumbered(self.model.state_dict(), self.path, kept))
        made.tie_weights()
        move(made, self.model.device).eval().requires_grad_(False)
        text, rows = self._trial(), token_embeddings(self.model).shape[0]
        with one_sentence(f"{name} cannot be cut to {len(kept)} layers"):
            found = alone(made, text, rows)
            with self.without([index for index in range(len(self)) if index not in kept]):
                truth = alone(self.model, text, rows)
        if not distance(found, truth) <= TOLERANCE.get(self.model.dtype, 0.05):
            raise InputError(
                f"{name} cannot be cut: its layers compute something else where others are missing, so what is left "
                "is not what was measured; give a smaller model of the family with --from"
            )
        return made

    def _trial(self) -> list[int]:
        context, model = longest_text(self.model.config) or LEAST, self.model
        length = trial_length(model.config, context, model.num_parameters(), model.device)
        return trial_text(length, token_embeddings(model).shape[0])


def _find(model: PreTrainedModel) -> tuple[str, nn.ModuleList]:
    """The layers, and what their list is called in the model."""
    count = getattr(model.config.get_text_config(), "num_hidden_layers", None)
    lists = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.ModuleList) and len(m) == count]
    # A list inside a layer (of experts, say) may be as long.
    lists = [(name, m) for name, m in lists if not any(name.startswith(f"{other}.") for other, _ in lists)]
    if len(lists) != 1:
        raise InputError(
            f"{type(model).__name__} cannot be cut: it has {len(lists)} lists of {count} layers where one is looked "
            "for; give a smaller model of the family with --from"
        )
    return lists[0]


def _handing_on(several: int) -> Callable[..., Any]:
    """The forward pass of a layer that does nothing; it answers with as many things as the layer did, or with one."""

    def forward(hidden_states: torch.Tensor, *_: object, **__: object) -> object:
        return (hidden_states, *[None] * (several - 1)) if several else hidden_states

    return forward


def _config_of(config: PretrainedConfig, count: int, kept: Sequence[int]) -> PretrainedConfig:
    """The configuration of a model with the kept ones of `count` layers; what it lists layer by layer is cut along."""
    config = copy.deepcopy(config)
    text = config.get_text_config()
    for name, value in list(vars(text).items()):
        listed = isinstance(value, list | tuple) and len(value) == count
        if listed and any(word in name for word in _LISTED):
            setattr(text, name, [value[index] for index in kept])
    text.num_hidden_layers = len(kept)
    return config


def _renumbered(weights: dict[str, torch.Tensor], path: str, kept: Sequence[int]) -> dict[str, torch.Tensor]:
    """The weights of the kept layers under their new numbers, and all that are of no layer."""
    numbers = {str(old): str(new) for new, old in enumerate(kept)}
    found = {}
    for name, weight in weights.items():
        if not name.startswith(f"{path}."):
            found[name] = weight
            continue
        number, rest = name.removeprefix(f"{path}.").split(".", 1)
        if number in numbers:
            found[f"{path}.{numbers[number]}.{rest}"] = weight
    return found
