"""`cloud-target prepare` as a recipe: pair, draft, documents, own text, rows, heads, and the finished bundle."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from cloud_target.export import blocks, candidates, gpt2, graph, llama, packing, quantise, weights
from cloud_target.export.bundle import Target, check_place, make_bundle
from cloud_target.export.choices import DTYPES, KINDS
from cloud_target.export.domain import add_verifier, check_domain, check_target
from cloud_target.prepare import first
from cloud_target.prepare.documents import SPLITS, check_readable, read_split, split_documents
from cloud_target.prepare.heads import VERIFIER, ExportedHead, fit_heads, read_heads
from cloud_target.prepare.labels import READ, label_texts, read_rows
from cloud_target.prepare.measure import measure_documents, measure_own_text
from cloud_target.prepare.noise import measure_disagreement
from cloud_target.prepare.page import page
from cloud_target.prepare.pair import Pair
from cloud_target.prepare.settings import Settings
from cloud_target.prepare.texts import Text, write_texts
from cloud_target.prepare.words import chosen
from cloud_target.prepare.words import first as first_words
from cloud_target.training.calibrate import calibrate, doubts, familiar, wording
from cloud_target.training.label import Rows
from cloud_target.training.work import Stage, Work, code
from shared.calibration import DOUBT_COLUMNS, Calibration, Doubts, Familiar, Wording
from shared.errors import InputError
from shared.identity import file_digest
from shared.manifest import Domain, Manifest, read_manifest
from shared.rounding import Disagreement

STEPS = 7
STEPS_BEFORE = 3  # those that a first bundle shares with the finished one


def prepare(settings: Settings, tell: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Train and calibrate a verifier for a pair, and write its bundle with a report, or add it to a bundle.

    Args:
        settings: what is asked for.
        tell: is told what is being done, a line at a time.

    Returns:
        The report, as `report.json` in the bundle has it.

    Raises:
        InputError: something cannot be used or written; finished stages are kept.
    """
    check_place(settings.place)
    had = _bundle_of(settings)
    check_writable(settings.place)
    check_readable((*settings.corpus, *settings.dev))
    with Work.open(settings.workplace, STEPS, tell) as work:
        work.begin("the pair")
        if had is not None:
            settings = replace(settings, target_dtype=settings.target_dtype or had.target_dtype)
        pair = Pair(settings)
        if had is not None:
            check_target(had, pair.identity)
        tell(
            f"  draft and target share {pair.vocabulary} tokens; the target is {pair.identity.fingerprint[:12]}, in "
            f"{pair.target_dtype}"
        )

        work.begin("graph of the draft")
        draft = _draft(work, pair, settings, tell)

        work.begin("documents")
        documents = split_documents(work, pair, settings, tell)
        counts = {name: len(read_split(documents, name)) for name in SPLITS}
        tell("  " + ", ".join(f"{count} to {name}" for name, count in counts.items()))

        few = first.smaller(work, pair, draft, documents, settings, tell)
        if few is not None:
            _make_first(work, pair, draft, documents, few, settings, tell)
        return _make(work, pair, had, draft, documents, settings, settings, tell)


def _make_first(
    work: Work,
    pair: Pair,
    draft: Stage,
    documents: Stage,
    few: Settings,
    settings: Settings,
    tell: Callable[[str], None],
) -> None:
    """A first bundle; where so little does not suffice for one, the run goes on all the same."""

    def within(line: str) -> None:
        tell(f"    {line.strip()}")

    try:
        with Work.open(work.directory / first.DIRECTORY, STEPS - STEPS_BEFORE, within) as inner:
            report = _make(inner, pair, None, draft, documents, few, settings, within)
    except InputError as error:
        tell(f"  there is no first bundle ({error}); going on")
    else:
        tell(f"  {first_words(report)}, is in {settings.place}; going on")


