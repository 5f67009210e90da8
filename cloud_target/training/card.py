"""The model card of a trained pair, written from what was measured, so that the two cannot drift."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from cloud_target.training.evaluate import as_table
from cloud_target.training.report import check_table, doubts_table
from shared.calibration import DOUBT_COLUMNS
from shared.errors import InputError


@dataclass(frozen=True)
class Corpus:
    """A corpus that weights were trained on.

    Attributes:
        name, licence: as its authors give them.
        source: who made it, and where it is described.
        note: what part of it was used, in a sentence without its full stop.
    """

    name: str
    licence: str
    source: str
    note: str


POCKET_CORPORA = (
    Corpus(
        name="TinyStories",
        licence="CDLA-Sharing-1.0",
        source="Eldan and Li, arXiv 2305.07759",
        note="a subset of its stories",
    ),
    Corpus(
        name="Schema-Guided Dialogue",
        licence="CC BY-SA 4.0",
        source="Rastogi et al., arXiv 1909.05855",
        note="the dialogues' text, as plain lines and in the chat form of `shared/chat/pocket.py`",
    ),
    Corpus(
        name="Errands",
        licence="Apache-2.0, as this project",
        source="made up by `cloud-target train errands`",
        note="questions whose answers are right or wrong, in the same two forms",
    ),
)

POCKET_STEPS = """\
These steps, the training on one NVIDIA H200 and the rest on two CPU cores. STORIES, DIALOGUES and ERRANDS are the
training files, CORPUS all three, DEV their held-out files, of which the figures below take the first 140 documents
each. `train` leaves a fifth of the documents out, for `prepare --unseen`: a target is surer of text that it was trained
on than of any that it will meet. The target read 44.6 M tokens in 53 seconds, the draft 250 M in 378.

    cloud-target train errands --documents 30000 --seed 1 --out errands.train.txt
    cloud-target train errands --documents 1200 --seed 2 --out errands.dev.txt
    cloud-target train tokenizer STORIES DIALOGUES --out runs/tokenizer
    cloud-target train target CORPUS --tokenizer runs/tokenizer --dev DEV --tokens 45000000 --batch-tokens 32768 \\
        --device cuda --out runs/target
    cloud-target train own-text CORPUS --target runs/target --tokens 4500000 --batch 1536 --device cuda \\
        --out runs/own_draft.npz
    cloud-target train draft CORPUS --target runs/target --own-text runs/own_draft.npz --dev DEV \\
        --corpus-tokens 14800000 --tokens 400000000 --minutes 6.3 --batch-tokens 24576 --device cuda --out runs/draft
    cloud-target export --draft runs/draft --target runs/target --dtype int8 --name pocket --out runs/pocket
    cloud-target prepare --target runs/target --draft runs/pocket --corpus CORPUS --unseen \\
        --rows 1200000 --own-tokens 500000 --name pocket --out pocket
    cloud-target evaluate --target runs/target --draft pocket/draft.onnx --dev DEV --documents 140 \\
        --json runs/evaluation.json
    cloud-target train card --target runs/target --draft runs/draft --evaluation runs/evaluation.json \\
        --report pocket/report.json --out README.md"""


def write_card(
    path: str | Path, name: str, target: str | Path, draft: str | Path, evaluation: str | Path, report: str | Path
) -> None:
    """Write a Markdown card.

    Args:
        path: of the card.
        name: of the pair.
        target, draft: their checkpoints.
        evaluation: what `cloud-target evaluate --json` wrote.
        report: the `report.json` of a bundle that `cloud-target prepare` made.

    Raises:
        InputError: one of the files cannot be read.
    """
    try:
        measured = json.loads(Path(evaluation).read_text(encoding="utf-8"))
        heads = json.loads(Path(report).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot write the card of {name} ({error}); give what `evaluate --json` and `prepare` wrote"
        ) from error
    parts = [
        f"# {name}",
        "A target, a draft distilled from it, and a verifier that tells where the draft would leave the target's path. "
        "Small enough to try Tandem without a network; good for short stories in simple English, for booking "
        "dialogues and for four kinds of small errands, and for nothing else. What they write is made up.",
        _shapes(target, draft),
        "## Trained on",
        "\n".join(f"- {c.name} ({c.source}; {c.licence}): {c.note}." for c in POCKET_CORPORA),
        "The weights derive from these texts, and from text that the target wrote itself; whoever passes them on "
        "should name the corpora and heed their licences. No held-out document was trained on.",
        "## How it was made",
        POCKET_STEPS,
        "## Bits per byte on held-out documents",
        _bits(measured["bits_per_byte"]),
        "## Agreement on held-out text",
        "Own text is the target's, after openings of held-out documents; documents are read as they stand.",
        as_table(measured["agreement"]),
        "## Whom to ask: share of tokens asked at a divergence",
        "Where never asking diverges less than the smallest of these budgets, there is no table.",
        *_doubts([*heads["doubts on documents"], *heads["doubts"]]),
        "## Calibrated thresholds on documents that they were not chosen on",
        check_table(heads["checks"]),
    ]
    Path(path).write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _shapes(target: str | Path, draft: str | Path) -> str:
    lines = ["| | layers | width | heads | key-value heads | vocabulary | context |", "|---|---|---|---|---|---|---|"]
    for role, directory in (("target", target), ("draft", draft)):
        c = AutoConfig.from_pretrained(directory, local_files_only=True)
        lines.append(
            f"| {role} | {c.num_hidden_layers} | {c.hidden_size} | {c.num_attention_heads} | {c.num_key_value_heads} "
            f"| {c.vocab_size} | {c.max_position_embeddings} |"
        )
    return "\n".join(lines)


def _doubts(entries: Sequence[dict[str, Any]]) -> Iterator[str]:
    for entry in entries:
        for criterion in map(str, DOUBT_COLUMNS):
            if entry[criterion]["never asking"] > min(entry[criterion]["budgets"]):
                yield doubts_table(entry, criterion)


def _bits(measured: dict[str, dict[str, Any]]) -> str:
    lines = [f"- {file}: " + ", ".join(f"{role} {v:.3f}" for role, v in by.items()) for file, by in measured.items()]
    return "\n".join(lines)
