"""The table of right answers: rows count what they should, and the paper's score is the paper's head."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.answers import HEADS, KINDS, Row
from benchmarks.cascades import Cascade, Written, _LinearScore, free_scores
from cloud_target.training.errands import errands
from cloud_target.training.verifier import Head
from edge_client.inference.draft import Step
from shared.config import Sampling
from shared.draw import Draw
from shared.features import SCALARS
from shared.sampling import Sampler

HIDDEN = 8


def step_of(seed: int) -> Step:
    random = np.random.default_rng(seed)
    logits = np.sort(random.normal(0, 2, 16).astype(np.float32))[::-1].copy()
    log_normaliser = float(np.log(np.exp(logits).sum()))
    p = np.exp(logits - log_normaliser)
    hidden = random.normal(0, 1, HIDDEN).astype(np.float32)
    return Step(np.arange(16), logits, log_normaliser, float(-(p * np.log(p)).sum()), hidden)


def draw_of(step: Step) -> Draw:
    return Sampler(Sampling(temperature=1.0, top_p=1.0)).draw(step.ids, step.logits, 5)


def test_a_row_counts_right_answers_by_kind_and_their_values() -> None:
    asked = errands(8, 5)
    texts = [errand.answer if errand.kind != "sum" else errand.question for errand in asked]
    cells = Row("all but sums", [Written(text, 20, 5, 2) for text in texts]).cells(asked)
    found = dict(zip(HEADS, cells, strict=True))
    assert found["right %"].startswith("75.0 ±")
    assert [found[f"{kind} %"] for kind in KINDS] == ["100", "0", "100", "100"]
    due = sum(len(errand.values) for errand in asked)
    right = sum(errand.right(text) for errand, text in zip(asked, texts, strict=True))
    assert found["values %"] == f"{100 * right / due:.1f}"
    assert (found["asked %"], found["calls/token"]) == ("25.0", "0.100")


def test_the_papers_score_is_its_heads_doubt() -> None:
    random = np.random.default_rng(0)
    features = SCALARS + HIDDEN
    w2 = random.normal(0, 1, (2, features)).astype(np.float32)
    w2[:, :SCALARS] = 0  # blind to everything but the hidden state
    std = random.uniform(0.5, 2, features).astype(np.float32)
    head = Head(
        random.normal(0, 1, features).astype(np.float32), std, None, None, w2, np.array([0.3, -0.2], np.float32)
    )
    for seed in range(5):
        step = step_of(seed)
        row = np.concatenate([np.zeros(SCALARS, np.float32), step.hidden])[None]
        assert _LinearScore(head)(step, draw_of(step)) == pytest.approx(float(head.doubt(row)[0, 1]), rel=1e-5)


def test_free_scores_doubt_a_surer_draft_less() -> None:
    sure, torn = (step_of(seed) for seed in (1, 1))
    sure.logits[0] += 8
    sure.log_normaliser = float(np.log(np.exp(sure.logits).sum()))
    p = np.exp(sure.logits - sure.log_normaliser)
    sure.entropy = float(-(p * np.log(p)).sum())
    for name in ("entropy of the draft", "its largest probability"):
        cascade = Cascade(free_scores()[name], 0.0)
        doubts = [cascade.doubt(step, draw_of(step), 1.0, 0)[0] for step in (sure, torn)]
        assert doubts[0] < doubts[1]
        assert cascade.seen == doubts
