"""The draft of a bundle: exported from a checkpoint, or taken as it is from a bundle that exists."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from tokenizers import Tokenizer

from cloud_target.engine.hf.context import choose_context
from cloud_target.engine.hf.fitness import refuse_untrimmable
from cloud_target.engine.hf.reading import one_sentence
from cloud_target.export.builder import write_model
from cloud_target.export.chat import tell_endings, usable_chat
from cloud_target.export.check import Differences, check, make_probe, probe_ids, reference
from cloud_target.export.checkpoint import Checkpoint, load_checkpoint
from cloud_target.export.choices import DTYPES, KINDS
from cloud_target.export.graph import obstacle, shared_buffer_graph
from cloud_target.export.quantise import Agreement, agreement, quantise, write_texts
from cloud_target.export.runner import Runner
from shared.chat.template import ChatTemplate
from shared.config import Sampling
from shared.errors import InputError
from shared.features import LARGEST
from shared.manifest import DraftGraph, Probe, read_manifest
from shared.tokenizer import load_tokenizer

# An 8-bit draft must draw the same token as the float32 one in this share of positions.
LEAST_AGREEMENT = 0.95
# Texts that are written to find out.
_TEXTS = 4
# Tokens of each.
_TEXT_LENGTH = 128


@dataclass(frozen=True)
class Draft:
    """A draft as a device needs it.

    Attributes:
        name, vocabulary, context, end_ids, graph, probe: as in the manifest.
        tokenizer: of the draft.
        chat: its chat template, if it has one that a device can use.
        megabytes: size of its graph.
        write: puts `draft.onnx` and `tokenizer.json` into a directory.
        differences: of the float32 graph from torch; None where none was made.
        agreement: of the 8-bit graph with the float32 one; None where none was made.
    """

    name: str
    vocabulary: int
    context: int
    end_ids: list[int]
    graph: DraftGraph
    probe: Probe
    tokenizer: Tokenizer
    megabytes: float
    write: Callable[[Path], None]
    chat: ChatTemplate | None = None
    differences: Differences | None = None
    agreement: Agreement | None = None


def is_bundle(source: str | Path) -> bool:
    """Whether a draft is given as a bundle."""
    return (Path(source).expanduser() / "manifest.json").is_file()


def take_draft(bundle: str | Path) -> Draft:
    """The draft of a bundle, to be written elsewhere byte for byte.

    Raises:
        BundleError: the bundle is damaged.
    """
    bundle = Path(bundle).expanduser()
    manifest = read_manifest(bundle)

    def write(directory: Path) -> None:
        for name in ("draft.onnx", "tokenizer.json"):
            shutil.copyfile(bundle / name, directory / name)

    return Draft(
        name=manifest.name,
        vocabulary=manifest.vocabulary,
        context=manifest.context,
        end_ids=manifest.end_ids,
        graph=manifest.draft,
        probe=manifest.probe,
        tokenizer=load_tokenizer(bundle / "tokenizer.json"),
        megabytes=(bundle / "draft.onnx").stat().st_size / 1e6,
        write=write,
        chat=manifest.chat,
    )


def export_draft(
    source: str | Path,
    dtype: str,
    kind: str,
    context: int | None,
    tell: Callable[[str], None] = lambda _: None,
    least_agreement: float = LEAST_AGREEMENT,
) -> Draft:
    """Make the graph of a checkpoint's draft, and see that it computes what the checkpoint computes.

    Args:
        source: directory or hub id of a causal language model.
        dtype, kind, context, tell, least_agreement: as in `make_bundle`.

    Raises:
        InputError: anything that cannot be used.
        BundleError: the graph computes something else.
    """
    if dtype not in DTYPES or kind not in KINDS:
        raise InputError(
            f"a draft cannot be exported as {dtype} and {kind}; choose from {', '.join((*DTYPES, *KINDS))}"
        )
    checkpoint = load_checkpoint(source)
    refuse_untrimmable(checkpoint.model, "draft")
    if checkpoint.vocabulary < LARGEST:
        raise InputError(f"a draft needs a vocabulary of {LARGEST} tokens or more, not {checkpoint.vocabulary}")
    length = choose_context(checkpoint.model, context, checkpoint.name, tell)
    if kind == "auto":
        reason = obstacle(checkpoint.model, length)
        kind = "concat" if reason else "shared-buffer"
        tell(f"graph: {kind}" + (f" (no shared buffer: {reason})" if reason else ""))
    with one_sentence(f"{checkpoint.name} cannot be exported"):
        graph = _build(checkpoint, kind, length)
        described = describe(graph, kind, dtype)
        ids = probe_ids(checkpoint.vocabulary, length)
        differences = check(graph, checkpoint.model, length, ids)
    tell(f"equal to torch within {differences.largest:.1e} standard deviations")
    tell_endings(checkpoint.tokenizer, tell)
    agreed = None
    if dtype == "int8":
        graph, agreed = _quantise(graph, checkpoint, length, checkpoint.end_ids or ids[:1], least_agreement)
        tell(f"int8 draws the same token as float32 at {agreed.sampled:.1%} of {agreed.tokens} positions")

    def write(directory: Path) -> None:
        write_model(graph, directory / "draft.onnx")
        checkpoint.tokenizer.save(str(directory / "tokenizer.json"))

    spread = float(reference(checkpoint.model, ids)[0].std())
    return Draft(
        name=checkpoint.name,
        vocabulary=checkpoint.vocabulary,
        context=length,
        end_ids=checkpoint.end_ids,
        graph=described,
        probe=make_probe(Runner(graph, length), ids, spread, dtype),
        tokenizer=checkpoint.tokenizer,
        megabytes=graph.ByteSize() / 1e6,
        write=write,
        chat=usable_chat(checkpoint.tokens, checkpoint.end_ids, tell),
        differences=differences,
        agreement=agreed,
    )


def describe(graph: onnx.ModelProto, kind: str, dtype: str) -> DraftGraph:
    """How to run a draft graph, from its own inputs and outputs.

    Raises:
        InputError: a device could not run it.
    """
    sizes = {
        value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.graph.input, *graph.graph.output)
    }
    keys = [name for name in sizes if name.startswith("past.") and name.endswith(".key")]
    widths = {tuple(size[i] for i in (1, 3)) for name, size in sizes.items() if name.startswith("past.")}
    if len(widths) > 1:
        raise InputError(
            "its keys and values do not all have as many heads of one size "
            f"({', '.join(f'{heads} of {size}' for heads, size in sorted(widths))}), and a device's cache has one size "
            "for all; take another draft"
        )
    return DraftGraph(
        kind=kind,
        layers=len(keys),
        kv_heads=sizes[keys[0]][1],
        head_size=sizes[keys[0]][3],
        hidden=sizes["hidden"][1],
        candidates=sizes["top_ids"][1],
        dtype=dtype,
    )


def _build(checkpoint: Checkpoint, kind: str, context: int) -> onnx.ModelProto:
    model = checkpoint.model
    if kind == "shared-buffer":
        return shared_buffer_graph(model, context)
    try:
        from cloud_target.export.optimum_graph import concat_graph  # optimum takes seconds to import
    except ModuleNotFoundError as error:
        raise InputError(
            f"{checkpoint.name} is exported by way of optimum ({obstacle(model, context) or 'as asked'}), and "
            f"{error.name} is not installed here; install Tandem's extra train, which wants transformers below "
            "4.58, or take a draft that needs none: a Llama, Qwen2 or GPT-2"
        ) from error
    return concat_graph(model)


def _quantise(
    graph: onnx.ModelProto, checkpoint: Checkpoint, context: int, start: Sequence[int], least: float
) -> tuple[onnx.ModelProto, Agreement]:
    """The 8-bit graph, if it writes what the float32 one writes."""
    small = quantise(graph)
    exact = Runner(graph, context)
    texts = write_texts(exact, start[:1], _TEXTS, min(_TEXT_LENGTH, context))
    agreed = agreement(exact, Runner(small, context), texts, Sampling())
    if agreed.sampled < least:
        raise InputError(
            f"in 8 bits {checkpoint.name} draws the same token as in float32 at only {agreed.sampled:.1%} of "
            f"{agreed.tokens} positions ({least:.0%} is required); use --dtype float32"
        )
    return small, agreed
