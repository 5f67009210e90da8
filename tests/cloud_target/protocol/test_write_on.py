"""A target writes on while guesses come: they change no token and nothing that is said of one, only how many passes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count, islice
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.engine.interface import Feed, Scores
from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.protocol.guesses import MOST_JUDGED
from cloud_target.testing.in_process import InProcessTarget
from shared import prefix_hash as prefix
from shared.config import Sampling
from shared.wire import codec
from shared.wire.guesses import TEXT, GuessTree, encode_guesses
from shared.wire.v1 import target_pb2 as wire
from tests.cloud_target.protocol.reference import Cloud, alone, request

VOCABULARY, CONTEXT = 4, 48


class Busy(ScriptedEngine):
    """Has room for few guesses, as a scheduler may decide; and sees that nothing is read outside a session's room.

    Args:
        room: guesses that the next passes have room for, in turn; then all.
    """

    def __init__(self, seed: int, room: Iterable[int] = ()) -> None:
        super().__init__(random_script(VOCABULARY, seed), VOCABULARY, slots=2, context=CONTEXT, block=1)
        self.target: InProcessTarget | None = None
        self._room = iter(room)

    def forward(self, feeds: Sequence[Feed]) -> list[Scores]:
        cut = [feed.with_guesses(min(feed.spare, next(self._room, MOST_JUDGED))) for feed in feeds]
        if self.target is not None:
            allocated = {session.slot: session.allocated for session in self.target.table._in_use.values()}
            assert all(feed.end <= allocated[feed.slot] for feed in feeds)
        return super().forward(cut)


def a_target(seed: int, room: Iterable[int] = ()) -> InProcessTarget:
    target = InProcessTarget(lambda: Busy(seed, room))
    target.engine.target = target
    return target


@dataclass(frozen=True)
class Said:
    """One token, and what is said of it."""

    position: int
    token: int
    nll: int
    unlikely: bool


def said_of(answer: wire.DecodeResponse, position: int) -> list[Said]:
    if answer.HasField("verdict"):
        verdict = answer.verdict
        own = Said(position, verdict.token, verdict.token_nll, verdict.token_unlikely)
        return [own] if verdict.HasField("token") else []
    written = answer.continuation
    assert written.position == position
    unlikely = codec.decode_bitmap(written.unlikely, len(written.tokens)).tolist()
    assert len(written.nll) == len(written.tokens)
    return [Said(position + i, *of) for i, of in enumerate(zip(written.tokens, written.nll, unlikely, strict=True))]


def without_guesses(seed: int, prompt: list[int], sampling: Sampling, end_ids: Sequence[int]) -> list[Said]:
    """What a target that hears no guesses says of every token up to the end."""
    engine = ScriptedEngine(random_script(VOCABULARY, seed), VOCABULARY, context=CONTEXT)
    found: list[Said] = []
    for answer in Cloud(engine).ask(
        request(prompt, 0, sampling, judge_from=len(prompt), write_on=CONTEXT, end_ids=end_ids)
    ):
        found += said_of(answer, len(prompt) + len(found))
    return found


class Edge:
    """Has a text written, and sends guesses in between: right ones, wrong ones, late ones, and about other texts."""

    def __init__(self, random: Random) -> None:
        self.random, seed = random, random.randrange(100)
        self.prompt = self.ids(random.randint(1, 5))
        self.sampling = Sampling(
            random.choice([0.0, 0.7, 1.0]), 0, random.choice([0.8, 1.0]), seed=random.getrandbits(64)
        )
        self.end_ids = random.choice([(), (3,), (0, 1)])
        self.truth = without_guesses(seed, self.prompt, self.sampling, self.end_ids)
        self.target = a_target(seed, [random.randint(0, MOST_JUDGED) for _ in range(random.randrange(10))])
        self.said: list[Said] = []
        self.sent = self.left = 0
        self.connect()

    def ids(self, many: int) -> list[int]:
        return self.random.choices(range(VOCABULARY), k=many)

    @property
    def text(self) -> list[int]:
        return [*self.prompt, *(one.token for one in self.said)]

    @property
    def ended(self) -> bool:
        return len(self.said) == len(self.truth)

    def connect(self) -> None:
        self.stream, self.numbers = self.target.stream(), count(1)

    def ask(self, write_on: int, heard: int) -> None:
        """Have the text gone on with, but hear only the first answers."""
        number, text = next(self.numbers), self.text
        terms = {"end_ids": self.end_ids, "write_on": write_on, "request_id": number}
        message = request(text, min(self.sent, len(text)), self.sampling, judge_from=len(text), **terms)
        if number > 1:
            message.ClearField("session")
        self.left = write_on
        answers = self.stream.answers(message)
        for answer in islice(answers, heard):
            self.hear(answer)
            for _ in range(self.random.choice([0, 0, 1, 1, 4])):
                self.guess()
            if self.random.random() < 0.1:
                self.target.evict()
        answers.close()

    def hear(self, answer: wire.DecodeResponse) -> None:
        if answer.HasField("resync"):
            self.sent = 0
            return
        said = said_of(answer, len(self.text))
        self.said += said
        assert self.said == self.truth[: len(self.said)]
        self.sent = len(self.text)
        if answer.HasField("continuation"):
            assert len(said) <= MOST_JUDGED + 1
            self.left -= len(said)
            assert answer.continuation.done == (self.ended or self.left == 0)

    def guess(self) -> None:
        """Send a tree, perhaps twice, on a beginning of the true text or on another text."""
        random, truth = self.random, [*self.prompt, *(one.token for one in self.truth)]
        base = truth[: max(len(self.text) + random.randint(-3, 6), 0)] if random.random() < 0.8 else self.ids(4)
        paths: list[list[int]] = []
        parents: list[int] = []
        for node in range(random.randint(1, 14)):
            parent = node - 1 if random.random() < 0.8 else random.randint(TEXT, node - 1)
            path = base if parent == TEXT else paths[parent]
            is_right = path == truth[: len(path)] and len(path) < len(truth) and random.random() < 0.8
            paths.append([*path, truth[len(path)] if is_right else random.randrange(VOCABULARY)])
            parents.append(parent)
        odds = [random.random() for _ in parents] if random.random() < 0.7 else []
        tree = GuessTree(len(base), prefix.extend(0, base), [path[-1] for path in paths], parents, odds=odds)
        for _ in range(random.choice([1, 1, 2])):
            message = wire.DecodeRequest(request_id=next(self.numbers), guesses=encode_guesses(tree))
            assert list(self.stream.answers(message)) == []


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32))
def test_any_guesses_at_any_time_change_nothing_that_is_said(seed):
    random = Random(seed)
    edge, others = Edge(random), count(1)
    while not edge.ended:
        match random.randrange(8):
            case 0:
                edge.connect()
            case 1:
                edge.target.evict()
            case 2:
                other = bytes([next(others)]) * 16
                whole = request([1, 2], 0, edge.sampling, judge_from=2, write_on=20, session_id=other)
                list(edge.target.stream().answers(whole))
        edge.ask(random.choice([0, 1, 3, 9, 50]), random.choice([1, 2, 3, 99]))


PROMPT, GREEDY, WRITE_ON = [1, 2, 3], Sampling(0.0), 40
# After the verdict's own token, which the edge has heard before it guesses.
TRUTH = alone(random_script(VOCABULARY), PROMPT, GREEDY, len(PROMPT) + 1 + WRITE_ON)
KNOWN = len(PROMPT) + 1


def passes(tokens: Sequence[int], parents: Sequence[int] | None = None, odds: Sequence[float] = ()) -> int:
    """How many passes a text takes whose target hears these guesses before it writes on; the text is as ever."""
    target = a_target(0)
    stream = target.stream()
    answers = stream.answers(request(PROMPT, 0, GREEDY, judge_from=len(PROMPT), write_on=WRITE_ON))
    text, before = [*PROMPT, next(answers).verdict.token], target.engine.passes
    parents = parents or range(TEXT, len(tokens) - 1)
    tree = GuessTree(KNOWN, prefix.extend(0, text), tokens, parents, odds=odds or [1.0] * len(tokens))
    assert not list(stream.answers(wire.DecodeRequest(request_id=2, guesses=encode_guesses(tree))))
    for answer in answers:
        text += answer.continuation.tokens
    assert text == TRUTH
    return target.engine.passes - before


def wrong(token: int) -> int:
    return (token + 1) % VOCABULARY


def test_perfect_guesses_stand_all_and_each_pass_adds_one():
    assert passes(TRUTH[KNOWN:]) == math.ceil(WRITE_ON / (MOST_JUDGED + 1))


def test_wrong_guesses_cost_no_pass():
    assert passes([wrong(TRUTH[KNOWN])]) == passes([wrong(token) for token in TRUTH[KNOWN:]]) == WRITE_ON


def test_few_guesses_save_as_many_passes():
    assert passes(TRUTH[KNOWN : KNOWN + 5]) == WRITE_ON - 5


def test_guesses_beyond_the_end_are_not_judged():
    assert passes([*TRUTH[KNOWN:], 0, 1, 2, 3]) == math.ceil(WRITE_ON / (MOST_JUDGED + 1))


def fork(choice: float) -> int:
    """Passes where the fourth guess is wrong, and has followers of its own, and the right one is likely to the rest."""
    right = TRUTH[KNOWN:]
    tokens = [*right[:3], wrong(right[3]), 0, 0, *right[3:]]
    parents = [TEXT, 0, 1, 2, 3, 4, 2, *range(6, len(tokens) - 1)]
    odds = [1.0] * 3 + [choice, 1.0, 1.0, 1.0 - choice] + [1.0] * (len(right) - 4)
    return passes(tokens, parents, odds)


def test_one_pass_judges_the_likely_branches_of_a_tree():
    """Behind the fork there is room for all but the three wrong ones."""
    assert fork(0.6) == 1 + math.ceil((WRITE_ON - (MOST_JUDGED + 1 - 3)) / (MOST_JUDGED + 1))


def test_after_a_fall_the_guesses_behind_the_token_that_came_are_next():
    """What is hardly likely is not judged beside the rest; but once the token came, all behind it is likely."""
    assert fork(0.97) == 1 + math.ceil((WRITE_ON - 4) / (MOST_JUDGED + 1))
