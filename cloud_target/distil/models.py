"""The two models of a run: the target, and what the draft is made from; each read when it is first needed."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from cloud_target.distil.anatomy import check_hidden
from cloud_target.distil.layers import Layers
from cloud_target.distil.settings import Settings
from cloud_target.distil.width import Width, narrow
from cloud_target.engine.files import (
    POCKET,
    POCKET_DIRECTORY,
    find_directory,
    read_config,
    target_fingerprint,
    vocabulary_size,
)
from cloud_target.engine.hf.configuration import read_configuration
from cloud_target.engine.hf.context import longest_text, name_length
from cloud_target.engine.hf.fitness import refuse_unfit
from cloud_target.engine.hf.model import DTYPES, choose_device
from cloud_target.engine.hf.reading import one_sentence, read_model
from cloud_target.engine.hf.trial import fuse
from cloud_target.engine.hf.typed import move
from cloud_target.engine.tokens import Tokens
from cloud_target.export.checkpoint import check_same_tokens, cut_vocabulary, load_checkpoint_tokens
from cloud_target.export.endings import end_ids
from shared.errors import InputError, first_line

# Of a target that is cut, and nobody says how far.
_SHARE = 1 / 3


class Models:
    """A target, and the checkpoint that the draft begins as.

    Attributes:
        tokens: of the target.
        vocabulary: number of token ids.
        layers, hidden: of the draft; None if it keeps all.
        context: longest text of both, tokens.

    Raises:
        InputError: one of them cannot be read, their tokens differ, there are no such layers, or no such device.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings, self._device, self.hidden = settings, _device(settings.device), settings.hidden
        self._target = str(POCKET_DIRECTORY) if settings.target == POCKET else settings.target
        self._start = settings.start or self._target
        self.tokens: Tokens = load_checkpoint_tokens(self._target)
        self.vocabulary = vocabulary_size(self.tokens.tokenizer)
        if settings.start:
            check_same_tokens(load_checkpoint_tokens(settings.start).tokenizer, self.tokens.tokenizer)
        with one_sentence(f"the configuration of {self._start} cannot be read"):
            configs = [read_configuration(source) for source in (self._target, self._start)]
        self.layers = _kept(settings, getattr(configs[1].get_text_config(), "num_hidden_layers", None))
        if settings.hidden is not None:
            check_hidden(configs[1], settings.hidden, self._start)
        self.context = min(longest_text(config) or self.vocabulary for config in configs)

    @property
    def tokenizer(self) -> Tokenizer:
        """Of both."""
        return self.tokens.tokenizer

    @cached_property
    def target(self) -> PreTrainedModel:
        """The target, float32, with a logit for each token and no more."""
        model = self._read(self._target)
        refuse_unfit(model)
        name_length(model, self._settings.target)
        cut_vocabulary(model, self.vocabulary)
        with one_sentence(f"{self._settings.target} cannot be a target"):
            fuse(model)
        return model

    @cached_property
    def ends(self) -> list[int]:
        """Tokens that end the target's texts."""
        return end_ids((self.target.generation_config, self.target.config), self.tokenizer)

    def start(self) -> PreTrainedModel:
        """What the draft is made from, whole, float32, with eager attention."""
        return self._read(self._start)

    def cut(self, kept: tuple[int, ...] | None) -> PreTrainedModel:
        """What the draft is made from with these layers only, or all.

        Raises:
            InputError: it has no logit for some tokens, or cannot be cut.
        """
        model = self.start()
        if (rows := model.get_output_embeddings().weight.shape[0]) < self.vocabulary:
            raise InputError(
                f"{self._start} knows {rows} tokens, and its tokenizer has {self.vocabulary}; get both from one place"
            )
        return model if kept is None else Layers(model).keep(kept)

    def draft(self, kept: tuple[int, ...] | None, width: Width | None = None) -> PreTrainedModel:
        """The draft before it learns: these layers of what it is made from, or all, so narrow, or as wide as it is; in
        evaluation mode, and so without dropout, for what it knows already."""
        model = self.cut(kept)
        if width:
            model = narrow(model, width)
        with one_sentence(f"{self._start} cannot be a draft"):
            fuse(model)
        return model

    def identity(self) -> dict[str, Any]:
        """Both by the bytes of their weights, for what determines a run."""
        named = {"--target": self._target} | ({"--from": self._start} if self._settings.start else {})
        return {option: target_fingerprint(self._files(source)) for option, source in named.items()}

    @property
    def files(self) -> Path:
        """The directory of the checkpoint that the draft begins as."""
        return self._files(self._start)

    @property
    def dtype(self) -> torch.dtype:
        """What the weights of that checkpoint are kept in, and so the draft's: the type its configuration names."""
        config = read_config(self.files)
        return DTYPES.get(str(config.get("dtype") or config.get("torch_dtype")), torch.float32)

    def drop_target(self) -> None:
        """The target is needed no more; its memory is."""
        self.__dict__.pop("target", None)

    def _read(self, source: str) -> PreTrainedModel:
        model = read_model(source, torch.float32, "eager").requires_grad_(False)
        with one_sentence(f"the model of {source} does not run"):
            return move(model, self._device).eval()

    def _files(self, source: str) -> Path:
        if not Path(source).expanduser().is_dir() and source == self._target:
            _ = self.target  # loading brings the weights here
        elif not Path(source).expanduser().is_dir():
            self.start()
        return find_directory(source)


def _kept(settings: Settings, count: int | None) -> int | None:
    """How many of `count` layers the draft keeps.

    Raises:
        InputError: there are no so many, or it would be the target itself.
    """
    if settings.layers is None and (settings.start or settings.hidden):
        return None
    source = settings.start or settings.target
    if count is None:
        raise InputError(f"the configuration of {source} does not say how many layers it has; take another model")
    if settings.layers is None:
        return max(1, round(_SHARE * count))
    if settings.layers >= count:
        allowed = f"from 1 to {count - 1}" if count > 1 else "no fewer"
        raise InputError(f"{source} has {count} layers, of which a draft can keep {allowed}, not {settings.layers}")
    return settings.layers


def _device(name: str) -> torch.device:
    try:
        device = choose_device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch has no narrower ones
        raise InputError(f"there is no device {name} here ({first_line(error)}); use --device cpu") from error
    return device
