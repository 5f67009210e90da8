"""A target that says how far it has read: that is progress, its reader is told, and nonsense is refused."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.target.client import TargetClient, TargetSession
from edge_client.target.reading import TOLD_AFTER, TOLD_EVERY, GivenUp, Reading, ReadingNote, about, interval
from edge_client.target.retry import Retry
from edge_client.target.verdict import Question
from edge_client.testing import LoopbackTransport, LossyTransport, ManualClock, ScriptedTarget, Trouble, random_script
from shared.config import Coupling
from shared.errors import ProtocolError, TargetAway
from shared.wire import codec
from shared.wire.v1 import target_pb2 as wire
from tests.edge_client.reading import ReadingTransport
from tests.edge_client.target.conversation import PROMPT, SAMPLING, VOCABULARY, make_cloud, open_session, own_text
from tests.edge_client.target.test_session import sprint

LENGTH = 8000
PROMPT_OF_MINUTES = [i * i % VOCABULARY for i in range(LENGTH)]
RETRY = Retry()


class Slow:
    """A transport whose target takes `seconds` to read a text, and says so every second as far as it `tells`."""

    def __init__(self, seconds: float, clock: ManualClock, tells: bool = True, gets_on: bool = True) -> None:
        self._inner = LoopbackTransport(ScriptedTarget(random_script(VOCABULARY), VOCABULARY, 2 * LENGTH))
        self._seconds, self._clock, self._tells, self._gets_on = seconds, clock, tells, gets_on
        self.kept, self.breaks_at, self.opened, self.closed = 0.0, 0.0, 0, 0
        self.describe, self.release = self._inner.describe, self._inner.release

    def open(self) -> Slow:
        self._link, self._heard = self._inner.open(), 0.0
        self.opened += 1
        return self

    def send(self, message: wire.DecodeRequest) -> None:
        self._message = message
        self._every = message.session.reading_ms / 1e3 if message.HasField("session") else self._every
        self._link.send(message)

    def receive(self, timeout: float) -> wire.DecodeResponse | None:
        if self.kept >= self._seconds:
            return self._link.receive(timeout)
        passes = min(timeout, self._every if self._tells else timeout)
        self._clock.sleep(passes)
        self.kept += passes if self._gets_on else 0.0
        if not self._tells or passes < self._every:
            return None
        of = self._message.position + len(self._message.tokens)
        word = wire.Reading(read=int(of * min(self.kept / self._seconds, 1.0)), of=of)
        return wire.DecodeResponse(request_id=self._message.request_id, reading=word)

    def close(self) -> None:
        self.closed += 1


def session_on(transport: Slow, clock: ManualClock, told: list[tuple[float, str]], **more) -> TargetSession:
    client = TargetClient(transport, "there:1", RETRY, clock, random.Random(0))

    def tell(sentence: str) -> None:
        told.append((clock.now(), sentence))

    return client.session(SAMPLING, Coupling.GUMBEL, (), LENGTH, notify=tell, **more)


def test_a_prompt_of_three_minutes_is_waited_for_and_told_of():
    clock, told = ManualClock(), []
    session = session_on(transport := Slow(180.0, clock), clock, told)
    assert session.judge(PROMPT_OF_MINUTES, LENGTH).own is not None
    assert transport.opened == 1
    assert session.meter.reconnects == 0
    assert 180.0 <= clock.now() < 182.0
    assert session.meter.wait_seconds >= 180.0
    first, *_, last = [sentence for _, sentence in told]
    assert first == "the target at there:1 has read 88 of 8,000 tokens, about 3 minutes left"
    assert last == "the target at there:1 has read all of 8,000 tokens, in 3 minutes"
    assert "the target at there:1 has read 4,088 of 8,000 tokens, about 90 s left" in [one for _, one in told]
    assert [round(at) for at, _ in told[:-1]] == list(range(2, 180, 10))
    assert all(isinstance(sentence, ReadingNote) for _, sentence in told)


def test_the_words_are_counted_as_bytes_and_cost_nothing_else():
    clock = ManualClock()
    told, silent = session_on(Slow(50.0, clock), clock, []), session_on(Slow(0.0, clock), clock, [])
    for session in (told, silent):
        session.judge(PROMPT_OF_MINUTES, LENGTH)
    assert told.meter.calls == silent.meter.calls == 1
    assert told.meter.bytes_up == silent.meter.bytes_up
    assert 50 * 6 <= told.meter.bytes_down - silent.meter.bytes_down <= 50 * 12


def test_a_target_that_says_nothing_is_waited_for_as_before():
    clock = ManualClock()
    with pytest.raises(TargetAway):
        session_on(Slow(180.0, clock, tells=False), clock, []).judge(PROMPT_OF_MINUTES, LENGTH)
    assert RETRY.attempt <= clock.now() <= RETRY.total


def test_a_target_that_reads_no_further_is_no_progress():
    clock = ManualClock()
    with pytest.raises(TargetAway, match="no progress"):
        session_on(transport := Slow(180.0, clock, gets_on=False), clock, []).judge(PROMPT_OF_MINUTES, LENGTH)
    assert RETRY.total - 2.0 <= clock.now() <= RETRY.total + 1.0
    assert transport.opened <= 3, "but it is alive, so its place in the line is kept"


def test_a_question_that_waits_for_the_text_to_be_read_tells_nothing_of_the_link():
    clock = ManualClock()
    session = session_on(Slow(0.0, clock), clock, [])
    session.read_ahead(PROMPT_OF_MINUTES)
    session.post(Question(PROMPT_OF_MINUTES, LENGTH, LENGTH))
    _, verdict = session.collect(True)
    assert not session.meter.trips
    text = [*PROMPT_OF_MINUTES, verdict.own.token]
    session.post(Question(text, len(text), len(text)))
    assert session.collect(True) is not None
    assert len(session.meter.trips) == 1
    assert session.meter.calls == 3


def test_what_takes_a_moment_is_told_to_nobody():
    clock, told = ManualClock(), []
    session_on(Slow(TOLD_AFTER - 1.0, clock), clock, told).judge(PROMPT_OF_MINUTES, LENGTH)
    assert told == []


def test_a_text_that_nobody_wants_any_more_is_left_at_the_next_word():
    clock = ManualClock()
    session = session_on(transport := Slow(180.0, clock), clock, [], is_wanted=lambda: clock.now() < 50.0)
    with pytest.raises(GivenUp):
        session.judge(PROMPT_OF_MINUTES, LENGTH)
    assert 50.0 <= clock.now() <= 51.0
    assert transport.closed == 1


@pytest.mark.parametrize(
    "words",
    [
        [(6, 5)],
        [(0, 6)],
        [(0, 4)],
        [(3, 5), (2, 5)],
        [(3, 5), (4, 6)],
        [(2**32 - 1, 2**32 - 1)],
        [(0, 0)],
    ],
)
def test_words_that_cannot_be_are_nonsense(words):
    answers = [(word, 1) for word in words]
    with pytest.raises(ProtocolError, match=r"tokens are read.*same version of Tandem"):
        open_session(_client(_Said(answers))).judge(PROMPT, len(PROMPT))


def test_a_word_about_a_request_that_was_never_sent_is_nonsense():
    with pytest.raises(ProtocolError, match="an answer to request 2"):
        open_session(_client(_Said([((1, 5), 2)]))).judge(PROMPT, len(PROMPT))


class _Said(LoopbackTransport):
    """Says words about requests before it answers anything."""

    def __init__(self, words: Iterable[tuple[tuple[int, int], int]]) -> None:
        super().__init__(make_cloud())
        self._words = iter(words)

    def open(self):
        link, words = super().open(), self._words
        receive = link.receive

        def said(timeout: float) -> wire.DecodeResponse | None:
            for (read, of), number in words:
                return wire.DecodeResponse(request_id=number, reading=wire.Reading(read=read, of=of))
            return receive(timeout)

        link.receive = said
        return link


def _client(transport: LoopbackTransport, clock: ManualClock | None = None) -> TargetClient:
    return TargetClient(transport, "loopback:0", Retry(total=6e5), clock or ManualClock(), random.Random(0))


words = st.lists(st.integers(0, 3), max_size=60)
troubles = st.lists(st.sampled_from([*Trouble, *[Trouble.NONE] * 4]), max_size=60)


@pytest.mark.slow
@given(plan=words, troubles=troubles, seed=st.integers(0, 3))
def test_words_anywhere_change_no_judged_text_and_no_audit(plan, troubles, seed):
    undisturbed = sprint(open_session(_client(LoopbackTransport(make_cloud()))), 30, seed)
    clock = ManualClock()
    transport = ReadingTransport(LossyTransport(make_cloud(), troubles, clock), plan)
    assert sprint(open_session(_client(transport, clock)), 30, seed) == undisturbed


@given(plan=words, troubles=troubles, count=st.integers(1, 40))
def test_words_anywhere_change_nothing_that_the_target_writes(plan, troubles, count):
    clock = ManualClock()
    session = open_session(_client(ReadingTransport(LossyTransport(make_cloud(), troubles, clock), plan), clock))
    written = list(session.write_on(PROMPT, count))
    assert PROMPT + [own.token for own in written] == own_text(PROMPT, len(PROMPT) + count, False)
    assert session.meter.calls == len(written)


@given(st.floats(0.01, 1e4), st.floats(0.01, 1e4))
def test_the_target_speaks_often_enough_for_any_patience(attempt, total):
    every = interval(Retry(attempt=attempt, total=total))
    assert codec.LEAST_READING <= every <= 1.0
    assert every <= max(min(attempt, total) / 3, codec.LEAST_READING)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (7.4, "7 s"), (19.6, "20 s"), (43.0, "45 s"), (89.0, "90 s"), (91.0, "2 minutes")],
)
def test_times_are_told_as_roughly_as_they_are_known(seconds, words):
    assert about(seconds) == words


def test_a_new_stream_is_a_new_beginning_for_what_is_read():
    reading = Reading(ManualClock())
    for _ in range(2):
        reading.asks(1, 9)
        assert not reading.hears(1, wire.Reading(read=5, of=9)), "a link that breaks again and again is no progress"
        assert reading.hears(1, wire.Reading(read=6, of=9))
        assert not reading.hears(1, wire.Reading(read=6, of=9))
    reading.asks(3, 7)
    with pytest.raises(ProtocolError):
        reading.hears(2, wire.Reading(read=6, of=9))


def test_its_reader_is_told_now_and_then_and_at_the_end():
    clock = ManualClock()
    reading = Reading(clock)

    def told() -> Iterator[float]:
        reading.asks(1, 1000)
        begin = clock.now()
        for second in range(40):
            clock.sleep(1.0)
            reading.hears(1, wire.Reading(read=second, of=1000))
            if reading.news(begin, "there:1") is not None:
                yield clock.now() - begin

    assert list(told()) == [TOLD_AFTER + i * TOLD_EVERY for i in range(4)]
    assert reading.ends() == "the target at there:1 has read all of 1,000 tokens, in 40 s"
    assert reading.ends() is None
    assert len(list(told())) == 4
