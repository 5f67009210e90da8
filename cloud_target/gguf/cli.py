"""`cloud-target gguf`: the model of a GGUF file, for every other command."""

from __future__ import annotations

import argparse
import sys

from shared.paths import typed_path, typed_place

_DESCRIPTION = """\
Write the model of a GGUF file, as llama.cpp and what is built on it have them, as a directory that `serve`, `distil`,
`prepare` and `export` take. Weights in few bits become the numbers that they stand for, in 16 or 32 bits. The
architecture must be one whose GGUF files transformers reads (Llama, Qwen2, Qwen3, Gemma 2 and 3, Phi 3 and others).

A GGUF file does not say all of its tokenizer. Where what is missing is known for certain (gpt-2, smollm, starcoder,
qwen2, llama-bpe), the file is enough; else give the model's own with --tokenizer, and its tokens are compared.
"""

_EXAMPLES = """\
examples:
  cloud-target gguf SmolLM2-135M-Instruct.Q8_0.gguf --out smollm2
  cloud-target serve --target smollm2

  # a file that does not say how its texts are split
  cloud-target gguf mistral-7b.Q4_K_M.gguf --tokenizer mistralai/Mistral-7B-v0.1 --out mistral
"""


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `gguf` to the commands of `cloud-target`."""
    parser = subparsers.add_parser(
        "gguf",
        help="make a GGUF file a model for the other commands",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=typed_path, metavar="FILE", help="the GGUF file")
    parser.add_argument(
        "--out", required=True, type=typed_path, metavar="DIR", help="a directory that is not there yet"
    )
    parser.add_argument(
        "--tokenizer", type=typed_place, metavar="DIR|HUB_ID", help="of the model (default: what the file says)"
    )
    parser.add_argument(
        "--dtype",
        choices=("bfloat16", "float16", "float32"),
        default="bfloat16",
        help="of the weights; float32 has every number of the file exactly (default: bfloat16)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the directory; returns the exit status.

    Raises:
        TandemError: as `convert`.
    """
    from cloud_target.gguf.convert import convert

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    convert(arguments.file, arguments.out, arguments.dtype, arguments.tokenizer, tell)
    print(f"{arguments.out}: the model; `cloud-target serve --target {arguments.out}` serves it")
    return 0
