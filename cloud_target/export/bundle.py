"""One call that makes a complete edge bundle from a draft: all of it, or nothing."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from tokenizers import Tokenizer

from cloud_target.engine.files import POCKET, find_directory, read_tokenizer, target_fingerprint
from cloud_target.export.builder import write_model
from cloud_target.export.check import Differences, check, make_probe, probe_ids, reference
from cloud_target.export.checkpoint import DEFAULT_CONTEXT, Checkpoint, check_same_tokens, load_checkpoint
from cloud_target.export.graph import obstacle, shared_buffer_graph
from cloud_target.export.head import baseline_head, read_head
from cloud_target.export.names import DTYPES, KINDS
from cloud_target.export.quantise import Agreement, agreement, quantise, write_texts
from cloud_target.export.runner import Runner
from shared.bundle import Calibration, DraftGraph, Manifest, write_manifest
from shared.config import Criterion, Sampling
from shared.errors import InputError
from shared.features import LARGEST
from shared.identity import tokenizer_fingerprint

# An 8-bit draft must draw the same token as the float32 one in this share of positions.
LEAST_AGREEMENT = 0.95
_TEXTS, _TEXT_LENGTH = 4, 128


@dataclass(frozen=True)
class Target:
    """Whom a bundle is made for: its name, its fingerprint as the server gives it, and its tokenizer."""

    name: str
    fingerprint: str
    tokenizer: Tokenizer


@dataclass(frozen=True)
class BundleReport:
    """What was made, and what the checks on the way found.

    Attributes:
        manifest: as written.
        differences: of the float32 graph from torch.
        agreement: of the 8-bit graph with the float32 one; None for float32.
        trained: whether a trained verifier is in it, or the baseline that needs no training.
        megabytes: size of the draft's graph.
    """

    manifest: Manifest
    differences: Differences
    agreement: Agreement | None
    trained: bool
    megabytes: float


def make_bundle(
    draft: str | Path,
    out: str | Path,
    *,
    target: Target | None = None,
    verifier: str | Path | None = None,
    calibration: Sequence[Calibration] = (),
    end_ids: Sequence[int] | None = None,
    dtype: str = "float32",
    kind: str = "auto",
    context: int | None = None,
    name: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> BundleReport:
    """Export a draft and put everything that a device needs into one directory.

    Args:
        draft: directory or hub id of a causal language model.
        out: the bundle's directory; an older bundle there is replaced, anything else is left alone.
        target: whom the verifier was trained for; its tokenizer must be the draft's.
        verifier: a head made by `export_head`; None for the baseline that needs no training.
        calibration: from budget to threshold, measured with this verifier.
        end_ids: tokens that end a text; None for those that the checkpoint names.
        dtype: of the draft's weights, "float32" or "int8".
        kind: "shared-buffer", "concat", or "auto" for the first where it can be.
        context: longest sequence in tokens; None for the checkpoint's, at most `DEFAULT_CONTEXT`.
        name: of the bundle; None for the draft's.
        tell: is told what is being done, a line at a time.

    Raises:
        InputError: anything that cannot be used; nothing is written then.
        BundleError: the exported graph does not compute what the checkpoint computes.
    """
    out = Path(out)
    _check_place(out)
    if dtype not in DTYPES or kind not in KINDS:
        raise InputError(f"no draft can be {dtype} and {kind}; choose from {', '.join((*DTYPES, *KINDS))}")
    if verifier is None and calibration:
        raise InputError("a calibration holds for one trained verifier only; give that verifier as well")
    checkpoint = load_checkpoint(draft)
    if target is not None:
        check_same_tokens(checkpoint.tokenizer, target.tokenizer)
    if checkpoint.vocabulary < LARGEST:
        raise InputError(f"a draft needs a vocabulary of {LARGEST} tokens or more, not {checkpoint.vocabulary}")
    context = _context(checkpoint, context)
    if kind == "auto":
        reason = obstacle(checkpoint.model, context)
        kind = "concat" if reason else "shared-buffer"
        tell(f"graph: {kind}" + (f" (no shared buffer: {reason})" if reason else ""))

    graph = _build(checkpoint, kind, context)
    ids = probe_ids(checkpoint.vocabulary, context)
    differences = check(graph, checkpoint.model, context, ids)
    tell(f"equal to torch within {differences.largest:.1e} standard deviations")
    ends = list(checkpoint.end_ids if end_ids is None else end_ids)
    agreed = None
    if dtype == "int8":
        graph, agreed = _quantise(graph, checkpoint, context, ends or ids[:1])
        tell(f"int8 draws the same token as float32 at {agreed.sampled:.1%} of {agreed.tokens} positions")

    shape = describe(graph, kind, dtype)
    head = baseline_head(shape.hidden) if verifier is None else read_head(verifier, shape.hidden)
    spread = float(reference(checkpoint.model, ids)[0].std())
    manifest = Manifest(
        name=name or checkpoint.name,
        target_name=target.name if target else "no target in particular",
        target_fingerprint=target.fingerprint if target else "",
        tokenizer_fingerprint=tokenizer_fingerprint(checkpoint.tokenizer),
        vocabulary=checkpoint.vocabulary,
        context=context,
        end_ids=ends,
        draft=shape,
        probe=make_probe(Runner(graph, context), ids, spread, dtype),
        calibration=list(calibration),
    )
    scratch = out.with_name(f".{out.name}.{os.getpid()}.new")
    try:
        scratch.mkdir(parents=True)
        write_model(graph, scratch / "draft.onnx")
        write_model(head, scratch / "verifier.onnx")
        checkpoint.tokenizer.save(str(scratch / "tokenizer.json"))
        write_manifest(scratch, manifest)
        _publish(scratch, out)
    except OSError as error:
        raise InputError(f"cannot write the bundle {out} ({error}); what was there is as it was") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return BundleReport(manifest, differences, agreed, verifier is not None, graph.ByteSize() / 1e6)


def identify_target(source: str) -> Target:
    """The identity of a target that is "pocket", a directory, or a hub id, as its server would give it.

    Raises:
        InputError: it cannot be read.
    """
    directory = find_directory(source)
    local = Path(source).expanduser().is_dir()
    name = "pocket-target" if source == POCKET else directory.resolve().name if local else source
    return Target(name, target_fingerprint(directory), read_tokenizer(directory))


def describe(graph: onnx.ModelProto, kind: str, dtype: str) -> DraftGraph:
    """How to run a draft graph, from its own inputs and outputs."""
    sizes = {
        value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.graph.input, *graph.graph.output)
    }
    keys = [name for name in sizes if name.startswith("past.") and name.endswith(".key")]
    return DraftGraph(
        kind=kind,
        layers=len(keys),
        kv_heads=sizes[keys[0]][1],
        head_size=sizes[keys[0]][3],
        hidden=sizes["hidden"][1],
        candidates=sizes["top_ids"][1],
        dtype=dtype,
    )


def read_calibration(path: str | Path) -> list[Calibration]:
    """A calibration table from a JSON list of objects with the fields of `shared.bundle.Calibration`.

    Raises:
        InputError: the file cannot be read, or is something else.
    """
    try:
        cells = json.loads(Path(path).read_text(encoding="utf-8"))
        return [Calibration(**cell | {"criterion": Criterion(cell["criterion"])}) for cell in cells]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"cannot read a calibration from {path} ({error}); make it again") from error


def _build(checkpoint: Checkpoint, kind: str, context: int) -> onnx.ModelProto:
    if kind == "shared-buffer":
        return shared_buffer_graph(checkpoint.model, context)
    from cloud_target.export.optimum_graph import concat_graph  # optimum takes seconds to import

    return concat_graph(checkpoint.model)


def _quantise(
    graph: onnx.ModelProto, checkpoint: Checkpoint, context: int, start: Sequence[int]
) -> tuple[onnx.ModelProto, Agreement]:
    """The 8-bit graph, if it writes what the float32 one writes."""
    small = quantise(graph)
    exact = Runner(graph, context)
    texts = write_texts(exact, start[:1], _TEXTS, min(_TEXT_LENGTH, context))
    agreed = agreement(exact, Runner(small, context), texts, Sampling())
    if agreed.sampled < LEAST_AGREEMENT:
        raise InputError(
            f"in 8 bits {checkpoint.name} draws the same token as in float32 at only {agreed.sampled:.1%} of "
            f"{agreed.tokens} positions ({LEAST_AGREEMENT:.0%} is required); use --dtype float32"
        )
    return small, agreed


def _context(checkpoint: Checkpoint, wanted: int | None) -> int:
    if wanted is None:
        return min(checkpoint.context, DEFAULT_CONTEXT)
    if not 2 <= wanted <= checkpoint.context:
        raise InputError(f"the context must be between 2 and the draft's own {checkpoint.context} tokens, not {wanted}")
    return wanted


def _check_place(out: Path) -> None:
    if out.is_dir() and any(out.iterdir()) and not (out / "manifest.json").is_file():
        raise InputError(f"{out} holds something that is not a bundle; give a new directory")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; give a directory for the bundle")


def _publish(scratch: Path, out: Path) -> None:
    """Put the finished directory in its place; an older bundle is gone only once the new one is there."""
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    if out.exists():
        out.rename(old)
    scratch.rename(out)
    shutil.rmtree(old, ignore_errors=True)
