"""A draft's step under a grammar: as if the model had no other tokens than those that are allowed."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.decoding.constraint import Constraint
from edge_client.decoding.drafter import Drafter
from edge_client.inference.draft import Step
from edge_client.testing.models import ScriptedDraft, ScriptedVerifier
from shared import noise
from shared.config import Criterion, Sampling
from shared.features import LARGEST, NAMES, SCALARS, write_features
from shared.grammar.engine import GrammarEngine
from shared.grammar.source import of_regex
from shared.sampling import Sampler
from tests.shared.grammar.letters import letters

VOCABULARY, END, BEGIN = 20, 19, 2
GRAMMARS = GrammarEngine(letters(VOCABULARY), VOCABULARY)
PROMPT = [7, 8]


def constraint(expression: str, sampling: Sampling | None = None) -> Constraint:
    return Constraint(GRAMMARS.compile(of_regex(expression)), BEGIN, [END], sampling or Sampling())


def step_of(logits: np.ndarray, candidates: int) -> Step:
    """What a draft's graph gives of a model's logits, ``float32 [VOCABULARY]``."""
    wide = logits.astype(np.float64)
    log_normaliser = float(np.logaddexp.reduce(wide))
    p = np.exp(wide - log_normaliser)
    ids = np.argsort(-logits, kind="stable")[:candidates]
    return Step(ids, logits[ids], log_normaliser, float(-p @ (wide - log_normaliser)), np.zeros(3, np.float32))


@st.composite
def models(draw) -> np.ndarray:
    chance = np.random.default_rng(draw(st.integers(0, 999)))
    return chance.normal(0, draw(st.sampled_from([0.5, 3.0])), VOCABULARY).astype(np.float32)


some_letters = st.sets(st.integers(0, VOCABULARY - 2), min_size=2)


@given(models(), some_letters)
def test_with_all_tokens_known_it_is_the_step_of_a_model_without_the_others(logits, allowed):
    expression = f"[{''.join(chr(ord('a') + i) for i in allowed)}]"
    forbidden = np.ones(VOCABULARY, bool)
    forbidden[list(allowed)] = False
    found = constraint(expression).narrow(step_of(logits, VOCABULARY), PROMPT)
    wanted = step_of(np.where(forbidden, np.float32(-1e9), logits), len(allowed))
    assert (found.is_forced, found.is_blind) == (False, False)
    assert found.step.ids.tolist() == wanted.ids.tolist()
    assert np.array_equal(found.step.logits[: len(allowed)], wanted.logits)
    assert found.step.log_normaliser == pytest.approx(wanted.log_normaliser, abs=1e-5)
    assert found.step.entropy == pytest.approx(wanted.entropy, abs=1e-4)


@given(models(), some_letters, st.integers(1, 6))
def test_the_mass_of_what_is_not_known_counts_against_what_is_drawn(logits, allowed, candidates):
    """The probability of a candidate is never taken for more than it is among all that are allowed."""
    expression = f"[{''.join(chr(ord('a') + i) for i in allowed)}]"
    step = step_of(logits, candidates)
    found = constraint(expression).narrow(step, PROMPT)
    if found.is_blind:
        assert not set(step.ids.tolist()) & allowed
        return
    true = float(np.logaddexp.reduce(logits[list(allowed)].astype(np.float64)))
    assert found.step.log_normaliser >= true - 1e-5
    assert found.step.entropy >= 0
    if len(allowed) == len(found.step.ids):
        assert found.step.log_normaliser == pytest.approx(true, abs=1e-5)


@pytest.mark.parametrize("candidates", [1, 2, 3, 8])
def test_the_verifier_has_features_of_as_few_candidates_as_are_left(candidates):
    logits = np.linspace(3, 0, VOCABULARY, dtype=np.float32)
    found = constraint("[b-e]").narrow(step_of(logits, candidates + 1), PROMPT).step
    assert len(found.logits) >= LARGEST
    draw = Sampler(Sampling(1.0, 0, 1.0)).draw(found.ids, found.logits[: len(found.ids)], 2, found.log_normaliser)
    features = np.zeros(SCALARS + 3, np.float32)
    write_features(features, found.hidden, found.logits, found.log_normaliser, found.entropy, draw, 1.0)
    assert np.isfinite(features).all()
    assert draw.token in (1, 2, 3, 4)
    assert features[NAMES.index("log_probability")] <= 0


@pytest.mark.parametrize("expression", ["[b-c]", "[b-d]", "[b-s]", "[m-s]", "q"])
def test_a_guess_is_the_token_that_is_proposed(expression):
    """And always one that is allowed, also at temperatures at which everything is likely."""
    known = np.exp(np.linspace(0, -3, VOCABULARY))
    seen = set()
    for seed in range(40):
        sampling = Sampling(10.0, 0, 1.0, seed)
        draft = ScriptedDraft(lambda text: known / known.sum(), VOCABULARY, candidates=6)
        verifier = ScriptedVerifier(lambda step, draw: 0.5)
        kept_to = constraint(expression, sampling)
        drafter = Drafter(draft, Sampler(sampling), verifier, Criterion.TYPICAL, keeps_q=True, constraint=kept_to)
        proposal = drafter.propose(PROMPT)
        assert proposal.token in proposal.q[0]
        assert len(proposal.q[0]) == len(proposal.q[1])
        assert proposal.q[1].sum() == pytest.approx(1.0)
        assert drafter.guess(PROMPT) == proposal.token
        seen |= {proposal.token, *proposal.rivals}
    assert all(re.fullmatch(expression, chr(ord("a") + token)) for token in seen)


def test_a_step_of_which_nothing_is_forbidden_is_left_as_it_is():
    step = step_of(np.linspace(3, 0, VOCABULARY, dtype=np.float32), 4)
    assert constraint("[a-s]").narrow(step, PROMPT).step is step
    assert constraint("a").narrow(step, [*PROMPT, 0, END]).step is step, "behind the end"


def test_the_only_token_that_is_allowed_is_forced_whatever_the_draft_thinks():
    found = constraint("q").narrow(step_of(np.linspace(3, 0, VOCABULARY, dtype=np.float32), 4), PROMPT)
    assert (found.is_forced, found.step.ids.tolist()) == (True, [16])


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_where_the_draft_knows_nothing_the_noise_speaks(temperature):
    sampling = Sampling(temperature, seed=3)
    step = step_of(np.linspace(3, 0, VOCABULARY, dtype=np.float32), 4)
    found = constraint("[k-r]", sampling).narrow(step, PROMPT)
    allowed = np.arange(10, 18)
    g = noise.gumbel(noise.key(3, 2), allowed)
    assert found.is_blind
    assert found.step.ids.tolist() == (allowed[np.argsort(-g)] if temperature else allowed)[:3].tolist()
