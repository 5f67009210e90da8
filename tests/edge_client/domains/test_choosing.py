"""Several verifiers over one text: each is steered as if it had written alone, and only the present one is run."""

from __future__ import annotations

from collections.abc import Sequence
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_client.domains.choosing import Choosing, Panel
from edge_client.domains.contender import Contender
from edge_client.inference.draft import Step
from edge_client.promise import standing
from edge_client.promise.feedback import Feedback
from edge_client.promise.learning import Learner
from edge_client.target.verdict import Audit, Own, Verdict
from shared.config import Criterion, Sampling
from shared.features import SCALARS
from shared.sampling import Sampler
from shared.steering.budget import Budget
from tests.edge_client.domains.heads import HIDDEN, ScriptedHead

NAMES = ("general", "letters", "poems")
STEP = Step(np.arange(8), np.linspace(0, -3, 8, dtype=np.float32), 1.0, 1.0, np.zeros(HIDDEN, np.float32))

DRAW = Sampler(Sampling(temperature=0.7)).draw(STEP.ids, STEP.logits, 5)


def head(number: int) -> ScriptedHead:
    """Of the features' hidden state, doubts of its own."""
    return ScriptedHead(lambda row: float(np.clip(row[SCALARS + number] + 0.001, 0, 1)))


def steering(learns: bool) -> Feedback:
    return Feedback(Criterion.TYPICAL, Budget(0.02), Learner() if learns else None, lambda: 0.1)


class World:
    """The same audits for a text that chooses, and for one of each verifier's own.

    Args:
        chance: what verifiers doubt, and what the target says.
        leaders: who writes on after each answer; None leaves it to the audits.
    """

    def __init__(self, chance: np.random.Generator, learns: bool, leaders: Sequence[str] | None = None) -> None:
        self.chance, self.leaders = chance, None if leaders is None else iter(leaders)
        self.heads = {name: head(number) for number, name in enumerate(NAMES)}
        self.own = {name: steering(learns) for name in NAMES}
        contenders = {name: Contender(name, self.heads[name], steering(learns)) for name in NAMES}
        self.panel, self.lost = Panel(contenders, "general", 0.7), {}
        self.choosing = Choosing(Criterion.TYPICAL, self.panel, dict.fromkeys(NAMES, 0.0), self.lost)
        self.position = self.audited = 0

    def draft(self, revised: bool) -> None:
        """A token, which the text comes to; a tree may have had it for a while."""
        hidden = np.zeros(HIDDEN, np.float32)
        hidden[: len(NAMES)] = self.chance.random(len(NAMES)) ** 4
        step = Step(STEP.ids, STEP.logits, 1.0, 1.0, hidden)
        column = int(self.chance.random() < 0.2)
        shipped, _ = self.panel.doubt(step, DRAW, 0.7, column)
        doubt, seen = self.panel.correct(self.panel.scalars, shipped)
        self.seen = seen
        if revised:
            self.turn(0)
            doubt = self.panel.again(seen, shipped)
        self.choosing.doubted(self.position, doubt, seen)
        for name, feedback in self.own.items():
            alone = head(NAMES.index(name))
            mine, _ = alone.doubt(step, DRAW, 0.7, column)
            inputs = None
            if feedback.learner is not None:
                mine, inputs = feedback.learner.correct(alone.scalars, mine)
            feedback.doubted(self.position, mine, inputs)
        self.position += 1

    def turn(self, count: int, falls: bool = False, wrote: bool = False) -> None:
        """The target answers about the next `count` tokens, and the one after them fell."""
        count = min(count, self.position - self.audited)
        flags = [bool(flag) for flag in self.chance.random(count) < 0.2]
        audit = Audit(self.audited, flags, flags, [False] * count, [1.0] * count)
        fallen = Audit(self.audited + count)
        if falls and self.audited + count < self.position:
            fallen = Audit(self.audited + count, [True], [bool(self.chance.random() < 0.5)], [False], [0.0])
        self.audited += count + len(fallen)
        everybody = [self.choosing, *self.own.values()]
        leaders = self.leaders
        with patch.object(
            standing, "leader", standing.leader if leaders is None else lambda *_: next(leaders, NAMES[0])
        ):
            for listener in everybody:
                if wrote:
                    listener.wrote(self.audited, Own(3, 1.0, False))
                listener.judged(Verdict(0, None, audit, fallen), count, len(fallen))


MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("draft"), st.booleans()),
        st.tuples(st.just("turn"), st.integers(0, 12), st.booleans(), st.booleans()),
    ),
    max_size=60,
)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.booleans(), MOVES, st.none() | st.lists(st.sampled_from(NAMES), max_size=60))
def test_each_is_steered_as_if_it_had_written_alone(seed, learns, moves, leaders):
    """Whoever writes: the account, what doubts are worth, what a learner knows, and so the threshold, are its own."""
    world = World(np.random.default_rng(seed), learns, leaders)
    for kind, *how in moves:
        world.draft(*how) if kind == "draft" else world.turn(*how)
    world.turn(world.position)
    for name, contender in world.panel.contenders.items():
        found, alone = contender.feedback, world.own[name]
        assert found.budget.taught == alone.budget.taught
        assert found.budget.threshold == alone.budget.threshold
        if learns:
            assert found.learner.correction == alone.learner.correction
    present = world.panel.present
    assert world.choosing.threshold == world.choosing.budget.threshold == present.feedback.budget.threshold
    assert sum(one.tokens for one in world.panel.contenders.values()) == world.position


@settings(deadline=None)
@given(st.integers(0, 2**32), MOVES)
def test_only_the_present_one_is_run_for_a_token_and_the_others_once_an_answer(seed, moves):
    world = World(np.random.default_rng(seed), False)
    for kind, *how in moves:
        before = {name: (one.alone, one.runs) for name, one in world.heads.items()}
        present = world.panel.present.name
        if kind == "draft":
            world.draft(False)
            after = {name: (one.alone, one.runs) for name, one in world.heads.items()}
            assert after == before | {present: (before[present][0] + 1, before[present][1])}
            world.panel.again(world.seen, 0.5)
            assert {name: (one.alone, one.runs) for name, one in world.heads.items()} == after
        else:
            world.turn(*how)
            for name, one in world.heads.items():
                assert one.alone == before[name][0]
                assert one.runs <= before[name][1] + (name != present)
    assert all(one.alone + one.rows <= world.position for one in world.heads.values())


def test_what_a_verifier_loses_is_the_log_loss_of_what_its_doubts_were_worth():
    world, chance = World(np.random.default_rng(3), False), np.random.default_rng(3)
    for part in range(2):  # the second time audits have said what doubts are worth
        before = dict(world.lost)
        for _ in range(40):
            world.draft(False)
            chance.random(len(NAMES) + 1)
        doubts = {name: np.array([doubt for doubt, _ in one._waiting.values()]) for name, one in world.own.items()}
        known = {name: one.budget._recalibration for name, one in world.own.items()}
        worth = {name: (one.slope, one.shift, one.caution) for name, one in known.items()}
        assert [slope != 1 for slope, *_ in worth.values()] == [part == 1] * len(NAMES)
        errors = chance.random(40) < 0.2  # as the target will say
        world.turn(40)
        for name, (slope, shift, caution) in worth.items():
            bounded = np.clip(doubts[name], 1e-6, 1 - 1e-6)
            p = 1 / (1 + np.exp(-np.clip(slope * np.log(bounded / (1 - bounded)) + shift + 0.1 * caution, -6, 6)))
            lost = world.lost[name] - before.get(name, 0.0)
            assert lost == pytest.approx(float(-np.log(np.where(errors, p, 1 - p)).sum()))
