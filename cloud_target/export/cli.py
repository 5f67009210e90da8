"""`cloud-target export`: from a draft to an edge bundle."""

from __future__ import annotations

import argparse
import sys

from cloud_target.export.choices import ACTIVATIONS, BLOCKS, DTYPES, HEADS, KINDS
from shared.paths import typed_place

_DESCRIPTION = """\
Make the bundle that an edge device needs: the draft as an ONNX graph, the verifier, the tokenizer, and a manifest.

The graph is compared with PyTorch before anything is written. There are several ways to store weights in 8 or 4 bits.
Those that were left open are tried, and the fastest is taken that draws the same token as float32 at 97 % of the
positions or more; where none does, the one that agrees most.

Without --verifier the bundle gets a baseline that
needs no training (it doubts what the draft itself found unlikely), and no table from budget to threshold;
`cloud-target prepare` trains and calibrates one.
"""

_EXAMPLES = """\
examples:
  # a draft of your own in 8 bits
  cloud-target export --draft runs/draft --target runs/target --out bundle --dtype int8

  # in 4 bits, and nothing measured but how often it agrees
  cloud-target export --draft runs/draft --out bundle --dtype int4 --block 32 --activations int8 --head int8

  # any pair from the hub that shares a tokenizer
  cloud-target export --draft Qwen/Qwen2-0.5B --target Qwen/Qwen2-7B --out qwen-bundle --context 2048

  # the general path, by way of optimum; other architectures take it by themselves
  cloud-target export --draft openai-community/gpt2 --out gpt2-bundle --kind concat
"""


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `export` to the commands of `cloud-target`."""
    parser = subparsers.add_parser(
        "export",
        help="make an edge bundle from a draft",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--draft",
        required=True,
        type=typed_place,
        metavar="DIR|HUB_ID|BUNDLE",
        help="the draft, a Hugging Face causal language model; or a bundle, whose draft is kept byte for byte",
    )
    parser.add_argument(
        "--out",
        required=True,
        type=typed_place,
        metavar="BUNDLE",
        help="directory to make; an older bundle is replaced",
    )
    parser.add_argument(
        "--target",
        type=typed_place,
        metavar="DIR|HUB_ID",
        help="the target that the bundle is for; must have the draft's tokens",
    )
    parser.add_argument(
        "--verifier", type=typed_place, metavar="FILE.onnx", help="a trained head (default: the untrained baseline)"
    )
    parser.add_argument(
        "--calibration",
        type=typed_place,
        metavar="FILE.json",
        help="table from budget to threshold, measured with that head; the device's report shows it, and its audits, "
        "not the table, steer it",
    )
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        help="of the draft's weights; auto: int8 or int4, whichever is better here (default: float32)",
    )
    parser.add_argument(
        "--block",
        type=int,
        choices=BLOCKS,
        help="weights of 8 or 4 bits that share a scale; fewer agree better, and take more time (default: as measured)",
    )
    parser.add_argument(
        "--activations",
        choices=ACTIVATIONS,
        help="what such weights are multiplied with: rounded to 8 bits as they come, or as they are, which with 8-bit "
        "weights is slower than float32 altogether (default: as measured)",
    )
    parser.add_argument(
        "--head", choices=HEADS, help="the output head's weights, apart from the others (default: as measured)"
    )
    parser.add_argument(
        "--kind",
        choices=KINDS,
        help="shared-buffer: Llama, Qwen2 and GPT-2, several times faster a step; concat: all that optimum can "
        "export; auto: the first where it can be (default: auto)",
    )
    parser.add_argument(
        "--context", type=int, metavar="N", help="longest sequence in tokens (default: the draft's own, at most 4096)"
    )
    parser.add_argument("--name", help="of the bundle (default: the draft's)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make the bundle; returns the exit status.

    Raises:
        TandemError: as `make_bundle`.
    """
    # torch and transformers take seconds to import, and `--help` does not need them.
    from cloud_target.export.bundle import identify_target, make_bundle, read_calibration
    from cloud_target.export.checkpoint import refuse_pocket
    from cloud_target.export.device import try_on_device

    refuse_pocket(arguments.draft)  # before the hub is asked for a target
    report = make_bundle(
        arguments.draft,
        arguments.out,
        target=identify_target(arguments.target) if arguments.target else None,
        verifier=arguments.verifier,
        calibration=read_calibration(arguments.calibration) if arguments.calibration else (),
        dtype=arguments.dtype,
        block=arguments.block,
        activations=arguments.activations,
        head=arguments.head,
        kind=arguments.kind,
        context=arguments.context,
        name=arguments.name,
        tell=lambda line: print(line, file=sys.stderr),
        trial=try_on_device,
    )
    manifest = report.manifest
    if not report.trained:
        print(
            "no trained verifier: the bundle has the baseline, and no table from budget to threshold", file=sys.stderr
        )
    print(
        f"{arguments.out}: {manifest.name} for {manifest.target_name}, {manifest.vocabulary} tokens, context "
        f"{manifest.context}, {manifest.draft.kind}, {manifest.draft.dtype}, draft {report.megabytes:.1f} MB, "
        f"{len(manifest.calibration)} calibrated budgets"
    )
    return 0
