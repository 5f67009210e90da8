"""`cloud-target distil` as a recipe: models, documents, layers, text to learn from, what is measured, and training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from cloud_target.distil import documents, held_out, texts
from cloud_target.distil.card import card
from cloud_target.distil.checkpoint import TABLE, as_json, check_place, saving, write, write_pages
from cloud_target.distil.choice import Choice, choose_layers
from cloud_target.distil.directions import find_width
from cloud_target.distil.held_out import SAMPLINGS, HeldOut
from cloud_target.distil.layers import Layers
from cloud_target.distil.models import Models
from cloud_target.distil.pace import step_seconds
from cloud_target.distil.settings import Settings, check_same_run
from cloud_target.distil.table import Line, Measured, as_markdown, head
from cloud_target.distil.table import as_json as table_for_programs
from cloud_target.distil.training import Training
from cloud_target.distil.width import Width
from cloud_target.distil.writing import FromDocuments, FromNothing, Writer
from cloud_target.engine.hf.context import USUAL
from cloud_target.export.draft import foresee
from cloud_target.training.own_text import writing_speed
from cloud_target.training.time_left import duration
from cloud_target.training.work import Work
from shared.errors import InputError

STEPS = 5
# What determines the run that was begun in a directory.
_RUN = "run.json"
# Held-out text that layers are chosen on: rows, and tokens of a row; and rows of text to learn from that directions,
# heads and neurons are.
_ROWS, _ROW, _WIDE_ROWS = 3, 96, 48
# Texts that the target makes up at once for that.
_AT_ONCE = 12
# Of held-out text, so that none of it is drawn as what is learned from.
_SEED = 1 << 40
# Where no graph can be made of what the draft would be.
_OTHERWISE = "give a smaller model of another kind that has the target's tokens, with --from"
# Bytes that the state takes for each weight of the draft: itself, and two moments at most; the next one is written
# beside it. And those of a draft, which is replaced likewise.
_STATE_BYTES, _DRAFT_BYTES = 2 * 12, 2 * 4
_TEXT_BYTES = 300  # of a token with what the target expects behind it


def distil(settings: Settings, tell: Callable[[str], None] = lambda _: None) -> str:
    """Make a draft for a target, or go on making it; returns the table, in Markdown.

    Args:
        settings: what is asked for.
        tell: is told what is being done, a line at a time.

    Raises:
        InputError: something cannot be used or written; what was finished is kept.
        KeyboardInterrupt: from the keyboard; likewise.
    """
    out = settings.place
    check_place(out)
    corpora = documents.identity(settings)
    try:
        with Work.open(settings.workplace, STEPS, tell) as work:
            return _distil(work, settings, corpora, tell)
    except KeyboardInterrupt:
        tell(f"what was finished is kept in {settings.workplace}; this goes on:\n  {settings.command()}")
        raise


def _distil(work: Work, settings: Settings, corpora: dict[str, list[str]], tell: Callable[[str], None]) -> str:
    out = settings.place
    work.begin("the models")
    models = Models(settings)
    identity = models.identity()
    if not (work.directory / _RUN).exists():  # else it was seen to when the run was begun
        like = models.start() if settings.start else models.target
        foresee(like, min(models.context, USUAL), "the draft", _OTHERWISE, lambda line: tell(f"  {line}"))
        del like
    new = _begin(work.directory, identity | corpora | settings.determining(), out)
    if not new:
        tell("  a run that was begun earlier goes on")
    tell(f"  {models.vocabulary} tokens, texts of up to {models.context}")

    work.begin("documents, layers and width")
    found = documents.read(settings, models.tokenizer)
    if found.train:
        tell(f"  {len(found.train)} documents to learn from, {len(found.held)} held out")
    made_up = FromNothing(models) if settings.chat else None
    choice = _choose(work, models, made_up or FromDocuments(models, found.held), found.held, tell)
    width = _find_width(work, models, choice, made_up or FromDocuments(models, found.train), found.train, tell)
    draft = models.draft(choice.kept if choice else None, width)
    parameters = draft.num_parameters()
    _check_room(settings, parameters, work.directory)
    told = (f", layers {_listed(choice)}" if choice else "") + (f", {settings.hidden} wide" if width else "")
    tell(f"  a draft of {parameters / 1e6:.1f} M parameters{told}")

    work.begin("text to learn from: the target's own, the corpus, and what the target expects there")
    stages = texts.make(work, models, made_up or FromDocuments(models, found.train), found.train, settings, tell)

    work.begin("held-out text, and the time of a step")
    held = _hold_out(work, models, made_up or FromDocuments(models, found.held), settings, tell)
    measured = _measure(work, models, draft, sum(map(len, held)), settings)
    models.drop_target()

    work.begin("training")
    targets = texts.load(stages)
    tell(f"  {len(targets.ids):,} tokens to learn from\n{head()}")

    def pages(lines: Sequence[Line]) -> dict[str, str]:
        told = card(settings, choice, identity, documents.names(settings), parameters, lines, measured)
        table = {TABLE: as_json(table_for_programs(lines, measured)), "agreement.md": as_markdown(lines, measured)}
        return table | {"README.md": told}

    def keep(better: PreTrainedModel | None, lines: Sequence[Line]) -> None:
        if better is None and out.is_dir():
            write_pages(pages(lines), out)
        elif better is not None:
            write(better, models.dtype, models.files, pages(lines), out, check=len(lines) == 1)

    training = Training(
        draft,
        targets,
        held,
        measured,
        settings,
        models.vocabulary,
        models.dtype,
        min(texts.WIDTH, models.context),
        work.directory,
        keep,
        tell,
    )
    return as_markdown(training.run(), measured)


def _begin(directory: Path, determining: dict[str, Any], out: Path) -> bool:
    """Note what determines the run, or see that it is the one that was begun here; whether it is new.

    Raises:
        InputError: it is another one, or the draft is of a run that is gone.
    """
    path, determining = directory / _RUN, json.loads(json.dumps(determining))
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        before = None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path} ({error}); remove {directory} to begin anew") from error
    if before is not None:
        check_same_run(before, determining, directory)
        if not out.exists() and (directory / "state.pt").exists():
            raise InputError(
                f"{out} is gone, and the run in {directory} has trained already; put the draft back, or remove "
                f"{directory} to begin anew"
            )
        return False
    if out.is_dir() and any(out.iterdir()):
        raise InputError(
            f"{out} holds the draft of an earlier run, which {directory} does not know; give another --out"
        )
    with saving(directory):
        scratch = path.with_suffix(".new")
        scratch.write_text(json.dumps(determining, indent=1) + "\n", encoding="utf-8")
        scratch.replace(path)
    return True


def _choose(
    work: Work, models: Models, writer: Writer, documents: Sequence[np.ndarray], tell: Callable[[str], None]
) -> Choice | None:
    """The layers that the draft keeps; None if it keeps all. Chosen on `documents`, or on what the target writes."""
    count = models.layers
    if count is None:
        return None

    def make(directory: Path) -> None:
        rows = _texts(models, writer, documents, _ROWS, _SEED)
        chosen = choose_layers(Layers(models.start()), rows, count, lambda words: tell(f"  choosing layers: {words}"))
        (directory / "choice.json").write_text(json.dumps(asdict(chosen)), encoding="utf-8")

    stage = work.stage("layers", {"layers": count, "rows": [_ROWS, _ROW]}, make)
    read = json.loads((stage / "choice.json").read_text(encoding="utf-8"))
    return Choice(*(tuple(read[name]) for name in ("kept", "gone", "costs")))


def _find_width(
    work: Work,
    models: Models,
    choice: Choice | None,
    writer: Writer,
    documents: Sequence[np.ndarray],
    tell: Callable[[str], None],
) -> Width | None:
    """What the draft keeps of the width of the model that it begins as, without the layers that went; None if all.
    Found on `documents`, or on what the target writes."""
    hidden = models.hidden
    if hidden is None:
        return None

    def make(directory: Path) -> None:
        rows = _texts(models, writer, documents, _WIDE_ROWS, _SEED - 1)
        model = models.cut(choice.kept if choice else None)
        width = find_width(model, rows, hidden, lambda words: tell(f"  finding directions: {words}"))
        width.save(directory / "width.npz")

    kept = choice.kept if choice else None
    stage = work.stage("width", {"hidden": hidden, "rows": [_WIDE_ROWS, _ROW], "layers": kept}, make)
    return Width.load(stage / "width.npz")


def _texts(models: Models, writer: Writer, documents: Sequence[np.ndarray], count: int, seed: int) -> np.ndarray:
    """Up to `count` of the `documents`, or of texts that the target makes up, ``int64 [b, n]``."""
    width, at_once = min(_ROW, models.context), min(count, _AT_ONCE)
    texts = (
        documents or writer.write([SAMPLINGS[-1]], 2 * _ROW, 2 * _ROW * count, models.context, at_once, seed).documents
    )
    long = [text[:width] if documents else text[-width:] for text in texts if len(text) >= width][:count]
    return np.stack(long or [np.resize(np.concatenate(texts), width)]).astype(np.int64)


def _hold_out(
    work: Work, models: Models, writer: Writer, settings: Settings, tell: Callable[[str], None]
) -> list[HeldOut]:
    held, tokens = [], settings.held_out_tokens
    for sampling in SAMPLINGS:

        def make(directory: Path, sampling: Any = sampling) -> None:
            took = duration(
                tokens / writing_speed(models.target, writer.beginnings(held_out.batch(tokens)), models.context)
            )
            tell(f"  {tokens} tokens by the target at temperature {sampling.temperature:g}: about {took}")
            width = min(texts.WIDTH, models.context)
            text = held_out.write(models.target, writer, sampling, width, _SEED + settings.seed, tokens)
            text.save(directory / "held.npz")

        stage = work.stage(f"held-out-t{sampling.temperature:g}", {"tokens": tokens}, make)
        held.append(HeldOut.load(stage / "held.npz", sampling))
    return held


def _measure(work: Work, models: Models, draft: PreTrainedModel, tokens: int, settings: Settings) -> Measured:
    def make(directory: Path) -> None:
        seconds = step_seconds([draft, models.target], models.context)
        (directory / "pace.json").write_text(json.dumps(seconds), encoding="utf-8")

    stage = work.stage("pace", {"device": settings.device}, make)
    own, target = json.loads((stage / "pace.json").read_text(encoding="utf-8"))
    return Measured(own, target, tokens, settings.device)


def _check_room(settings: Settings, parameters: int, directory: Path) -> None:
    """See that all will fit on the disk before hours are spent.

    Raises:
        InputError: it will not.
    """
    places = {directory: parameters * _STATE_BYTES + (settings.own_tokens + settings.corpus_tokens) * _TEXT_BYTES}
    places[settings.place.parent] = places.get(settings.place.parent, 0) + parameters * _DRAFT_BYTES
    for place, needed in places.items():
        free = shutil.disk_usage(place).free
        if free < needed:
            raise InputError(
                f"{place} has {free / 1e9:.1f} GB left, and up to {needed / 1e9:.1f} GB are needed there; make room, "
                "or give another place with --out or --work"
            )


def _listed(choice: Choice) -> str:
    return ", ".join(map(str, choice.kept))
