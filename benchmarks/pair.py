"""Which pair a benchmark tries, and on what: the edge's bundle, the target that it asks, documents for prompts."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tokenizers import Tokenizer

from benchmarks.documents import after, openings
from benchmarks.prompts import EVERY
from cloud_target.engine.files import POCKET as TARGET
from cloud_target.training.corpus import read_documents
from edge_client.bundles.pocket import POCKET
from shared.paths import typed_path, typed_place
from shared.tokenizer import encode_prompt


def add_pair(parser: argparse.ArgumentParser, documents: str = "instead of the built-in prompts") -> None:
    """The arguments for both models and for documents.

    Args:
        documents: what becomes of them, for the help.
    """
    add_models(parser)
    add_documents(parser, documents)


def add_models(parser: argparse.ArgumentParser) -> None:
    """The arguments for both models."""
    parser.add_argument("--bundle", type=typed_path, default=POCKET, help="of the edge (default: the embedded one)")
    parser.add_argument(
        "--target", type=typed_place, default=TARGET, help="a directory or a hub id (default: the embedded one)"
    )


def add_documents(parser: argparse.ArgumentParser, use: str) -> None:
    """The arguments for documents."""
    parser.add_argument(
        "--documents",
        type=typed_path,
        nargs="+",
        default=[],
        metavar="FILE",
        help=f"texts to take prompts from, {use}; .xz is unpacked",
    )
    parser.add_argument(
        "--from", dest="start", type=float, default=0.5, help="fraction of each file to skip (default: %(default)s)"
    )


def documents_of(options: argparse.Namespace) -> dict[str, Sequence[str]]:
    """The texts of each file, by its name."""
    return {path.name: after(read_documents(path), options.start) for path in options.documents}


def prompts_of(options: argparse.Namespace, tokenizer: Tokenizer, count: int) -> list[list[int]]:
    """Token ids of prompts: openings of the documents, as many of each file; without any, all the built-in ones.

    Args:
        count: how many openings in all, or one more a file.
    """
    if not options.documents:
        return [encode_prompt(tokenizer, prompt) for prompt in EVERY]
    files = documents_of(options).values()
    each = -(-count // len(files))
    return [prompt for texts in files for prompt in openings(tokenizer, texts, each)]
