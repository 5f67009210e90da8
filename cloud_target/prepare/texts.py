"""The target's own text: what the draft reads while it serves, written after openings of each split's documents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cloud_target.prepare.documents import read_split
from cloud_target.prepare.pair import Pair
from cloud_target.prepare.settings import Settings
from cloud_target.training import conversations, own_text
from cloud_target.training.conversations import write_conversations
from cloud_target.training.own_text import LONGEST_OPENING, OwnText, beginnings, write_own_text, writing_speed
from cloud_target.training.time_left import TimeLeft
from cloud_target.training.work import Stage, Work, code
from shared.config import Sampling

RUN_LENGTH = 128
# A batch has openings of one length, so a text needs several; large batches are faster.
_BATCHES = 4
_SMALLEST_BATCH = 16
_LARGEST_BATCH = 128
_SEED = 1 << 42  # of conversations


@dataclass(frozen=True)
class Text:
    """Text that the target writes.

    Attributes:
        split: whose documents it begins as.
        sampling: how it is drawn.
        share: how long it is, as a share of the tokens asked for.
    """

    split: str
    sampling: Sampling
    share: float

    @property
    def name(self) -> str:
        """For directories: "train-t0.7-p0.9"."""
        return f"{self.split}-t{self.sampling.temperature:g}-p{self.sampling.top_p:g}"

    @property
    def words(self) -> str:
        """For people: "to train, temperature 0.7, top-p 0.9"."""
        return f"to {self.split}, temperature {self.sampling.temperature:g}, top-p {self.sampling.top_p:g}"


# What the table from budget to threshold is made for: greedy, cautious, the default, the target's whole distribution.
# The verifier learns mostly from the last two, in which people sample most; a little from greedy text, where small
# models run in circles. A threshold is as sure as its documents are many, so calibration gets most of the text.
TEXTS = tuple(
    Text(split, Sampling(temperature=temperature, top_p=top_p), share)
    for temperature, top_p, *shares in (
        (0.0, 1.0, 1 / 8, 0.3, 0.15),
        (0.3, 1.0, 1 / 8, 0.3, 0.15),
        (0.7, 0.9, 3 / 8, 0.3, 0.15),
        (1.0, 1.0, 3 / 8, 0.3, 0.15),
    )
    for split, share in zip(("train", "calibrate", "report"), shares, strict=True)
)
# What is written of all of them at least.
LEAST_TOKENS = len(TEXTS) * _SMALLEST_BATCH * RUN_LENGTH


def write_texts(
    work: Work, pair: Pair, documents: Stage, settings: Settings, context: int, tell: Callable[[str], None]
) -> dict[Text, Stage]:
    """Each of `TEXTS`, in a file `own.npz` (`OwnText`), none longer than the draft's `context` in tokens."""
    longest = min(context, LONGEST_OPENING + RUN_LENGTH)
    total = settings.own_tokens * sum(text.share for text in TEXTS)
    left = TimeLeft(total, lambda: speed_of(pair, documents, context))
    found = {}
    for number, text in enumerate(TEXTS):
        found[text] = _write(work, pair, documents, settings, longest, number, left, tell)
        left.reach(settings.own_tokens * sum(text.share for text in TEXTS[: number + 1]))
    return found


def speed_of(pair: Pair, documents: Stage, context: int) -> float:
    """Tokens a second that the target writes, and then reads again, tried on a few."""
    rows = beginnings(read_split(documents, "train"), _SMALLEST_BATCH)
    return writing_speed(pair.target.model, rows, min(context, LONGEST_OPENING + RUN_LENGTH))


def _write(
    work: Work,
    pair: Pair,
    documents: Stage,
    settings: Settings,
    longest: int,
    number: int,
    left: TimeLeft,
    tell: Callable[[str], None],
) -> Stage:
    text, seed = TEXTS[number], 100 * settings.seed + number
    tokens = max(1, round(settings.own_tokens * text.share))
    batch = min(max(tokens // (_BATCHES * RUN_LENGTH), _SMALLEST_BATCH), _LARGEST_BATCH)

    def make(directory: Path) -> None:
        tell(f"  {text.words}; about {left} until all of it is there")
        with left.doing(tokens):
            write().save(directory / "own.npz")

    def write() -> OwnText:
        target = pair.target
        if settings.chat:
            at_once = min(max(tokens // RUN_LENGTH, _SMALLEST_BATCH), _LARGEST_BATCH)  # all have one opening
            made = partial(write_conversations, target.model, pair.frame, [text.sampling], RUN_LENGTH, tokens)
            return made(target.end_ids, longest, at_once, _SEED + seed)
        return write_own_text(
            target.model,
            read_split(documents, text.split),
            [text.sampling],
            RUN_LENGTH,
            tokens,
            target.end_ids,
            context=longest,
            batch=batch,
            seed=seed,
        )

    key = pair.target_key | {"own tokens": tokens, "run length": RUN_LENGTH, "longest": longest}
    key |= {"batch": batch, "seed": seed, "code": code(own_text, conversations)}
    key |= {"chat": True} if settings.chat else {}
    return work.stage(f"own-{text.name}", key, make, [documents])
