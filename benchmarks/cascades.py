"""Other ways of choosing whom to ask, on the real loop: a score, and a threshold that stays where it is.

The paper's SPRINTER, cascades on the draft's entropy and on its largest probability, and chance.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edge_client.decoding.decoder import draft_and_ask
from edge_client.decoding.drafter import Drafter
from edge_client.decoding.policy import Sprint
from edge_client.decoding.questions import Questions
from edge_client.decoding.record import Record
from edge_client.decoding.text import Text
from edge_client.decoding.tree import Tree
from edge_client.edge import Edge
from edge_client.inference.draft import Step
from edge_client.settings import Settings
from shared.config import Coupling, Sampling
from shared.draw import Draw
from shared.features import SCALARS
from shared.sampling import Sampler
from shared.stopping import Stopper
from shared.tokenizer import StreamDecoder

if TYPE_CHECKING:
    from cloud_target.training.verifier import Head

Score = Callable[[Step, Draw], float]


def free_scores(seed: int = 0) -> dict[str, Score]:
    """Scores that need no training; higher is more doubtful."""
    chance = random.Random(seed)
    return {
        "entropy of the draft": lambda step, draw: float(step.entropy),
        "its largest probability": lambda step, draw: float(step.log_normaliser - step.logits[0]),
        "chance": lambda step, draw: chance.random(),
    }


def paper_score(draft: str, context: int, target: str, documents: Sequence[np.ndarray], sampling: Sampling) -> Score:
    """The paper's verifier: linear in the draft's hidden state, blind to the drawn token, fitted on these documents.

    Args:
        draft: path of `draft.onnx`; `context` is the longest text it takes.
        target: directory of the target's checkpoint.
        documents: token ids, ``[length]`` each.
        sampling: how tokens are drawn.
    """
    # With these comes torch, which whoever only asks by a score need not load: to do so takes seconds.
    from cloud_target.training.label import label
    from cloud_target.training.models import load_model
    from cloud_target.training.steps import GraphSteps
    from cloud_target.training.verifier import FitSettings, fit

    rows = label(GraphSteps(draft, context), load_model(target), documents, [[sampling]] * len(documents))
    head, _ = fit(rows, FitSettings(units=0), visible=np.arange(rows.features.shape[1]) >= SCALARS)
    return _LinearScore(head)


class _LinearScore:
    def __init__(self, head: Head) -> None:
        weights = head.w2[1] / head.std
        self._weights = weights[SCALARS:]
        self._bias = float(head.b2[1] - weights @ head.mean)

    def __call__(self, step: Step, draw: Draw) -> float:
        return float(1 / (1 + np.exp(-(self._weights @ step.hidden + self._bias))))


@dataclass
class Cascade:
    """Asks where a score is above a threshold.

    Attributes:
        score: of a drawn token.
        threshold: on it.
        seen: the scores so far.
    """

    score: Score
    threshold: float
    seen: list[float] = field(default_factory=list)
    scalars: np.ndarray = field(default_factory=lambda: np.zeros(SCALARS, np.float32))

    def doubt(self, step: Step, draw: Draw, temperature: float, column: int) -> tuple[float, float]:
        """See `edge_client.inference.verifier.Head.doubt`; nothing is foreseen by it."""
        self.seen.append(self.score(step, draw))
        return self.seen[-1], 0.0


@dataclass(frozen=True)
class Written:
    """One text and what it took.

    Attributes:
        text: what was written.
        tokens, asked, calls: counts.
    """

    text: str
    tokens: int
    asked: int
    calls: int


def write(edge: Edge, cascade: Cascade, ids: list[int], settings: Settings) -> Written:
    """Write one text after the prompt `ids`."""
    tokenizer, manifest = edge.bundle.tokenizer, edge.bundle.manifest
    stopper = Stopper(manifest.end_ids, settings.stop, settings.max_tokens or manifest.context)
    text, record = Text(ids, StreamDecoder(tokenizer, ids), stopper), Record()
    session = edge.connect().session(settings.sampling, Coupling.GUMBEL, manifest.end_ids, len(ids))
    with edge.bundle.models.lend() as models, session:
        drafter = Drafter(models.draft, Sampler(settings.sampling), cascade, settings.criterion)
        window = settings.effective_window
        tree = Tree(drafter, Sprint(cascade).accepts, window, bets=False)
        pieces = draft_and_ask(text, drafter, tree, Questions(session, text.shown, window), [record])
        written = "".join(piece.text for piece in pieces)
        return Written(written, len(text.origins), record.asked, session.meter.calls)


def matched(edge: Edge, score: Score, prompts: Sequence[list[int]], settings: Settings, share: float) -> float:
    """The threshold at which about this share of the tokens is asked: the quantile of the score where nothing is."""
    cascade = Cascade(score, float("inf"))
    for ids in prompts:
        write(edge, cascade, ids, settings)
    return float(np.quantile(cascade.seen, 1 - share))
