"""What `cloud-target train` and `cloud-target evaluate` are asked to do, as values that the command line fills."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, is_dataclass
from typing import Any, TypeVar, get_type_hints

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class RunSettings:
    """How long and how fast to train, shared by pretraining and distillation."""

    tokens: int
    minutes: float
    batch_tokens: int = 8192
    peak: float = 3e-3
    window: int = 256
    long_share: float = 0.2
    seed: int = 0
    device: str = "cpu"


@dataclass(frozen=True)
class Sizes:
    """Of a model; None for the pocket model's."""

    hidden: int | None
    layers: int | None
    feed_forward: int | None
    kv_heads: int | None


@dataclass(frozen=True)
class TokenizerSettings:
    """Of `train tokenizer`.

    Attributes:
        corpus: text files.
        out: the directory for tokenizer.json.
        vocabulary: number of tokens.
        context: longest text of the models, in tokens.
    """

    corpus: tuple[str, ...]
    out: str
    vocabulary: int
    context: int


@dataclass(frozen=True)
class ErrandsSettings:
    """Of `train errands`.

    Attributes:
        documents: how many dialogues.
        out: the corpus file.
        seed: of everything random.
    """

    documents: int
    out: str
    seed: int


@dataclass(frozen=True)
class TargetSettings:
    """Of `train target`.

    Attributes:
        corpus, dev: text files, to train on and held out.
        tokenizer: a directory with tokenizer.json.
        start: a checkpoint to go on from, None for fresh weights.
        out: the directory for the model.
        sizes: of the model, where its weights are fresh.
        training: how long and how fast.
    """

    corpus: tuple[str, ...]
    dev: tuple[str, ...]
    tokenizer: str
    start: str | None
    out: str
    sizes: Sizes
    training: RunSettings


@dataclass(frozen=True)
class OwnTextSettings:
    """Of `train own-text`.

    Attributes:
        corpus: text files whose documents are begun and continued.
        target: directory of its checkpoint.
        out: the file for the texts.
        run_length: most tokens of a text.
        batch: texts at once.
        tokens, minutes: to stop after, whichever comes first.
        seed: of everything random.
        device: that the target runs on.
    """

    corpus: tuple[str, ...]
    target: str
    out: str
    run_length: int
    batch: int
    tokens: int
    minutes: float
    seed: int
    device: str


@dataclass(frozen=True)
class DraftSettings:
    """Of `train draft`.

    Attributes:
        corpus, dev: text files, to train on and held out.
        target: directory of its checkpoint.
        own_text: files that `train own-text` made.
        out: the directory for the draft.
        corpus_tokens: of the corpus, to ask the target about.
        sizes: of the draft.
        training: how long and how fast; its device is the target's, too.
    """

    corpus: tuple[str, ...]
    dev: tuple[str, ...]
    target: str
    own_text: tuple[str, ...]
    out: str
    corpus_tokens: int
    sizes: Sizes
    training: RunSettings


@dataclass(frozen=True)
class CardSettings:
    """Of `train card`.

    Attributes:
        name: of the pair.
        target, draft: directories of their checkpoints.
        evaluation, report: files that `evaluate --json` and `prepare` made.
        out: the file for the card.
    """

    name: str
    target: str
    draft: str
    evaluation: str
    report: str
    out: str


@dataclass(frozen=True)
class EvaluateSettings:
    """Of `evaluate`.

    Attributes:
        target: directory of its checkpoint.
        draft: directory of its checkpoint, or its draft.onnx.
        dev: held-out text files.
        documents: of each file, at most.
        seed: of everything random.
        json: the file for the numbers, if wanted.
    """

    target: str
    draft: str
    dev: tuple[str, ...]
    documents: int
    seed: int
    json: str | None


def read_settings(kind: type[Settings], arguments: argparse.Namespace) -> Settings:
    """The settings of a command: each from the argument of its name, or its default where there is no such argument."""
    values: dict[str, Any] = {}
    for name, hint in get_type_hints(kind).items():
        if is_dataclass(hint) and isinstance(hint, type):
            values[name] = read_settings(hint, arguments)
        elif hasattr(arguments, name):
            value = getattr(arguments, name)
            values[name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)
