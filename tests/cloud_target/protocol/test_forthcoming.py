"""Questions that wait are read with the one before them: they are answered as if each were read in its turn, in fewer
passes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.engine.interface import Feed, Scores
from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.protocol.forthcoming import MOST_AHEAD
from cloud_target.protocol.guesses import Guesses
from cloud_target.protocol.prospects import Prospects
from cloud_target.protocol.requests import Request
from cloud_target.testing.drive import serve
from shared import prefix_hash as prefix
from shared.config import Sampling
from shared.wire.v1 import target_pb2 as wire
from tests.cloud_target.protocol.reference import SESSION_ID, Cloud, alone, request
from tests.cloud_target.protocol.test_answer import untimed
from tests.shared.grammar.letters import EXPRESSIONS, kept_to, letters

VOCABULARY, CONTEXT = 5, 60


class Engine(ScriptedEngine):
    """Has room for few guesses now and then, and passes that fail.

    Args:
        branches: whether it reads trees.
        random: says when.
    """

    def __init__(self, seed: int, branches: bool = True, random: Random | None = None) -> None:
        super().__init__(
            random_script(VOCABULARY, seed),
            VOCABULARY,
            slots=3,
            context=CONTEXT,
            block=4,
            tokenizer=letters(VOCABULARY),
        )
        self.branches, self._random = branches, random

    def forward(self, feeds: Sequence[Feed]) -> list[Scores]:
        if self._random is not None and self._random.random() < 0.3:
            feeds = [feed.with_guesses(self._random.randint(0, feed.spare)) for feed in feeds]
        found = super().forward(feeds)
        if self._random is not None and self._random.random() < 0.05:
            raise RuntimeError("the device is away for a moment")
        return found


def foreseeing(
    cloud: Cloud, message: wire.DecodeRequest, waiting: Iterable[wire.DecodeRequest]
) -> list[wire.DecodeResponse]:
    """The answers to a request behind which others wait."""
    requests: list[Request] = [cloud.parse(one) for one in waiting]
    prospects = Prospects(Guesses(cloud.engine.branches), waiting=lambda: requests)
    return list(serve(cloud.table, cloud.parse(message), cloud.engine, prospects))


class Edge:
    """Asks about a text and about many that it may become, as the device's tree does, and otherwise at random."""

    def __init__(self, random: Random, seed: int) -> None:
        self.random, self.script = random, random_script(VOCABULARY, seed)
        self.sampling = Sampling(random.choice([0.0, 0.7, 1.0]), seed=random.getrandbits(64))
        self.end_ids = random.choice([(), (), (4,)])
        self.text = self.ids(random.randint(1, 6))
        self.grammar: wire.Grammar | None = None
        if random.random() < 0.5:
            self.grammar = kept_to(random.choice(EXPRESSIONS), len(self.text))
            self.end_ids = self.end_ids or (4,)

    def ids(self, many: int) -> list[int]:
        return self.random.choices(range(VOCABULARY), k=many)

    def own(self, text: Sequence[int]) -> int:
        """The target's own token after a text, or another one."""
        if self.random.random() < 0.2:
            return self.random.randrange(VOCABULARY)
        return alone(self.script, text, self.sampling, len(text) + 1)[-1]

    def questions(self) -> list[wire.DecodeRequest]:
        """Of texts that are foreseen, the true one among them mostly."""
        random, found = self.random, []
        foreseen = [self.text]
        for _ in range(random.randint(1, 6)):
            base = random.choice(foreseen)
            text = list(base)
            for _ in range(random.randint(0, 5)):
                text.append(self.own(text))
            text = text[:CONTEXT]
            first = max(len(base), 1)
            spans = {
                "audit_from": first,
                "judge_from": random.randint(first, len(text)) if len(text) > first else first,
            }
            if random.random() < 0.3:
                spans = {"audit_from": first, "judge_from": len(text), "audit_only": True}
            elif random.random() < 0.1:
                spans["write_on"] = 3
            position = len(base) if random.random() < 0.9 else random.randint(0, len(base))
            found.append(request(text, position, self.sampling, end_ids=self.end_ids, grammar=self.grammar, **spans))
            foreseen.append(text if "audit_only" in spans else [*text, self.own(text)])
            if len(text) > first:
                foreseen.append([*text[:-1], self.own(text[:-1])])
        return [one for one in found for _ in range(random.choice([1, 1, 1, 2]))]


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(random=st.randoms(use_true_random=False), branches=st.booleans())
def test_every_answer_is_what_it_is_without_foresight(random, branches):
    """Whatever is asked in whatever order, is sent twice, is left out of a pass, fails, or is forgotten."""
    seed = random.randrange(100)
    edge = Edge(random, seed)
    cloud, plain = Cloud(Engine(seed, branches, random)), Cloud(Engine(seed))
    for _ in range(6):
        questions = edge.questions()
        for number, question in enumerate(questions):
            expected = untimed(plain.ask(question))
            found = None
            while found is None:
                with suppress(RuntimeError):
                    found = untimed(foreseeing(cloud, question, questions[number + 1 :]))
            if cloud.table.get(SESSION_ID) is None and plain.table.get(SESSION_ID) is not None:
                assert found[0].HasField("resync")
                return  # a pass over all of the text failed, and nothing is known of it
            assert found == expected
            if random.random() < 0.05:
                with suppress(RuntimeError):
                    cloud.ask(request([1, 2, 3], 0, edge.sampling, session_id=b"b" * 16))
            if random.random() < 0.05:
                cloud.table.release(SESSION_ID)
                plain.table.release(SESSION_ID)
        held = plain.table.get(SESSION_ID)
        edge.text = list(held.ids) if held and random.random() < 0.9 else edge.text
        if len(edge.text) > CONTEXT - 8:
            break


