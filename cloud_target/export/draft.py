"""The draft of a bundle: exported from a checkpoint, or taken as it is from a bundle that exists."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from cloud_target.engine.hf.context import choose_context
from cloud_target.engine.hf.fitness import refuse_untrimmable
from cloud_target.engine.hf.reading import one_sentence
from cloud_target.export.agreement import Agreement
from cloud_target.export.arithmetic import cut_to
from cloud_target.export.builder import Graph
from cloud_target.export.chat import tell_endings, usable_chat
from cloud_target.export.check import Differences, check, compare_stored, make_probe, probe_ids, reference
from cloud_target.export.checkpoint import Checkpoint, load_checkpoint
from cloud_target.export.choices import KINDS
from cloud_target.export.choosing import Trial, choose, write
from cloud_target.export.graph import ARCHITECTURES, obstacle, shared_buffer_graph
from cloud_target.export.precision import Asked, Precision
from cloud_target.export.progress import Progress
from cloud_target.export.quantise import beside
from cloud_target.export.runner import Runner
from cloud_target.export.writing import Stored, fits, write_in_one
from shared.chat.template import ChatTemplate
from shared.errors import InputError
from shared.features import LARGEST
from shared.manifest import DRAFT_DATA, DraftGraph, Probe, read_manifest
from shared.tokenizer import load_tokenizer

# Bytes of a float32 graph that is made whole to be compared and timed; of a larger draft, the first layers are.
WHOLE = 1 << 28


@dataclass(frozen=True)
class Draft:
    """A draft as a device needs it.

    Attributes:
        name, vocabulary, context, end_ids, graph, probe: as in the manifest.
        tokenizer: of the draft.
        chat: its chat template, if it has one that a device can use.
        megabytes: size of its graph.
        differences: of the float32 graph from torch; None where none was made.
        precision: how its weights are stored; None for float32, or for a draft that was kept.
        agreement: of a graph with fewer bits with float32; None where none was made.
    """

    name: str
    vocabulary: int
    context: int
    end_ids: list[int]
    graph: DraftGraph
    probe: Probe
    tokenizer: Tokenizer
    megabytes: float
    chat: ChatTemplate | None = None
    differences: Differences | None = None
    precision: Precision | None = None
    agreement: Agreement | None = None


def is_bundle(source: str | Path) -> bool:
    """Whether a draft is given as a bundle."""
    return (Path(source).expanduser() / "manifest.json").is_file()


def take_draft(bundle: str | Path, out: Path) -> Draft:
    """The draft of a bundle, copied byte for byte into the directory `out`, with its tokenizer.

    Raises:
        BundleError: the bundle is damaged.
    """
    bundle = Path(bundle).expanduser()
    manifest = read_manifest(bundle)
    graph = ["draft.onnx", *([DRAFT_DATA] if manifest.draft.apart else [])]
    for name in (*graph, "tokenizer.json"):
        shutil.copyfile(bundle / name, out / name)
    return Draft(
        name=manifest.name,
        vocabulary=manifest.vocabulary,
        context=manifest.context,
        end_ids=manifest.end_ids,
        graph=manifest.draft,
        probe=manifest.probe,
        tokenizer=load_tokenizer(bundle / "tokenizer.json"),
        megabytes=sum((out / name).stat().st_size for name in graph) / 1e6,
        chat=manifest.chat,
    )


def export_draft(
    source: str | Path,
    out: Path,
    asked: Asked | None = None,
    kind: str = KINDS[0],
    context: int | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Draft:
    """Make the graph of a checkpoint's draft, and see that it computes what the checkpoint computes.

    Weights go from the checkpoint into the graph piece by piece, so that the two of them, in the dtypes that they have
    in files, are about all that is in memory. A draft whose float32 graph is larger than `WHOLE` is compared in two
    ways: its first layers by themselves, as a whole model would be; and all that is stored, with the weights as stored.

    Args:
        source: directory or hub id of a causal language model.
        out: directory that gets `draft.onnx`, `DRAFT_DATA` if need be, and `tokenizer.json`.
        asked: of its weights.
        kind, context, tell: as in `make_bundle`.

    Raises:
        InputError: anything that cannot be used.
        BundleError: the graph computes something else.
    """
    asked = asked or Asked()
    if kind not in KINDS:
        raise InputError(f"a draft cannot be exported as {kind}; choose from {', '.join(KINDS)}")
    checkpoint, kind, length = _read(source, kind, context, tell)
    model, ids = checkpoint.model, probe_ids(checkpoint.vocabulary, length)
    with TemporaryDirectory(dir=out) as scratch, one_sentence(f"{checkpoint.name} cannot be exported"):
        graph = _build(checkpoint, kind, length)
        described = describe(graph, kind, asked.dtype)
        part, layers = _part(graph, checkpoint, kind, length)
        exact = write(part, Path(scratch, "exact"), tell)
        with cut_to(model, layers):
            differences = check(exact.path, model, length, ids)
        of_part = f" (the first {layers} layers)" if layers else ""
        tell(f"equal to torch within {differences.largest:.1e} standard deviations{of_part}")
        tell_endings(checkpoint.tokenizer, tell)
        stored, precision, agreed = exact, None, None
        if asked.dtype != "float32":
            trial = Trial(model, graph, part, exact, length, checkpoint.end_ids or ids[:1], Path(scratch), layers, tell)
            stored, precision, agreed = choose(trial, asked.ways())
        elif layers:
            stored = write(graph, Path(scratch, "whole"), tell)
        if kind == "shared-buffer" and (precision or layers):
            found = compare_stored(beside(stored, "float32"), model, length, ids, precision)
            tell(
                f"as it is stored, equal to torch with the same weights within {found.largest:.1e} standard deviations"
            )
        described = replace(described, dtype=precision.dtype if precision else "float32", apart=not fits(stored.graph))
        spread = float(reference(model, ids)[0].std())
        probe = make_probe(Runner(stored.path, length), ids, spread, described.dtype)
        megabytes = _publish(stored, out, described.apart, tell)
    checkpoint.tokenizer.save(str(out / "tokenizer.json"))
    return Draft(
        name=checkpoint.name,
        vocabulary=checkpoint.vocabulary,
        context=length,
        end_ids=checkpoint.end_ids,
        graph=described,
        probe=probe,
        tokenizer=checkpoint.tokenizer,
        megabytes=megabytes,
        chat=usable_chat(checkpoint.tokens, checkpoint.end_ids, tell),
        differences=differences,
        precision=precision,
        agreement=agreed,
    )


def describe(graph: Graph, kind: str, dtype: str) -> DraftGraph:
    """How to run a draft graph, from its own inputs and outputs.

    Raises:
        InputError: a device could not run it.
    """
    sizes = {
        value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.model.graph.input, *graph.model.graph.output)
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


def _read(
    source: str | Path, kind: str, context: int | None, tell: Callable[[str], None]
) -> tuple[Checkpoint, str, int]:
    """The checkpoint, the kind of graph that it can have, and its longest text.

    Raises:
        InputError: it cannot be a draft.
    """
    checkpoint = load_checkpoint(source, narrow=() if kind == "concat" else tuple(ARCHITECTURES))
    refuse_untrimmable(checkpoint.model, "draft")
    if checkpoint.vocabulary < LARGEST:
        raise InputError(f"a draft needs a vocabulary of {LARGEST} tokens or more, not {checkpoint.vocabulary}")
    length = choose_context(checkpoint.model, context, checkpoint.name, tell)
    if kind == "auto":
        reason = obstacle(checkpoint.model, length)
        kind = "concat" if reason else "shared-buffer"
        tell(f"graph: {kind}" + (f" (no shared buffer: {reason})" if reason else ""))
    if kind == "concat" and checkpoint.model.dtype != torch.float32:
        checkpoint = load_checkpoint(source)  # its weights become constants as they are
    return checkpoint, kind, length


def _part(graph: Graph, checkpoint: Checkpoint, kind: str, context: int) -> tuple[Graph, int | None]:
    """The graph, or that of the first layers where it is larger than `WHOLE`; and how many those are, None for all."""
    if kind == "concat" or graph.nbytes <= WHOLE:
        return graph, None
    model = checkpoint.model
    first = shared_buffer_graph(model, context, layers=1).nbytes
    each = (graph.nbytes - first) / max(model.config.num_hidden_layers - 1, 1)
    layers = 1 + max(int((WHOLE - first) / each), 0)
    return shared_buffer_graph(model, context, layers=layers), layers


def _publish(stored: Stored, out: Path, apart: bool, tell: Callable[[str], None]) -> float:
    """Put a graph into a directory, in one file where that can be; returns how many megabytes it has."""
    if apart:
        names = ["draft.onnx", DRAFT_DATA]
        for name in names:
            stored.path.with_name(name).replace(out / name)
    else:
        names = ["draft.onnx"]
        write_in_one(stored.graph, out / names[0], Progress(tell, "weights written", stored.graph.nbytes))
    return sum((out / name).stat().st_size for name in names) / 1e6


def _build(checkpoint: Checkpoint, kind: str, context: int) -> Graph:
    model = checkpoint.model
    if kind == "shared-buffer":
        return shared_buffer_graph(model, context)
    try:
        from cloud_target.export.optimum_graph import concat_graph  # optimum takes seconds to import
    except ModuleNotFoundError as error:
        raise InputError(_without_optimum(checkpoint.name, model, context, error)) from error
    return concat_graph(model)


def foresee(
    model: PreTrainedModel, context: int, name: str, otherwise: str, tell: Callable[[str], None] = lambda _: None
) -> None:
    """See that a graph can be made of a draft like this, before hours are spent on its weights.

    Args:
        context: longest text, tokens.
        name: of the draft, for people.
        otherwise: what they can do where it can be made nowhere.
        tell: is told, in a sentence, what is missing here to make it.

    Raises:
        InputError: it can be made nowhere.
    """
    if obstacle(model, context) is None:
        return
    try:
        from cloud_target.export.optimum_graph import exporter
    except ModuleNotFoundError as error:
        tell(f"warning: {_without_optimum(name, model, context, error)}")
        return
    with one_sentence(f"{name} cannot be exported"):
        exporter(model, otherwise)


def _without_optimum(name: str, model: PreTrainedModel, context: int, error: ModuleNotFoundError) -> str:
    return (
        f"{name} is exported by way of optimum ({obstacle(model, context) or 'as asked'}), and {error.name} is not "
        "installed here; install Tandem's extra train, which wants transformers below 4.58, or take a draft that needs "
        "none: a Llama, Qwen2 or GPT-2"
    )
