"""The pair: who draft and target are, checked against each other before anything heavy is done."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch
from tokenizers import Tokenizer

from cloud_target.engine.files import POCKET, POCKET_DIRECTORY, find_directory, target_fingerprint, vocabulary_size
from cloud_target.engine.hf.context import name_length
from cloud_target.engine.hf.fitness import refuse_unfit
from cloud_target.engine.hf.model import DTYPES, choose_device, choose_dtype, give_float32_logits
from cloud_target.engine.hf.reading import one_sentence
from cloud_target.engine.hf.trial import fuse
from cloud_target.engine.hf.typed import move
from cloud_target.export.bundle import Target, draft_tokenizer, identify_target, refuse_changes
from cloud_target.export.checkpoint import Checkpoint, check_same_tokens, load_checkpoint, load_checkpoint_tokens
from cloud_target.export.draft import is_bundle
from cloud_target.prepare.settings import Settings
from cloud_target.training.conversations import Frame
from shared.errors import InputError, first_line
from shared.identity import file_digest
from shared.manifest import read_manifest
from shared.rounding import REPEATABLE


class Pair:
    """A draft and a target that share their tokens. The target's weights are loaded when they are first needed.

    Attributes:
        tokens: of the target.
        tokenizer: its own, which the edge will use: the text is the target's, and so is how a prompt is read.
        vocabulary: number of token ids.
        target_dtype: of the target's forward pass.
        draft_is_bundle: whether the draft's graph exists already.

    Raises:
        InputError: one of them cannot be read, their tokens differ, or there is no such device.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._device = _device(settings.device)
        self.target_dtype = choose_dtype(settings.target_dtype, self._device)
        self.draft_is_bundle = is_bundle(settings.draft)
        if self.draft_is_bundle:
            refuse_changes(dtype=settings.dtype, kind=settings.kind, context=settings.context)
        self._target = str(POCKET_DIRECTORY) if settings.target == POCKET else settings.target
        self.tokens = load_checkpoint_tokens(self._target)
        self.tokenizer: Tokenizer = self.tokens.tokenizer
        check_same_tokens(draft_tokenizer(settings.draft), self.tokenizer)
        self.vocabulary = vocabulary_size(self.tokenizer)

    @cached_property
    def target(self) -> Checkpoint:
        """The target's model, on the device asked for."""
        checkpoint = load_checkpoint(self._target, dtype=DTYPES[self.target_dtype])
        refuse_unfit(checkpoint.model)
        name_length(checkpoint.model, self._settings.target)
        with one_sentence(f"{self._settings.target} cannot be a target"):
            move(checkpoint.model, self._device)
            if self.target_dtype != REPEATABLE:
                give_float32_logits(checkpoint.model)
            fuse(checkpoint.model)
        return checkpoint

    def release(self) -> None:
        """Give the target's weights back; they are loaded again if they are needed again."""
        vars(self).pop("target", None)

    @cached_property
    def frame(self) -> Frame:
        """What the target's chat template writes around a user's turn."""
        return Frame.of(self.tokens, self.target.end_ids)

    @cached_property
    def identity(self) -> Target:
        """The target as its server would name it."""
        if _is_hub_id(self._target):
            _ = self.target  # loading brings the weights here, and the fingerprint needs them
        return replace(identify_target(self._settings.target), dtype=self.target_dtype)

    @cached_property
    def target_key(self) -> dict[str, str]:
        """Everything about the target that its text and its judgement follow from."""
        fingerprint = self.identity.fingerprint
        settings = _settings_digest(find_directory(self._target))
        return {"target": fingerprint, "target's settings": settings, "target's dtype": self.target_dtype}

    @cached_property
    def draft_key(self) -> dict[str, str]:
        """Everything about the draft that its graph follows from."""
        tokens = {"tokenizer": hashlib.sha256(self.tokenizer.to_str().encode()).hexdigest()}
        draft = self._settings.draft
        if self.draft_is_bundle:
            return tokens | {"draft": read_manifest(Path(draft).expanduser()).digests["draft.onnx"]}
        if _is_hub_id(draft):
            load_checkpoint(draft)  # as above
        directory = find_directory(draft)
        return tokens | {"draft": target_fingerprint(directory), "draft's settings": _settings_digest(directory)}


def _device(name: str) -> torch.device:
    try:
        device = choose_device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch has no narrower ones
        raise InputError(f"there is no device {name} here ({first_line(error)}); use --device cpu") from error
    return device


def _is_hub_id(source: str) -> bool:
    return not Path(source).expanduser().is_dir()


def _settings_digest(directory: Path) -> str:
    """Of the files that say how a model begins and ends its texts, which its fingerprint leaves out."""
    names = (
        "config.json",
        "generation_config.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "chat_template.json",
    )
    paths = [directory / name for name in names]
    return hashlib.sha256("".join(file_digest(path) for path in paths if path.is_file()).encode()).hexdigest()