def asked(text: Sequence[int], position: int) -> wire.DecodeRequest:
    """The last token is judged, those from `position` on before it are audited."""
    return request(text, position, Sampling(0.0), audit_from=max(position, 3), judge_from=len(text) - 1)


def passes(questions: Sequence[wire.DecodeRequest], branches: bool = True) -> list[int]:
    """How many passes have run when each is answered; the prompt took one before."""
    cloud, found = Cloud(Engine(1, branches)), []
    cloud.ask(request([1, 2, 3], 0, Sampling(0.0), audit_from=3, judge_from=3, audit_only=True))
    for number, question in enumerate(questions):
        foreseeing(cloud, question, questions[number + 1 :])
        found.append(cloud.engine.passes - 1)
    return found


def story(length: int) -> list[int]:
    return alone(random_script(VOCABULARY, 1), [1, 2, 3], Sampling(0.0), length)


def test_a_chain_of_questions_takes_one_pass():
    """Each builds on the answer to the one before: its token stands, and so does the own one that was foreseen."""
    text = story(40)
    chain = [asked(text[:10], 3), asked(text[:18], 11), asked(text[:25], 19)]
    assert passes(chain) == [1, 1, 1]
    assert passes(chain, branches=False) == [1, 1, 1]
    audits = [
        request(text[:end], end - 9, Sampling(0.0), audit_from=end - 9, judge_from=end, audit_only=True)
        for end in (12, 21, 30)
    ]
    assert passes(audits) == [1, 1, 1]


def test_what_hangs_on_a_token_that_falls_is_read_beside_what_hangs_on_it():
    text = story(40)
    wrong = (text[9] + 1) % VOCABULARY
    falls = asked([*text[:9], wrong], 3)
    on_it, beside = asked([*text[:9], wrong, 0, 0, 0], 11), asked(text[:20], 10)
    assert passes([falls, on_it, beside]) == [1, 1, 1]
    assert passes([falls, on_it, beside], branches=False) == [1, 1, 2]


def test_a_foreseen_answer_that_does_not_come_costs_a_pass():
    text = story(40)
    other = (text[10] + 1) % VOCABULARY
    right, wrong = asked(text[:20], 11), asked([*text[:10], other, 0, 0], 11)
    assert passes([asked(text[:10], 3), wrong, right]) == [1, 1, 1]
    assert passes([asked(text[:10], 3), wrong]) == [1, 1]
    assert passes([asked(text[:10], 3), right, asked(text[:30], 21)]) == [1, 1, 1]


def test_what_was_read_ahead_is_not_read_again():
    """The text goes on where nobody foresaw it: only that is read."""
    text = story(40)
    cloud = Cloud(Engine(1))
    cloud.ask(request(text[:3], 0, Sampling(0.0), audit_from=3, judge_from=3, audit_only=True))
    first, second = asked(text[:10], 3), asked(text[:18], 11)
    foreseeing(cloud, first, [second])
    foreseeing(cloud, second, [])
    before = cloud.engine.fed
    foreseeing(cloud, asked(text[:25], 19), [])
    assert cloud.engine.fed - before == 25 - 18  # the own token, and those after it


def test_there_is_an_end_to_what_is_read_ahead():
    text = [*story(10), *([0] * 40)]
    long = [asked(text[:end], end - 4) for end in range(15, 45, 5)]
    cloud = Cloud(Engine(1))
    cloud.ask(request(text[:3], 0, Sampling(0.0), audit_from=3, judge_from=3, audit_only=True))
    before = cloud.engine.fed
    foreseeing(cloud, asked(text[:10], 3), long * 10)
    assert cloud.engine.fed - before <= 8 + MOST_AHEAD
    [session] = cloud.table._sessions.values()
    assert session.held <= CONTEXT


def test_another_texts_hash_names_no_token():
    """A hash that no token leads to is not taken for one."""
    text = story(20)
    strange = asked(text[:18], 11)
    strange.prefix_hash = prefix.extend(7, text[:11])
    assert passes([asked(text[:10], 3), strange, asked(text[:18], 11)]) == [1, 1, 1]


def test_other_noise_is_another_question():
    """Another stream of the same session draws otherwise; nothing that was read for the first answers it."""
    text = story(40)
    cloud, plain = Cloud(Engine(1)), Cloud(Engine(1))
    first, second = asked(text[:10], 3), asked(text[:18], 11)
    third = request(text[:18], 11, Sampling(1.0, seed=5), audit_from=11, judge_from=17)
    for one in (cloud, plain):
        one.ask(request(text[:3], 0, Sampling(0.0), audit_from=3, judge_from=3, audit_only=True))
    foreseeing(cloud, first, [second])
    plain.ask(first)
    assert untimed(foreseeing(cloud, third, [])) == untimed(plain.ask(third))
