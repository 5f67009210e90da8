"""Each coupling draws from the distribution that it promises: chi-square over all short texts."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest

from cloud_target.engine import scripted
from shared import noise
from shared.config import Coupling, Mode, Sampling
from shared.grammar.source import of_regex
from tests.edge_client.decoding.pair import Pair, always

PAIR = Pair(vocabulary=4, blur=1.0)
PROMPT, TOKENS, RUNS = (1, 2), 2, 3000
FEWER = 900  # where less will do: there are few texts under a grammar


def expected(next_token, sampling: Sampling) -> dict[tuple[int, ...], float]:
    """Probability of each text of `TOKENS` tokens, given a function from text to next-token probabilities."""
    probabilities = {}
    for text in product(range(PAIR.vocabulary), repeat=TOKENS):
        p = 1.0
        for i, token in enumerate(text):
            p *= next_token((*PROMPT, *text[:i]), sampling)[token]
        if p > 0:
            probabilities[text] = p
    return probabilities


def target(text, sampling):
    return PAIR.probabilities(PAIR.target_logits(text), sampling)


def draft(text, sampling):
    return PAIR.probabilities(PAIR.draft_logits(text), sampling)


def deviation(probabilities: dict[tuple[int, ...], float], write, runs: int = RUNS) -> float:
    """Chi-square of `runs` texts against `probabilities`, in standard deviations from its mean.

    Rare texts share one cell, so that every cell expects five or more.
    """
    counts = Counter(tuple(write(seed).continuation) for seed in range(runs))
    assert set(counts) <= set(probabilities), "a text that cannot be"
    rare = [text for text, p in probabilities.items() if p * runs < 5]
    cells = [(counts[text], p * runs) for text, p in probabilities.items() if text not in rare]
    if rare:
        cells.append((sum(counts[t] for t in rare), sum(probabilities[t] for t in rare) * runs))
    statistic = sum((seen - due) ** 2 / due for seen, due in cells)
    freedom = len(cells) - 1
    return (statistic - freedom) / np.sqrt(2 * freedom)


# What texts are kept to, in letters; token 3 ends them. The draft's favourite is forbidden at first, so one that knows
# nothing else is blind there; then there is one way, or there are three.
EXPRESSION, END_IDS = "(a[bc]?|cb)c*", (3,)
GRAMMAR = PAIR.grammars.compile(of_regex(EXPRESSION))


def kept_to_it(text: tuple[int, ...], of: str, sampling: Sampling) -> np.ndarray:
    """The distribution after a text under the grammar: what it forbids is left out, then comes sampling."""
    allowed = GRAMMAR.cursor(END_IDS).allowed(text[len(PROMPT) :])
    logits = getattr(PAIR, f"{of}_logits")(text)
    left = np.where(allowed.has(np.arange(PAIR.vocabulary)), logits, -1e9)
    return PAIR.probabilities(left, sampling)


def all_texts(of: str, sampling: Sampling, text: tuple[int, ...] = ()) -> dict[tuple[int, ...], float]:
    """Probability of each text of at most `TOKENS` tokens under the grammar."""
    if len(text) == TOKENS or text[-1:] == END_IDS:
        return {text: 1.0}
    found = {}
    for token, p in enumerate(kept_to_it((*PROMPT, *text), of, sampling)):
        rest = all_texts(of, sampling, (*text, token)) if p > 0 else {}
        found |= {longer: p * share for longer, share in rest.items()}
    return found


SAMPLINGS = {"plain": (1.0, 0, 1.0), "truncated": (0.7, 3, 0.9)}
ENOUGH = 5.0  # chi-square is skewed: five standard deviations are about one in ten thousand here


ALONE = (Mode.CLOUD, 1, Coupling.GUMBEL)


@pytest.mark.slow
@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
@pytest.mark.parametrize(
    ("mode", "window", "coupling"), [ALONE, (Mode.EXACT, 3, Coupling.RESIDUAL), (Mode.SPRINT, 3, Coupling.RESIDUAL)]
)
def test_what_the_target_confirms_or_writes_is_distributed_as_p(mode, window, coupling, sampling):
    """`sprint` here asks about every token; whatever the draft proposes, the text is the target's."""

    def write(seed):
        settings = Sampling(*sampling, seed)
        return PAIR.write(mode, settings, PROMPT, always, TOKENS, window, coupling)

    assert deviation(expected(target, Sampling(*sampling)), write) < ENOUGH


