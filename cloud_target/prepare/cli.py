"""`cloud-target prepare`: from a draft and a target to a bundle with a trained and calibrated verifier."""

from __future__ import annotations

import argparse
import sys

from cloud_target.engine.settings import DTYPES as TARGET_DTYPES
from cloud_target.export.choices import DTYPES, KINDS
from cloud_target.options import running, values
from cloud_target.prepare.settings import FIRST_AFTER, OWN_TOKENS, ROWS, Settings
from shared.errors import InputError
from shared.paths import typed_path, typed_place

_DESCRIPTION = """\
Train a verifier for any draft and target that share a tokenizer, calibrate it on documents that it has not seen, and
write the finished bundle, with a report on what it promises (report.html).

A corpus file holds documents separated by a line <|endoftext|>, and may be packed with xz. A document that is given
more than once counts once, and to train on if it is in the corpus and in the held-out text. Text like that which people
will ask for, and that neither model was trained on, serves best. Finished stages are kept beside the bundle: a run that
was interrupted goes on where it was, when the same command is given again. Of a run that takes long there is a first
bundle after some minutes, made of little text, which the finished one replaces; see --first-after.
"""

_EXAMPLES = """\
examples:
  # a draft that `cloud-target distil --chat` made, on other conversations of the target's own
  cloud-target prepare --target HuggingFaceTB/SmolLM2-135M-Instruct --draft runs/draft --chat --dtype auto --out bundle

  # a draft of your own for the target that ships with Tandem
  cloud-target prepare --target pocket --draft runs/draft --corpus stories.txt dialogues.txt --dev dev.txt \\
      --dtype int8 --out bundle

  # any pair from the hub that shares a tokenizer; held-out documents are taken from the corpus
  cloud-target prepare --target openai-community/gpt2-large --draft openai-community/gpt2 --corpus texts.txt.xz \\
      --device cuda --out gpt2-bundle

  # the same for a target that is served in bfloat16; how often it disagrees with itself there is in the report
  cloud-target prepare --target runs/target --target-dtype bfloat16 --draft runs/draft --corpus texts.txt --out bundle

  # another target, or other text, for a bundle that exists: its draft is kept byte for byte
  cloud-target prepare --target runs/target --draft bundle --corpus texts.txt --out new-bundle

  # one more verifier for a bundle that exists, for one kind of text
  cloud-target prepare --target runs/target --domain letters --corpus letters.txt --out bundle
"""


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `prepare` to the commands of `cloud-target`."""
    parser = subparsers.add_parser(
        "prepare",
        help="train and calibrate a verifier for a pair, and make its bundle",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--target",
        required=True,
        type=typed_place,
        metavar="pocket|DIR|HUB_ID",
        help="the target, a Hugging Face causal language model",
    )
    parser.add_argument(
        "--draft",
        type=typed_place,
        metavar="DIR|HUB_ID|BUNDLE",
        help="the draft: a checkpoint, or a bundle to keep it of; with --domain, the bundle that it is added to "
        "(default: BUNDLE itself)",
    )
    parser.add_argument(
        "--domain",
        metavar="NAME",
        help="add a verifier for the kind of text that the corpus is to a bundle, or renew it; all else there stays as "
        "it is, and devices use the verifier that their audits bear out",
    )
    parser.add_argument("--corpus", nargs="+", type=typed_path, default=[], metavar="FILE", help="text to train on")
    parser.add_argument(
        "--chat",
        action="store_true",
        help="in the place of a corpus, conversations that the target makes up: what a user asks, and its own answers; "
        "it must have a chat template",
    )
    parser.add_argument(
        "--dev",
        nargs="+",
        type=typed_path,
        default=[],
        metavar="FILE",
        help="held-out text to calibrate and to report on, half of the documents each (default: 40 and 10 %% of the "
        "corpus)",
    )
    parser.add_argument(
        "--out", required=True, type=typed_path, metavar="BUNDLE", help="an older bundle there is replaced"
    )
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        help="of the draft's weights, see `export --help` (default: float32)",
    )
    parser.add_argument("--kind", choices=KINDS, help="of the draft's graph, see `export --help` (default: auto)")
    parser.add_argument(
        "--context", type=int, metavar="N", help="longest sequence in tokens (default: the draft's own, at most 4096)"
    )
    parser.add_argument("--name", help="of the bundle (default: the draft's)")
    parser.add_argument(
        "--rows", type=values.count, default=ROWS, metavar="N", help="to train on, about (default: %(default)s)"
    )
    parser.add_argument(
        "--own-tokens",
        type=values.count,
        default=OWN_TOKENS,
        metavar="N",
        help="that the target writes to train on; for calibration and report it writes 1.8 times as many again "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--first-after",
        type=values.zero_or_more,
        default=FIRST_AFTER,
        metavar="MINUTES",
        help="if all takes more than three times as long, spend about so many minutes on a first bundle, made of less "
        "text, before the rest; 0 makes none. It is never put in the place of a bundle that is there (default: "
        "%(default)g)",
    )
    parser.add_argument(
        "--unseen",
        action="store_true",
        help="of the corpus take only the fifth that `cloud-target train` leaves out",
    )
    parser.add_argument(
        "--work",
        type=typed_path,
        metavar="DIR",
        help="where finished stages are kept (default: BUNDLE.work, or BUNDLE.NAME.work of a domain)",
    )
    parser.add_argument(
        "--target-dtype",
        choices=TARGET_DTYPES,
        help="of the target's forward pass: give the one that it will be served in (default: as `serve`, float32 on a "
        "CPU and bfloat16 on CUDA; with --domain, the bundle's)",
    )
    running.add_options(parser, device="that the target runs on")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make the bundle; returns the exit status.

    Raises:
        TandemError: as `pipeline.prepare`.
    """
    from cloud_target.training.process import prepare as set_up_process

    set_up_process(arguments.threads)
    # torch and transformers take seconds to import, and `--help` does not need them.
    from cloud_target.prepare.pipeline import prepare
    from cloud_target.prepare.words import summary

    if arguments.draft is None:
        if arguments.domain is None:
            raise InputError("--draft is missing; give the checkpoint of a draft, or a bundle to keep it of")
        arguments.draft = str(arguments.out)
    if arguments.chat and (arguments.corpus or arguments.dev or arguments.unseen):
        raise InputError("--chat takes the place of --corpus, --dev and --unseen; leave it or them out")
    if not arguments.chat and not arguments.corpus:
        raise InputError("there is nothing to train on; give --corpus FILE, or --chat for a target that chats")
    given = {name: value for name, value in vars(arguments).items() if name in Settings.__dataclass_fields__}
    settings = Settings(**given | {"corpus": tuple(arguments.corpus), "dev": tuple(arguments.dev)})
    place = settings.place  # found now: a bundle that replaces the working directory leaves none to begin from
    report = prepare(settings, lambda line: print(line, file=sys.stderr, flush=True))
    print(summary(report, place, settings.page))
    return 0
