"""Reading a checkpoint for export: the model, its tokenizer, and what the two must agree on."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import PreTrainedModel

from cloud_target.engine import hub
from cloud_target.engine.files import find_directory, read_config, refuse_adapter, vocabulary_size
from cloud_target.engine.hf.reading import read_model
from cloud_target.engine.settings import POCKET
from cloud_target.engine.tokens import Tokens, read_tokens
from cloud_target.export.endings import end_ids
from cloud_target.export.stored import weights_dtype
from shared.errors import InputError, first_line
from shared.reading import difference


@dataclass(frozen=True)
class Checkpoint:
    """A causal language model with its tokenizer.

    Attributes:
        name: the last part of the directory or of the hub id.
        model: on the CPU, in evaluation mode, in the dtype that was asked for; its head has one row for each id of the
            tokenizer.
        tokens: its tokenizer, which is that of the target it is paired with too, and its chat template.
        end_ids: tokens that end a text.
    """

    name: str
    model: PreTrainedModel
    tokens: Tokens
    end_ids: list[int]

    @property
    def tokenizer(self) -> Tokenizer:
        """Of the `tokens`."""
        return self.tokens.tokenizer

    @property
    def vocabulary(self) -> int:
        """Number of token ids."""
        return vocabulary_size(self.tokenizer)


def load_checkpoint(
    source: str | Path, *, narrow: Collection[str] = (), dtype: torch.dtype = torch.float32
) -> Checkpoint:
    """Load a directory or a Hugging Face hub id.

    Args:
        narrow: kinds of models whose weights stay in the dtype of their files, if all have the same.
        dtype: of the weights of all others.

    Raises:
        InputError: it cannot be read, is no causal language model, or has no tokenizer of its own.
    """
    tokens = load_checkpoint_tokens(source)
    source = Path(source).expanduser() if Path(source).expanduser().is_dir() else str(source)
    # "eager" obeys every setting of a checkpoint; the fused attention ignores GPT-2's other scales.
    is_narrow = narrow and read_config(find_directory(str(source))).get("model_type") in narrow
    model = read_model(source, weights_dtype(source) if is_narrow else dtype, "eager")
    cut_vocabulary(model, vocabulary_size(tokens.tokenizer))
    return Checkpoint(
        name=Path(source).resolve().name,
        model=model.eval().requires_grad_(False),
        tokens=tokens,
        end_ids=end_ids((model.generation_config, model.config), tokens.tokenizer),
    )


def load_checkpoint_tokens(source: str | Path) -> Tokens:
    """The tokens of a directory or of a Hugging Face hub id.

    Raises:
        InputError: there is none that the `tokenizers` library can run.
    """
    path = Path(source).expanduser()
    refuse_pocket(source)
    if not path.is_dir() and (path.is_absolute() or len(path.parts) > 2 or str(source).startswith((".", "~"))):
        raise InputError(f"there is no directory {source}; give a model's directory or a Hugging Face id")
    refuse_adapter(source)
    if path.is_dir() and not (path / "config.json").is_file():
        raise InputError(f"{path} has no config.json; give the directory of a Hugging Face model")
    if not path.is_dir():
        try:
            hub.fetch(str(source), "config.json")
        except OSError as error:
            raise InputError(
                f"{source} is neither a directory here nor to be had from the Hugging Face hub "
                f"({first_line(error)}); check the name and the network, or give a model's directory"
            ) from error
    return read_tokens(source)


def refuse_pocket(draft: str | Path) -> None:
    """The embedded target has a name; the embedded draft has a bundle.

    Raises:
        InputError: it is asked for by that name.
    """
    if str(draft) == POCKET and not Path(draft).is_dir():
        raise InputError(
            "pocket is no checkpoint of a draft: its bundle is part of edge-client, ready to use; give the directory "
            "of a model, or a Hugging Face id"
        )


def cut_vocabulary(model: PreTrainedModel, vocabulary: int) -> None:
    """Keep only the rows of the output head that stand for a token; checkpoints pad them to a round number.

    Raises:
        InputError: the head has fewer rows than the tokenizer has ids.
    """
    head = model.get_output_embeddings()
    rows = head.weight.shape[0]
    if rows < vocabulary:
        raise InputError(
            f"the model knows {rows} tokens, its tokenizer {vocabulary}; export a model with the tokenizer it was "
            "trained with"
        )
    if rows > vocabulary:
        cut = nn.Linear(head.in_features, vocabulary, bias=head.bias is not None)
        cut.weight = nn.Parameter(head.weight[:vocabulary].detach())
        if head.bias is not None:
            cut.bias = nn.Parameter(head.bias[:vocabulary].detach())
        model.set_output_embeddings(cut)


def check_same_tokens(draft: Tokenizer, target: Tokenizer) -> None:
    """Let pass only a pair whose ids mean the same tokens; padding of the vocabulary does not count.

    Raises:
        InputError: they differ; the message names the first id that does.
    """
    ours, theirs = (
        {id: token for token, id in tokenizer.get_vocab(with_added_tokens=True).items()}
        for tokenizer in (draft, target)
    )
    for id in sorted(ours.keys() | theirs.keys()):
        if ours.get(id) != theirs.get(id):
            raise InputError(
                f"draft and target have different tokenizers: token {id} is {_shown(ours.get(id))} for the draft and "
                f"{_shown(theirs.get(id))} for the target; a pair must share its tokens"
            )


def tell_reading(draft: Tokenizer, target: Tokenizer, tell: Callable[[str], None]) -> None:
    """Say so if two tokenizers of the same tokens read texts otherwise: the bundle reads them as the target does."""
    text = difference(draft, target)
    if text:
        ours, theirs = (tokenizer.encode(text).ids[:8] for tokenizer in (draft, target))
        tell(
            f"draft and target read texts otherwise ({text[:40]!r} as {ours} and as {theirs}); the bundle reads them "
            "as the target does"
        )
    elif text is not None:
        tell("draft and target merge or write their tokens otherwise; the bundle does it as the target does")


def _shown(token: str | None) -> str:
    return "missing" if token is None else repr(token)
