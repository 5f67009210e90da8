"""The commands `cloud-target train ...` and `cloud-target evaluate`.

Nothing heavy is imported until a command runs, so `--help` is instant.
"""

from __future__ import annotations

import argparse
import math

from cloud_target.options import running
from cloud_target.options.values import above_zero, count, seed
from cloud_target.training.settings import (
    CardSettings,
    DraftSettings,
    ErrandsSettings,
    EvaluateSettings,
    OwnTextSettings,
    TargetSettings,
    TokenizerSettings,
    read_settings,
)
from shared.paths import typed_place

_EXAMPLES = """\
A pair from nothing, in order (the card of the embedded pair has the very commands that made it):

  cloud-target train errands --out errands.txt
  cloud-target train tokenizer stories.txt errands.txt --out runs/tokenizer
  cloud-target train target stories.txt errands.txt --tokenizer runs/tokenizer --dev dev.txt --minutes 60 \\
      --out runs/target
  cloud-target train own-text stories.txt errands.txt --target runs/target --tokens 700000 --out runs/own_draft.npz
  cloud-target train draft stories.txt errands.txt --target runs/target --own-text runs/own_draft.npz --dev dev.txt \\
      --minutes 30 --out runs/draft
  cloud-target prepare --target runs/target --draft runs/draft --corpus stories.txt errands.txt --unseen \\
      --dev dev.txt --dtype int8 --out bundle

For a target that exists already, begin with own-text; for a draft that exists as well, prepare is all you need.
A corpus file holds documents separated by a line <|endoftext|>, and may be packed with xz.
"""


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `train` and `evaluate`; each sets `run`, a function from the parsed arguments to an exit status."""
    train = subparsers.add_parser(
        "train",
        help="train a tokenizer, a target or a draft",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    steps = train.add_subparsers(metavar="STEP", required=True)
    _add_tokenizer(steps)
    _add_errands(steps)
    _add_target(steps)
    _add_own_text(steps)
    _add_draft(steps)
    _add_card(steps)
    _add_evaluate(subparsers)


def _step(
    steps: argparse._SubParsersAction, name: str, text: str, example: str, command: str, kind: type
) -> argparse.ArgumentParser:
    """Add a step, which runs a function of `commands` with settings of this kind."""
    parser = steps.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=lambda args: _prepared(command, kind, args))
    return parser


def _prepared(command: str, kind: type, args: argparse.Namespace) -> int:
    """Set up the process before torch is imported, then run."""
    from cloud_target.training.process import prepare

    prepare(getattr(args, "threads", None))
    from cloud_target.training import commands

    getattr(commands, command)(read_settings(kind, args))
    return 0


def _corpus(parser: argparse.ArgumentParser, models: bool = True) -> None:
    left = "; a fifth of the documents is left out, for `prepare --unseen`" if models else ""
    parser.add_argument("corpus", nargs="+", type=typed_place, metavar="CORPUS", help=f"text files to train on{left}")


def _dev(parser: argparse.ArgumentParser, required: bool = False) -> None:
    parser.add_argument(
        "--dev", nargs="+", default=[], required=required, type=typed_place, metavar="FILE", help="held-out text files"
    )


def _length(parser: argparse.ArgumentParser, tokens: int) -> None:
    parser.add_argument("--tokens", type=count, default=tokens, help="stop after so many (default %(default)s)")
    parser.add_argument(
        "--minutes", type=above_zero, default=math.inf, help="or after so many minutes (default: no limit)"
    )


def _training(parser: argparse.ArgumentParser, tokens: int, batch_tokens: int) -> None:
    _length(parser, tokens)
    parser.add_argument("--batch-tokens", type=count, default=batch_tokens, help="a step (default %(default)s)")
    parser.add_argument("--peak", type=above_zero, default=3e-3, help="largest learning rate (default %(default)s)")
    for name, text in (("hidden", "width"), ("layers", "number of layers"), ("feed-forward", "feed-forward width")):
        parser.add_argument(f"--{name}", type=count, help=f"{text} (default: the pocket model's)")
    parser.add_argument("--kv-heads", type=count, help="key-value heads of 64 dimensions (default: the pocket model's)")


def _add_tokenizer(steps: argparse._SubParsersAction) -> None:
    example = "cloud-target train tokenizer stories.txt dialogues.txt --out runs/tokenizer"
    parser = _step(
        steps, "tokenizer", "train a byte-level BPE tokenizer", example, "train_tokenizer_command", TokenizerSettings
    )
    _corpus(parser, models=False)
    parser.add_argument("--out", required=True, type=typed_place, metavar="DIR", help="where tokenizer.json goes")
    parser.add_argument("--vocabulary", type=count, default=4096, help="number of tokens (default %(default)s)")
    parser.add_argument("--context", type=count, default=1024, help="longest text of the models (default %(default)s)")


def _add_errands(steps: argparse._SubParsersAction) -> None:
    example = "cloud-target train errands --documents 25000 --out runs/errands.txt"
    text = "write a corpus of made-up dialogues whose answers are either right or wrong"
    parser = _step(steps, "errands", text, example, "errands_command", ErrandsSettings)
    parser.add_argument("--documents", type=count, default=25_000, help="how many dialogues (default %(default)s)")
    parser.add_argument("--out", required=True, type=typed_place, metavar="FILE", help="where the corpus goes")
    parser.add_argument("--seed", type=seed, default=0, help="of everything random (default %(default)s)")


def _add_target(steps: argparse._SubParsersAction) -> None:
    example = "cloud-target train target stories.txt --tokenizer runs/tokenizer --minutes 60 --out runs/target"
    parser = _step(
        steps, "target", "pretrain a small target from nothing", example, "train_target_command", TargetSettings
    )
    _corpus(parser)
    parser.add_argument(
        "--tokenizer", required=True, type=typed_place, metavar="DIR", help="directory with tokenizer.json"
    )
    parser.add_argument(
        "--from",
        dest="start",
        type=typed_place,
        metavar="DIR",
        help="a checkpoint to go on from (default: fresh weights)",
    )
    parser.add_argument("--out", required=True, type=typed_place, metavar="DIR", help="where the model goes")
    _dev(parser)
    _training(parser, 25_000_000, 8192)
    running.add_options(parser)


def _add_own_text(steps: argparse._SubParsersAction) -> None:
    example = "cloud-target train own-text stories.txt --target runs/target --tokens 700000 --out runs/own_draft.npz"
    text = "let the target continue openings of the corpus, for the draft to learn from"
    parser = _step(steps, "own-text", text, example, "own_text_command", OwnTextSettings)
    _corpus(parser)
    parser.add_argument("--target", required=True, type=typed_place, metavar="DIR", help="the target's checkpoint")
    parser.add_argument("--out", required=True, type=typed_place, metavar="FILE", help="where the texts go (.npz)")
    parser.add_argument("--run-length", type=count, default=160, help="tokens a text, at most (default %(default)s)")
    parser.add_argument("--batch", type=count, default=128, help="texts at once (default %(default)s)")
    _length(parser, 700_000)
    running.add_options(parser)


def _add_draft(steps: argparse._SubParsersAction) -> None:
    example = (
        "cloud-target train draft stories.txt --target runs/target --own-text runs/own_draft.npz --dev dev.txt "
        "--minutes 30 --out runs/draft"
    )
    parser = _step(steps, "draft", "distil a draft from a target", example, "train_draft_command", DraftSettings)
    _corpus(parser)
    parser.add_argument("--target", required=True, type=typed_place, metavar="DIR", help="the target's checkpoint")
    parser.add_argument(
        "--own-text", nargs="*", default=[], type=typed_place, metavar="FILE", help="made by train own-text"
    )
    parser.add_argument("--out", required=True, type=typed_place, metavar="DIR", help="where the draft goes")
    parser.add_argument(
        "--corpus-tokens",
        type=count,
        default=2_500_000,
        help="corpus text to ask the target about (default %(default)s)",
    )
    _dev(parser, required=True)
    _training(parser, 50_000_000, 4096)
    running.add_options(parser)


def _add_card(steps: argparse._SubParsersAction) -> None:
    example = (
        "cloud-target train card --name pocket --target runs/target --draft runs/draft "
        "--evaluation runs/evaluation.json --report bundle/report.json --out runs/README.md"
    )
    text = "write the model card of a pair trained on the pocket corpora"
    parser = _step(steps, "card", text, example, "card_command", CardSettings)
    parser.add_argument("--name", default="pocket", help="of the pair (default %(default)s)")
    parser.add_argument("--target", required=True, type=typed_place, metavar="DIR", help="the target's checkpoint")
    parser.add_argument("--draft", required=True, type=typed_place, metavar="DIR", help="the draft's checkpoint")
    parser.add_argument("--evaluation", required=True, type=typed_place, metavar="FILE", help="made by evaluate --json")
    parser.add_argument(
        "--report", required=True, type=typed_place, metavar="FILE", help="report.json, made by prepare"
    )
    parser.add_argument("--out", required=True, type=typed_place, metavar="FILE", help="where the card goes (Markdown)")


def _add_evaluate(subparsers: argparse._SubParsersAction) -> None:
    example = "cloud-target evaluate --target runs/target --draft runs/draft --dev dev.txt"
    text = "measure how often a draft writes what its target would, on held-out text"
    parser = _step(subparsers, "evaluate", text, example, "evaluate_command", EvaluateSettings)
    parser.add_argument("--target", required=True, type=typed_place, metavar="DIR", help="the target's checkpoint")
    parser.add_argument(
        "--draft", required=True, type=typed_place, metavar="PATH", help="the draft's checkpoint, or its draft.onnx"
    )
    parser.add_argument("--documents", type=count, default=280, help="of each file, at most (default %(default)s)")
    parser.add_argument("--json", type=typed_place, metavar="FILE", help="also write the numbers here")
    _dev(parser, required=True)
    running.add_options(parser, device=None)
