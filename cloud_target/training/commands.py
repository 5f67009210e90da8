"""What the training commands do with their arguments."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from cloud_target.export.checkpoint import end_ids
from cloud_target.training.card import write_card
from cloud_target.training.corpus import UNSEEN, encode_corpus, hold_out
from cloud_target.training.distil import distil
from cloud_target.training.evaluate import agreement, as_table, bits_per_byte, label_dev
from cloud_target.training.models import load_model, load_model_tokenizer
from cloud_target.training.own_text import OwnText, write_own_text
from cloud_target.training.pretrain import POCKET_DRAFT, POCKET_TARGET, RunSettings, Shape, pretrain
from cloud_target.training.steps import CheckpointSteps, open_steps
from cloud_target.training.teacher import ask_teacher
from cloud_target.training.tokenizer import save_tokenizer, train_tokenizer
from shared.config import Sampling

# Mostly the two ways in which people sample; a little greedy, where texts of small models run in circles.
OWN_SAMPLINGS = tuple(
    Sampling(temperature=t, top_p=p)
    for t, p in ((0.7, 0.9), (1.0, 1.0), (0.7, 0.9), (1.0, 1.0), (0.7, 0.9), (0.0, 1.0), (1.0, 1.0))
)


def train_tokenizer_command(args: Namespace) -> None:
    tokenizer = train_tokenizer(args.corpus, args.vocabulary)
    save_tokenizer(tokenizer, args.out, args.context)
    print(f"{tokenizer.get_vocab_size()} tokens in {args.out}")


def train_target_command(args: Namespace) -> None:
    tokenizer = load_model_tokenizer(args.tokenizer)
    pretrain(tokenizer, args.corpus, args.dev, _shape(args, POCKET_TARGET), _settings(args), args.out)


def own_text_command(args: Namespace) -> None:
    target, tokenizer = load_model(args.target, args.device), load_model_tokenizer(args.target)
    own = write_own_text(
        target,
        _seen(args, tokenizer),
        OWN_SAMPLINGS,
        args.run_length,
        args.tokens,
        end_ids(target, tokenizer),
        args.minutes,
        batch=args.batch,
        seed=args.seed,
    )
    own.save(args.out)
    written = sum(map(len, own.documents)) - int(own.openings.sum())
    print(f"{len(own.documents)} texts, {written} tokens by the target, in {args.out}")


def train_draft_command(args: Namespace) -> None:
    target, tokenizer = load_model(args.target, args.device), load_model_tokenizer(args.target)
    own = [document for path in args.own_text for document in OwnText.load(path).documents]
    corpus = _up_to(_seen(args, tokenizer), args.corpus_tokens)
    dev = [document for path in args.dev for document in encode_corpus(tokenizer, [path], args.seed)[:40]]
    targets, dev_targets = ask_teacher(target, own + corpus), ask_teacher(target, dev)
    draft = distil(target, tokenizer, targets, dev_targets, _shape(args, POCKET_DRAFT), _settings(args), args.out)
    for path in args.dev:
        bits = bits_per_byte(draft, tokenizer, path, args.device, limit=200)
        print(f"{Path(path).name}: {bits:.3f} bits per byte")


def card_command(args: Namespace) -> None:
    write_card(args.out, args.name, args.target, args.draft, args.evaluation, args.report)
    print(f"wrote {args.out}")


def evaluate_command(args: Namespace) -> None:
    target, tokenizer = load_model(args.target), load_model_tokenizer(args.target)
    steps = open_steps(args.draft, target.config.max_position_embeddings)
    lines = agreement(label_dev(steps, target, tokenizer, args.dev, documents=args.documents, seed=args.seed))
    bits = {}
    models = {"target": target} | ({"draft": load_model(args.draft)} if isinstance(steps, CheckpointSteps) else {})
    for path in args.dev:
        bits[Path(path).name] = {name: round(bits_per_byte(m, tokenizer, path), 4) for name, m in models.items()}
        described = ", ".join(f"{name} {value:.3f}" for name, value in bits[Path(path).name].items())
        print(f"{Path(path).name}: bits per byte: {described}")
    print(as_table(lines))
    if args.json:
        Path(args.json).write_text(json.dumps({"bits_per_byte": bits, "agreement": lines}, indent=1) + "\n")


def _seen(args: Namespace, tokenizer: Tokenizer) -> list[np.ndarray]:
    """The documents that a draft may learn from; the split is the same for every command and seed."""
    return hold_out(encode_corpus(tokenizer, args.corpus), UNSEEN)[0]


def _up_to(documents: list[np.ndarray], tokens: int) -> list[np.ndarray]:
    """The first documents that hold about `tokens` tokens."""
    return documents[: int(np.searchsorted(np.cumsum([len(document) for document in documents]), tokens)) + 1]


def _shape(args: Namespace, default: Shape) -> Shape:
    given = {name: getattr(args, name) for name in ("hidden", "layers", "feed_forward", "kv_heads")}
    return replace(default, **{name: value for name, value in given.items() if value})


def _settings(args: Namespace) -> RunSettings:
    return RunSettings(
        tokens=args.tokens,
        minutes=args.minutes,
        batch_tokens=args.batch_tokens,
        peak=args.peak,
        seed=args.seed,
        device=args.device,
    )