def _make(
    work: Work,
    pair: Pair,
    had: Manifest | None,
    draft: Stage,
    documents: Stage,
    settings: Settings,
    asked: Settings,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """The bundle, from what documents, pair and the draft's graph are; returns its report.

    Args:
        settings: how much text and how many rows it is made of.
        asked: as the user gave them, for the report; others where it is a first bundle.
    """
    work.begin("own text of the target")
    texts = write_texts(work, pair, documents, settings, read_manifest(draft.directory).context, tell)

    work.begin("rows: the draft's steps, and what the target says of them")
    rows, *read = label_texts(work, pair, draft, texts, documents, settings, tell)

    noise = measure_disagreement(work, pair, texts, settings, tell) if had is None else had.disagreement

    if settings.part == 1:
        pair.release()  # the target has said all
    work.begin("the verifier")
    heads = fit_heads(work, read[0], {t: stage for t, stage in rows.items() if t.split == "train"}, settings)
    for choice in read_heads(heads)[2]["chosen"]:
        tell(f"  {chosen(choice)}")

    work.begin("calibration, report and bundle")
    cells, spread, seen = _calibrate(read_heads(heads)[0], rows)
    fewest = min(cell.documents for cell in cells)
    if 1 / (fewest + 1) > min(cell.budget for cell in cells):
        tell(
            f"  calibrated on {fewest} documents, which can promise no less than {1 / (fewest + 1):.1%}; smaller "
            "budgets ask about every token, unless you give more --own-tokens or more held-out documents"
        )
    words = wording(pair.tokenizer, read_split(documents, "calibrate"))
    counts = {name: len(read_split(documents, name)) for name in SPLITS}
    report = _report(asked, pair, draft, counts, heads, rows, read[1], cells, spread, seen, noise)
    if settings.part < 1:
        report |= {"name": f"{report['name']}, a first one", "first": first.of_rows(report["rows"], settings.part)}
    pages = {f"{settings.page}.json": _as_json(report), f"{settings.page}.html": page(report)}
    if settings.domain is None:
        target = replace(pair.identity, disagreement=tuple(noise))
        _publish(settings, target, draft, heads, cells, spread, seen, words, report["name"], pages, tell)
    else:
        calibrated = file_digest(draft / "draft.onnx")
        domain = Domain(settings.domain, cells, calibrated, spread, seen, words)
        add_verifier(Path(settings.draft).expanduser(), settings.place, domain, heads / VERIFIER, pages)
    return report


def _bundle_of(settings: Settings) -> Manifest | None:
    """The bundle that a domain is added to; None where none is.

    Raises:
        InputError: it cannot have it, or something else was asked for that only a new bundle can have.
    """
    if settings.domain is None:
        return None
    if settings.name is not None:
        raise InputError("--name is of a new bundle, and --domain adds to one that has a name; leave --name out")
    return check_domain(Path(settings.draft).expanduser(), settings.domain)


def check_writable(out: Path) -> None:
    """See that a bundle can be written before hours are spent on it.

    Raises:
        InputError: it cannot.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise InputError(f"cannot write to {out.parent} ({error.strerror or error}); give another --out") from error


def _draft(work: Work, pair: Pair, settings: Settings, tell: Callable[[str], None]) -> Stage:
    """A bundle without a trained verifier: what the edge will run, and so what the rows are made with."""
    dtype, kind, context = settings.dtype, settings.kind, settings.context
    if not pair.draft_is_bundle:  # to ask for a default is to ask for nothing new
        dtype, kind = dtype or DTYPES[0], kind or KINDS[0]

    def make(directory: Path) -> None:
        make_bundle(
            settings.draft, directory, dtype=dtype, kind=kind, context=context, tell=lambda line: tell(f"  {line}")
        )

    key = pair.draft_key | {"dtype": dtype, "kind": kind, "context": context}
    key |= {"code": code(blocks, candidates, gpt2, graph, llama, packing, quantise, weights)}
    return work.stage("draft", key, make)


def _calibrate(head: ExportedHead, rows: dict[Text, Stage]) -> tuple[list[Calibration], list[Doubts], list[Familiar]]:
    """The table from budget to threshold, the doubts in its text, and what that looks like to the draft."""
    cells, spread, seen = [], [], []
    for text, stage in rows.items():
        if text.split == "calibrate":
            temperature, top_p = text.sampling.temperature, text.sampling.top_p
            found = read_rows(stage)
            for criterion in DOUBT_COLUMNS:
                cells += calibrate(head, found, criterion, temperature, top_p)
                spread.append(doubts(head, found, criterion, temperature, top_p))
            seen.append(familiar(_one_draw(read_rows(stage, by_text=True)), temperature, top_p))
    order = {str(criterion): number for number, criterion in enumerate(DOUBT_COLUMNS)}
    return sorted(cells, key=lambda c: (order[c.criterion], c.temperature, c.top_p, c.budget)), spread, seen


def _one_draw(rows: Rows) -> Rows:
    """Each position of a text once, in order."""
    _, first = np.unique(np.stack((rows.document, rows.position)), axis=1, return_index=True)
    return rows.where(first)


def _report(
    settings: Settings,
    pair: Pair,
    draft: Stage,
    counts: dict[str, int],
    heads: Stage,
    rows: dict[Text, Stage],
    read: Stage,
    cells: list[Calibration],
    spread: list[Doubts],
    seen: list[Familiar],
    noise: list[Disagreement],
) -> dict[str, Any]:
    head, others, fitted = read_heads(heads)
    measured = [
        measure_own_text(read_rows(stage, by_text=True), text.sampling, head, others, cells, spread)
        for text, stage in rows.items()
        if text.split == "report"
    ]
    documents = measure_documents(read_rows(read), READ, head, others)
    asked = asdict(replace(settings, corpus=(), dev=(), work=None))
    files = {"corpus": settings.corpus, "dev": settings.dev}
    return {
        "name": _report_name(settings, draft),
        "command": settings.command(),
        "settings": {name: value for name, value in asked.items() if name in ("rows", "own_tokens", "seed", "unseen")},
        "pair": {
            "target": pair.identity.name,
            "target fingerprint": pair.identity.fingerprint,
            "target dtype": pair.target_dtype,
            "draft": Path(settings.draft).expanduser().name,
            "draft fingerprint": pair.draft_key["draft"],
            "vocabulary": pair.vocabulary,
        },
        "corpora": [
            {"role": role, "file": path.name, "sha256": file_digest(path)}
            for role, paths in files.items()
            for path in paths
        ],
        "documents": counts,
        "rows": fitted["rows"],
        "loss": round(fitted["loss"], 5),
        "chosen": fitted["chosen"],
        "agreement": [*documents["agreement"], *(entry["agreement"] for entry in measured)],
        "doubts": [entry["doubts"] for entry in measured],
        "doubts on documents": documents["doubts"],
        "free doubts": measured[0]["free doubts"],
        "steered": [one for entry in measured for one in entry["steered"]],
        "checks": [check for entry in measured for check in entry["checks"]],
        "curves": [curve for entry in measured for curve in entry["curves"]],
        "calibration": [asdict(cell) for cell in cells],
        "familiar": [asdict(text) for text in seen],
        "disagreement": [asdict(way) for way in noise],
    }


def _report_name(settings: Settings, draft: Stage) -> str:
    name = settings.name or read_manifest(draft.directory).name
    return f"{name}, {settings.domain}" if settings.domain else name


def _publish(
    settings: Settings,
    target: Target,
    draft: Stage,
    heads: Stage,
    cells: list[Calibration],
    spread: list[Doubts],
    seen: list[Familiar],
    words: Wording,
    name: str,
    pages: dict[str, str],
    tell: Callable[[str], None],
) -> None:
    make_bundle(
        draft.directory,
        settings.place,
        target=target,
        verifier=heads / VERIFIER,
        calibration=cells,
        calibrated_draft=file_digest(draft / "draft.onnx"),
        doubts=spread,
        familiar=seen,
        wording=words,
        pages=pages,
        name=name,
        tell=lambda line: tell(f"  {line}"),
    )


def _as_json(report: dict[str, Any]) -> str:
    """A line for each part, which may be long: the curves are many numbers."""
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(part)}" for name, part in report.items()) + "\n}\n"
