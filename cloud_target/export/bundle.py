"""One call that makes a complete edge bundle from a draft: all of it, or nothing."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tokenizers import Tokenizer

from cloud_target.engine.files import POCKET, find_directory, target_fingerprint
from cloud_target.engine.tokens import read_tokens
from cloud_target.export.agreement import Agreement
from cloud_target.export.chat import usable_chat
from cloud_target.export.check import Differences
from cloud_target.export.checkpoint import check_same_tokens, load_checkpoint_tokens, tell_reading
from cloud_target.export.choices import DTYPES, KINDS
from cloud_target.export.draft import export_draft, is_bundle, take_draft
from cloud_target.export.endings import declared_ends, united_ends
from cloud_target.export.head import baseline_head, read_head
from cloud_target.export.precision import Asked, Precision
from cloud_target.export.writing import write_model
from shared.calibration import Calibration, Doubts, Familiar, Wording
from shared.chat.template import ChatTemplate
from shared.errors import InputError
from shared.identity import tokenizer_fingerprint
from shared.manifest import Manifest, write_manifest
from shared.rounding import REPEATABLE, Disagreement
from shared.tokenizer import load_tokenizer


@dataclass(frozen=True)
class Target:
    """Whom a bundle is made for.

    Attributes:
        name, fingerprint: as its server gives them.
        tokenizer: its own.
        chat: its chat template, if it has one that a device can use.
        end_ids: tokens that end its texts.
        dtype: of its forward pass.
        disagreement: with itself, by rounding alone; empty where it is repeatable, or nobody measured it.
    """

    name: str
    fingerprint: str
    tokenizer: Tokenizer
    chat: ChatTemplate | None = None
    end_ids: tuple[int, ...] = ()
    dtype: str = REPEATABLE
    disagreement: tuple[Disagreement, ...] = ()


@dataclass(frozen=True)
class BundleReport:
    """What was made, and what the checks on the way found.

    Attributes:
        manifest: as written.
        differences: of the float32 graph from torch; None for a draft that was kept.
        precision: how the draft's weights are stored; None for float32, or for a draft that was kept.
        agreement: of a draft with fewer bits with the float32 one; None for float32, or for a draft that was kept.
        trained: whether a trained verifier is in it, or the baseline that needs no training.
        megabytes: size of the draft's graph.
    """

    manifest: Manifest
    differences: Differences | None
    precision: Precision | None
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
    calibrated_draft: str = "",
    doubts: Sequence[Doubts] = (),
    familiar: Sequence[Familiar] = (),
    wording: Wording | None = None,
    end_ids: Sequence[int] | None = None,
    dtype: str | None = None,
    block: int | None = None,
    activations: str | None = None,
    head: str | None = None,
    kind: str | None = None,
    context: int | None = None,
    name: str | None = None,
    pages: Mapping[str, str] = MappingProxyType({}),
    tell: Callable[[str], None] = lambda _: None,
    trial: Callable[[Path, Sequence[int], int], None] = lambda *_: None,
) -> BundleReport:
    """Put everything that a device needs into one directory.

    Args:
        draft: directory or hub id of a causal language model, which is exported; or a bundle, whose draft is kept byte
            for byte.
        out: the bundle's directory; an older bundle there is replaced, anything else is left alone.
        target: whom the verifier was trained for. Its tokens must be the draft's; how it reads texts goes before how
            the draft does, for the text is to be the target's.
        verifier: a head made by `export_head`; None for the baseline that needs no training.
        calibration: from budget to threshold, measured with this verifier.
        calibrated_draft: SHA-256 of the `draft.onnx` that the calibration was measured with, if that is known.
        doubts: what the verifier's doubts are like in the calibration's text.
        familiar: how the calibration's text looks to the draft.
        wording: how its documents are worded.
        end_ids: tokens that end a text; None for those that the draft or the target names.
        dtype: of the draft's weights: "float32" (default), "int8" or "int4", or "auto" for the better of the last two
            here.
        block, activations, head: as in `Precision`; what is left open is chosen by measuring.
        kind: "shared-buffer", "concat", or "auto" (default) for the first where it can be.
        context: longest sequence in tokens; None for the checkpoint's, at most 4096.
        name: of the bundle; None for the draft's.
        pages: further text files for people, by name.
        tell: is told what is being done, a line at a time.
        trial: is given the bundle, a prompt and the context before it is put in its place; see `try_on_device`.

    Raises:
        InputError: anything that cannot be used; nothing is written then.
        BundleError: the exported graph does not compute what the checkpoint computes, or the trial failed.
    """
    out = Path(out)
    check_place(out)
    if verifier is None and calibration:
        raise InputError("a calibration holds for one trained verifier only; give that verifier as well")
    if target is not None:
        check_same_tokens(draft_tokenizer(draft), target.tokenizer)
    if is_bundle(draft):
        refuse_changes(dtype=dtype, block=block, activations=activations, head=head, kind=kind, context=context)
    asked = Asked(dtype or DTYPES[0], block, activations, head)
    scratch = _beside(out)
    try:
        scratch.mkdir()
        if is_bundle(draft):
            made = take_draft(draft, scratch)
        else:
            made = export_draft(draft, scratch, asked, kind or KINDS[0], context, tell)
        hidden = made.graph.hidden
        doubter = baseline_head(hidden) if verifier is None else read_head(verifier, hidden)
        chat = target.chat if target and target.chat else made.chat
        tokenizer = made.tokenizer
        ends = list(made.end_ids if end_ids is None else end_ids)
        if target is not None:
            tokenizer = target.tokenizer
            tell_reading(made.tokenizer, tokenizer, tell)
            if end_ids is None:
                ends = united_ends(made.end_ids, target.end_ids, tokenizer, tell)
        if chat is None:
            tell("no chat template: the bundle takes plain prompts only")
        manifest = Manifest(
            name=name or made.name,
            target_name=target.name if target else "no target in particular",
            target_fingerprint=target.fingerprint if target else "",
            tokenizer_fingerprint=tokenizer_fingerprint(tokenizer),
            vocabulary=made.vocabulary,
            context=made.context,
            end_ids=ends,
            draft=made.graph,
            probe=made.probe,
            calibration=list(calibration),
            calibrated_draft=calibrated_draft,
            doubts=list(doubts),
            familiar=list(familiar),
            wording=wording,
            chat=chat,
            target_dtype=target.dtype if target else REPEATABLE,
            disagreement=list(target.disagreement) if target else [],
        )
        if target is not None:
            tokenizer.save(str(scratch / "tokenizer.json"))
        write_model(doubter, scratch / "verifier.onnx")
        for page, text in pages.items():
            (scratch / page).write_text(text, encoding="utf-8")
        write_manifest(scratch, manifest)
        trial(scratch, made.probe.ids, made.context)
        out.parent.mkdir(parents=True, exist_ok=True)
        publish(scratch, out)
    except OSError as error:
        raise InputError(f"cannot write the bundle {out} ({error}); what was there is as it was") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return BundleReport(
        manifest, made.differences, made.precision, made.agreement, verifier is not None, made.megabytes
    )


def draft_tokenizer(draft: str | Path) -> Tokenizer:
    """The tokenizer of a draft that is a checkpoint or a bundle, without its model.

    Raises:
        InputError: there is none.
    """
    if is_bundle(draft):
        return load_tokenizer(Path(draft).expanduser() / "tokenizer.json")
    return load_checkpoint_tokens(draft).tokenizer


def refuse_changes(**asked: str | int | None) -> None:
    """A bundle's draft is what it is.

    Args:
        asked: options of `make_bundle` about the draft, by name.

    Raises:
        InputError: one of these was asked for.
    """
    for name, value in asked.items():
        if value is not None:
            raise InputError(
                f"a bundle's draft is kept as it is, so --{name} cannot be given with one; leave it out, or give the "
                "draft's checkpoint"
            )


def identify_target(source: str) -> Target:
    """The identity of a target that is "pocket", a directory, or a hub id, as its server would give it.

    Raises:
        InputError: it cannot be read.
    """
    directory = find_directory(source)
    local = Path(source).expanduser().is_dir()
    name = "pocket-target" if source == POCKET else directory.resolve().name if local else source
    place = directory if local or source == POCKET else source
    tokens = read_tokens(place)
    ends = declared_ends(place, tokens.tokenizer)
    return Target(name, target_fingerprint(directory), tokens.tokenizer, usable_chat(tokens, ends), tuple(ends))


def read_calibration(path: str | Path) -> list[Calibration]:
    """A calibration table from a JSON list of objects with the fields of `shared.manifest.Calibration`.

    Raises:
        InputError: the file cannot be read, or is something else.
    """
    try:
        cells = json.loads(Path(path).read_text(encoding="utf-8-sig"))
        return [Calibration.from_json(cell, f"[{i}]") for i, cell in enumerate(cells)]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"cannot read a calibration from {path} ({error}); make it again") from error


def check_place(out: Path) -> None:
    """See that a bundle may be written there.

    Raises:
        InputError: something else is there.
    """
    if out.is_dir() and any(out.iterdir()) and not (out / "manifest.json").is_file():
        raise InputError(f"{out} holds something that is not a bundle; give a new directory")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; give a directory for the bundle")


def _beside(out: Path) -> Path:
    """Where a bundle is made: on the same disk, in a directory that there is."""
    there = next(parent for parent in out.absolute().parents if parent.is_dir())
    return there / f".{out.name}.{os.getpid()}.new"


def publish(scratch: Path, out: Path) -> None:
    """Put the finished directory in its place; an older bundle is gone only once the new one is there."""
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    if out.exists():
        out.rename(old)
    scratch.rename(out)
    shutil.rmtree(old, ignore_errors=True)