@pytest.mark.slow
@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
@pytest.mark.parametrize(
    ("mode", "window", "coupling"),
    [(Mode.CLOUD, 1, Coupling.RESIDUAL), (Mode.EXACT, 3, Coupling.GUMBEL), (Mode.SPRINT, 3, Coupling.GUMBEL)],
)
def test_where_nothing_else_is_drawn_each_text_is_the_one_that_the_target_writes_alone(
    mode, window, coupling, sampling
):
    """So its distribution is that one's, and fewer texts show it."""
    for seed in range(FEWER // 3):
        settings = Sampling(*sampling, seed)
        own = PAIR.write(ALONE[0], settings, PROMPT, always, TOKENS, *ALONE[1:])
        assert PAIR.write(mode, settings, PROMPT, always, TOKENS, window, coupling).continuation == own.continuation


@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
def test_what_the_draft_writes_alone_is_distributed_as_q(sampling):
    assert (
        deviation(
            expected(draft, Sampling(*sampling)),
            lambda seed: PAIR.write(Mode.LOCAL, Sampling(*sampling, seed), PROMPT, tokens=TOKENS),
        )
        < ENOUGH
    )


@pytest.mark.slow
@pytest.mark.parametrize("candidates", [4, 1], ids=["all-known", "one-known"])
@pytest.mark.parametrize("coupling", list(Coupling))
@pytest.mark.parametrize("mode", [Mode.EXACT, Mode.SPRINT])
def test_under_a_grammar_it_is_distributed_as_p_without_what_that_forbids(mode, coupling, candidates):
    """Also where the draft knows of nothing that is allowed."""
    sampling = SAMPLINGS["truncated" if candidates == 4 else "plain"]

    def write(seed):
        return PAIR.write(
            mode,
            Sampling(*sampling, seed),
            PROMPT,
            always,
            TOKENS,
            3,
            coupling,
            END_IDS,
            expression=EXPRESSION,
            candidates=candidates,
        )

    assert deviation(all_texts("target", Sampling(*sampling)), write, FEWER) < ENOUGH


@pytest.mark.slow
@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
def test_under_a_grammar_the_draft_alone_is_distributed_as_q_without_what_that_forbids(sampling):
    def write(seed):
        settings = Sampling(*sampling, seed)
        return PAIR.write(Mode.LOCAL, settings, PROMPT, tokens=TOKENS, end_ids=END_IDS, expression=EXPRESSION)

    assert deviation(all_texts("draft", Sampling(*sampling)), write, FEWER) < ENOUGH


@pytest.mark.slow
@pytest.mark.parametrize("coupling", list(Coupling))
def test_a_verifier_that_asks_blindly_mixes_q_and_p(coupling):
    """A bad verifier, one that tosses a coin, must not bias what is asked: a token is q's or p's as the coin fell."""
    rate = 0.4
    sampling = Sampling(1.0, 0, 1.0)
    coin = np.random.default_rng(7)

    def mixed(text, sampling):
        return (1 - rate) * draft(text, sampling) + rate * target(text, sampling)

    def write(seed):
        return PAIR.write(
            Mode.SPRINT,
            Sampling(1.0, 0, 1.0, seed),
            PROMPT,
            lambda step, draw: float(coin.random() < rate),
            tokens=1,
            window=1000,
            coupling=coupling,
        )

    probabilities = {(token,): p for token, p in enumerate(mixed(PROMPT, sampling))}
    assert deviation(probabilities, write) < ENOUGH


@pytest.mark.slow
def test_a_fresh_draw_after_a_rejection_is_caught(monkeypatch):
    """The known wrong correction: x rejected by p/q, then a fresh draw from p instead of from the residual."""

    def wrong(x, p, q, sampling, position):
        dense = np.zeros_like(p)
        dense[q[0]] = q[1]
        if noise.uniform(noise.key(sampling.seed, position, noise.ACCEPT), np.array([x]))[0] * dense[x] < p[x]:
            return x
        ids = np.flatnonzero(p)
        g = noise.gumbel(noise.key(sampling.seed, position, noise.RESIDUAL), ids)
        return int(ids[np.argmax(np.log(p[ids]) + g)])

    monkeypatch.setattr(scripted, "judge_residual", wrong)

    def write(seed):
        return PAIR.write(Mode.EXACT, Sampling(1.0, 0, 1.0, seed), PROMPT, always, TOKENS, 3, Coupling.RESIDUAL)

    assert deviation(expected(target, Sampling(1.0, 0, 1.0)), write) > 2 * ENOUGH
