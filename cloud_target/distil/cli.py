"""`cloud-target distil`: a draft for any target, made from the target itself or from a smaller model of its family."""

from __future__ import annotations

import argparse
import sys

from cloud_target.distil.settings import CORPUS_TOKENS, HELD_OUT_TOKENS, MINUTES, OWN_TOKENS, PEAK, Settings
from cloud_target.options import running, values
from shared.errors import InputError
from shared.paths import typed_path, typed_place

_DESCRIPTION = """\
Make a draft for any target: the target itself with fewer layers, those that its output can best do without; or with a
narrower residual stream (--hidden), of the directions that carry most; or with both; or a smaller model with the same
tokens (--from). It then learns to write what the target would, from text that the target writes after openings of the
corpus, and from the corpus; or from conversations that the target makes up (--chat).

While it learns, a table shows how often it agrees with the target on held-out text, beside the time that it takes; the
best draft so far is always in the directory, with the table and a card. What is there can be given to `cloud-target
prepare --draft` and `export --draft`. Ctrl-C ends after the step under way; the same command goes on.

A corpus file holds documents separated by a line <|endoftext|>, and may be packed with xz. Text like that which people
will ask for serves best. A fifth of it is left out, for `prepare --unseen`.

Memory, beside the target in float32: some 20 bytes a weight of the draft, 300 a token to learn from, and 1 GB; for ten
of SmolLM2-135M's thirty layers 2.5 GB together.
"""

_EXAMPLES = """\
examples:
  # for a target that chats: it makes up what it is asked, and answers
  cloud-target distil --target HuggingFaceTB/SmolLM2-135M-Instruct --chat --out runs/draft

  # a third of the target's layers, an hour of training
  cloud-target distil --target HuggingFaceTB/SmolLM2-135M-Instruct --out runs/draft texts.txt.xz

  # two thirds of the target's width and half of its layers
  cloud-target distil --target pocket --hidden 256 --layers 2 --out runs/draft texts.txt.xz

  # ten layers, a night of it, with held-out text of your own; then a bundle of it
  cloud-target distil --target runs/target --layers 10 --minutes 480 --own-tokens 2000000 --dev dev.txt \\
      --out runs/draft stories.txt dialogues.txt
  cloud-target prepare --target runs/target --draft runs/draft --corpus stories.txt dialogues.txt --unseen \\
      --dtype int8 --out bundle

  # a smaller model of the family, as it is; by tokens alone, so that the result can be had again
  cloud-target distil --target Qwen/Qwen2.5-7B --from Qwen/Qwen2.5-0.5B --tokens 20000000 --device cuda \\
      --out runs/draft texts.txt.xz
"""


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `distil` to the commands of `cloud-target`."""
    parser = subparsers.add_parser(
        "distil",
        help="make a draft for a target, of fewer of its layers, narrower, or of a smaller model",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("corpus", nargs="*", type=typed_path, metavar="CORPUS", help="text files to learn from")
    parser.add_argument(
        "--target",
        required=True,
        type=typed_place,
        metavar="pocket|DIR|HUB_ID",
        help="the target, a Hugging Face causal language model",
    )
    parser.add_argument("--out", required=True, type=typed_path, metavar="DIR", help="where the draft goes")
    parser.add_argument(
        "--layers",
        type=values.count,
        metavar="N",
        help="that are kept (default: a third of the target's, or all with --from or --hidden)",
    )
    parser.add_argument(
        "--hidden",
        type=values.count,
        metavar="N",
        help="width of its residual stream, below the target's: the directions that carry most are kept, and heads and "
        "neurons in proportion (default: all; with it, --layers keeps all unless it is given)",
    )
    parser.add_argument(
        "--from",
        dest="start",
        type=typed_place,
        metavar="DIR|HUB_ID",
        help="a smaller model with the target's tokens to begin with (default: the target)",
    )
    parser.add_argument(
        "--chat",
        action="store_true",
        help="the target makes up conversations, what a user asks and its own answers, to learn from and for the "
        "table, so that no CORPUS is needed; it must have a chat template",
    )
    parser.add_argument(
        "--dev",
        nargs="+",
        type=typed_path,
        default=[],
        metavar="FILE",
        help="held-out text for the table (default: from the fifth of the corpus that is left out)",
    )
    parser.add_argument(
        "--minutes",
        type=values.above_zero,
        metavar="M",
        help=f"of training, after the text is made (default: {MINUTES:g}; with --tokens, no limit)",
    )
    parser.add_argument(
        "--tokens",
        type=values.count,
        metavar="N",
        help="of training, those that are read again counted again (default: no limit)",
    )
    parser.add_argument(
        "--own-tokens",
        type=values.count,
        default=OWN_TOKENS,
        metavar="N",
        help="that the target writes to learn from, about (default: %(default)s)",
    )
    parser.add_argument(
        "--corpus-tokens",
        type=values.count,
        default=CORPUS_TOKENS,
        metavar="N",
        help="of the corpus to learn from, at most (default: %(default)s)",
    )
    parser.add_argument(
        "--held-out-tokens",
        type=values.count,
        default=HELD_OUT_TOKENS,
        metavar="N",
        help="that the target writes for the table, greedily and at temperature 0.7 each (default: %(default)s)",
    )
    parser.add_argument(
        "--batch-tokens", type=values.count, default=4096, metavar="N", help="a step (default: %(default)s)"
    )
    parser.add_argument(
        "--peak",
        type=values.above_zero,
        default=PEAK,
        metavar="RATE",
        help="largest learning rate (default: %(default)s)",
    )
    parser.add_argument(
        "--evaluations",
        type=values.count,
        default=8,
        metavar="N",
        help="lines of the table, evenly over the run (default: %(default)s)",
    )
    parser.add_argument(
        "--work",
        type=typed_path,
        metavar="DIR",
        help="where finished stages and the state are kept; may be removed after the end (default: beside --out, with "
        ".work behind its name)",
    )
    running.add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make the draft; returns the exit status.

    Raises:
        TandemError: as `pipeline.distil`.
    """
    from cloud_target.training.process import prepare as set_up_process

    set_up_process(arguments.threads)
    # torch and transformers take seconds to import, and `--help` does not need them.
    from cloud_target.distil.pipeline import distil

    if not arguments.corpus and not arguments.chat:
        raise InputError("there is nothing to learn from; give text files, or --chat for a target that chats")
    if arguments.dev and arguments.chat:
        raise InputError("with --chat the table is measured on conversations, not on --dev; leave one of them out")
    given = {name: value for name, value in vars(arguments).items() if name in Settings.__dataclass_fields__}
    settings = Settings(**given | {"corpus": tuple(arguments.corpus), "dev": tuple(arguments.dev)})
    table = distil(settings, lambda line: print(line, file=sys.stderr, flush=True))
    print(f"{table}\n\n{settings.out}: the draft, its card and this table")
    return 0
