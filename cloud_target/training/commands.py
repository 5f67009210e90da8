"""What the training commands do with their settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from cloud_target.engine.hf.fitness import refuse_unfit
from cloud_target.export.endings import end_ids
from cloud_target.training.card import write_card
from cloud_target.training.corpus import UNSEEN, encode_corpus, hold_out, write_documents
from cloud_target.training.distil import distil
from cloud_target.training.errands import dialogues
from cloud_target.training.evaluate import agreement, as_table, bits_per_byte, label_dev
from cloud_target.training.models import load_model, load_model_tokenizer
from cloud_target.training.own_text import OWN_SAMPLINGS, OwnText, write_own_text
from cloud_target.training.pretrain import POCKET_DRAFT, POCKET_TARGET, Shape, pretrain
from cloud_target.training.settings import (
    CardSettings,
    DraftSettings,
    ErrandsSettings,
    EvaluateSettings,
    OwnTextSettings,
    Sizes,
    TargetSettings,
    TokenizerSettings,
)
from cloud_target.training.steps import CheckpointSteps, open_steps
from cloud_target.training.teacher import ask_teacher
from cloud_target.training.tokenizer import save_tokenizer, train_tokenizer
from shared.errors import InputError


def train_tokenizer_command(settings: TokenizerSettings) -> None:
    tokenizer = train_tokenizer(settings.corpus, settings.vocabulary)
    save_tokenizer(tokenizer, settings.out, settings.context)
    print(f"{tokenizer.get_vocab_size()} tokens in {settings.out}")


def errands_command(settings: ErrandsSettings) -> None:
    write_documents(settings.out, dialogues(settings.documents, settings.seed))
    print(f"{settings.documents} dialogues in {settings.out}")


def train_target_command(settings: TargetSettings) -> None:
    tokenizer = load_model_tokenizer(settings.tokenizer)
    torch.manual_seed(settings.training.seed)
    if settings.start is None:
        model = _shape(settings.sizes, POCKET_TARGET).build(tokenizer.get_vocab_size())
    elif any(asdict(settings.sizes).values()):
        raise InputError("a model that is trained on keeps its shape; leave out either --from or the sizes")
    else:
        model = load_model(settings.start).requires_grad_(True).train()
        if model.config.vocab_size != tokenizer.get_vocab_size():
            raise InputError(
                f"{settings.start} has {model.config.vocab_size} tokens and the tokenizer has "
                f"{tokenizer.get_vocab_size()}; go on with the tokenizer that the checkpoint was trained with"
            )
    pretrain(model, tokenizer, settings.corpus, settings.dev, settings.training, settings.out)


def own_text_command(settings: OwnTextSettings) -> None:
    target, tokenizer = load_model(settings.target, settings.device), load_model_tokenizer(settings.target)
    refuse_unfit(target)
    own = write_own_text(
        target,
        _seen(settings.corpus, tokenizer),
        OWN_SAMPLINGS,
        settings.run_length,
        settings.tokens,
        end_ids((target.generation_config, target.config), tokenizer),
        settings.minutes,
        batch=settings.batch,
        seed=settings.seed,
    )
    own.save(settings.out)
    written = sum(map(len, own.documents)) - int(own.openings.sum())
    print(f"{len(own.documents)} texts, {written} tokens by the target, in {settings.out}")


def train_draft_command(settings: DraftSettings) -> None:
    target, tokenizer = load_model(settings.target, settings.training.device), load_model_tokenizer(settings.target)
    own = [document for path in settings.own_text for document in OwnText.load(path).documents]
    corpus = _up_to(_seen(settings.corpus, tokenizer), settings.corpus_tokens)
    dev = [
        document for path in settings.dev for document in encode_corpus(tokenizer, [path], settings.training.seed)[:40]
    ]
    targets, dev_targets = ask_teacher(target, own + corpus), ask_teacher(target, dev)
    draft = distil(
        target, tokenizer, targets, dev_targets, _shape(settings.sizes, POCKET_DRAFT), settings.training, settings.out
    )
    for path in settings.dev:
        bits = bits_per_byte(draft, tokenizer, path, settings.training.device, limit=200)
        print(f"{Path(path).name}: {bits:.3f} bits per byte")


def card_command(settings: CardSettings) -> None:
    write_card(settings.out, settings.name, settings.target, settings.draft, settings.evaluation, settings.report)
    print(f"wrote {settings.out}")


def evaluate_command(settings: EvaluateSettings) -> None:
    target, tokenizer = load_model(settings.target), load_model_tokenizer(settings.target)
    steps = open_steps(settings.draft, target.config.max_position_embeddings)
    lines = agreement(
        label_dev(steps, target, tokenizer, settings.dev, documents=settings.documents, seed=settings.seed)
    )
    bits = {}
    models = {"target": target} | ({"draft": load_model(settings.draft)} if isinstance(steps, CheckpointSteps) else {})
    for path in settings.dev:
        bits[Path(path).name] = {name: round(bits_per_byte(m, tokenizer, path), 4) for name, m in models.items()}
        described = ", ".join(f"{name} {value:.3f}" for name, value in bits[Path(path).name].items())
        print(f"{Path(path).name}: bits per byte: {described}")
    print(as_table(lines))
    if settings.json:
        Path(settings.json).write_text(json.dumps({"bits_per_byte": bits, "agreement": lines}, indent=1) + "\n")


def _seen(corpus: Sequence[str], tokenizer: Tokenizer) -> list[np.ndarray]:
    """The documents that a draft may learn from; the split is the same for every command and seed."""
    return hold_out(encode_corpus(tokenizer, corpus), UNSEEN)[0]


def _up_to(documents: list[np.ndarray], tokens: int) -> list[np.ndarray]:
    """The first documents that hold about `tokens` tokens."""
    return documents[: int(np.searchsorted(np.cumsum([len(document) for document in documents]), tokens)) + 1]


def _shape(sizes: Sizes, default: Shape) -> Shape:
    return replace(default, **{name: size for name, size in asdict(sizes).items() if size})
