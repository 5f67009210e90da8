"""Texts that keep to grammars on a real server: what is slow about them is nobody else's trouble."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator

import grpc
import pytest

from cloud_target.access.protection import Access
from cloud_target.access.tokens import TokenFile, add_line, new_token
from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.server.masking import Masking
from cloud_target.server.server import running
from shared.config import Sampling
from shared.grammar.cursor import Cursor
from shared.grammar.engine import GrammarEngine
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub
from tests.cloud_target.protocol.reference import alone, request
from tests.cloud_target.server.streams import Stream, refusal
from tests.shared.grammar.letters import kept_to, letters

VOCABULARY, CONTEXT, END = 6, 200, 5
SCRIPT = random_script(VOCABULARY)
SAMPLING = Sampling(0.8, seed=5)
OTHER = b"another session!"


@pytest.fixture
def stub() -> Iterator[TargetServiceStub]:
    engine = ScriptedEngine(SCRIPT, VOCABULARY, context=CONTEXT, tokenizer=letters(VOCABULARY))
    with (
        running(engine) as address,
        grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel,
    ):
        yield TargetServiceStub(channel)


def asking(expression: str, write_on: int = 0) -> wire.DecodeRequest:
    return request(
        [1, 2],
        0,
        SAMPLING,
        judge_from=2,
        write_on=write_on,
        end_ids=[END],
        grammar=kept_to(expression, 2),
        session_id=OTHER,
    )


def written(stream: Stream) -> list[int]:
    verdict, *rest = stream.end()
    return [verdict.verdict.token, *(token for response in rest for token in response.continuation.tokens)]


def test_a_text_keeps_to_its_grammar(stub):
    stream = Stream(stub)
    stream.send(asking("(ab|cd?a)*e", write_on=100))
    *text, end = written(stream)
    assert re.fullmatch("(ab|cd?a)*e", "".join(chr(ord("a") + token) for token in text))
    assert end == END


def test_a_grammar_that_takes_its_time_holds_nobody_up(stub, monkeypatch):
    """It is followed in threads of its own; others are answered, and passes run, meanwhile."""
    goes_on, threads = threading.Event(), set()
    allowed = Cursor.allowed

    def slow(self: Cursor, text: list[int]) -> object:
        threads.add(threading.current_thread().name.partition("_")[0])
        assert goes_on.wait(20)
        return allowed(self, text)

    monkeypatch.setattr(Cursor, "allowed", slow)
    held = Stream(stub)
    held.send(asking("(ab)*", write_on=4))
    end = time.monotonic() + 20
    while not threads:
        assert time.monotonic() < end, "nobody follows the grammar"
        time.sleep(0.005)
    free = Stream(stub)
    free.send(request([1, 2], 0, SAMPLING, judge_from=2, write_on=19))
    assert [1, 2, *written(free)] == alone(SCRIPT, [1, 2], SAMPLING, 22)
    goes_on.set()
    assert written(held)[:2] in ([0, 1], [END])
    assert threads == {"grammar"}


def test_who_brings_many_slow_grammars_keeps_no_other_tenant_waiting(tmp_path, monkeypatch):
    """A tenant with one grammar waits for those that are compiled, and for one more of whoever brings many."""
    may_end, handed_in, begun = threading.Semaphore(0), [], []
    compiled, submit = GrammarEngine.compile, Masking.submit

    def slow(self: GrammarEngine, source: str, tenant: str) -> object:
        begun.append(source)
        assert may_end.acquire(timeout=20)
        return compiled(self, source, tenant)

    async def counted(self: Masking, tenant: str, work: Callable[[], None]) -> None:
        handed_in.append(tenant)
        await submit(self, tenant, work)

    monkeypatch.setattr(GrammarEngine, "compile", slow)
    monkeypatch.setattr(Masking, "submit", counted)
    tokens = {}
    for tenant in ("many", "one"):
        tokens[tenant], line = new_token(tenant)
        add_line(tmp_path / "tokens", line)
    engine = ScriptedEngine(SCRIPT, VOCABULARY, slots=9, context=CONTEXT, tokenizer=letters(VOCABULARY))
    access = Access(tokens=TokenFile(tmp_path / "tokens"))
    with (
        running(engine, access=access) as address,
        grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel,
    ):
        stub, calls = TargetServiceStub(channel), []
        for number in range(9):
            tenant = "one" if number == 8 else "many"
            message = asking(f"a{{{number + 1}}}e")
            message.session.session_id = bytes([number]) * 16
            message.request_id = 1
            metadata = [("authorization", f"Bearer {tokens[tenant]}")]
            calls.append(stub.Decode(iter([message]), timeout=20, metadata=metadata))
            end = time.monotonic() + 20
            while len(handed_in) <= number or len(begun) < min(number + 1, 2):
                assert time.monotonic() < end, "nobody follows the grammar"
                time.sleep(0.005)
        may_end.release(9)
        assert all(len(list(call)) == 1 for call in calls)
    assert "a{9}e" in "".join(begun[:4])
    assert [sum(f"a{{{number}}}e" in source for source in begun) for number in range(1, 10)] == [1] * 9


@pytest.mark.parametrize(("expression", "why"), [("(a", "unclosed group"), ("z", "allows no token of this model")])
def test_a_grammar_that_cannot_be_kept_to_ends_its_own_call(stub, expression, why):
    status, reason, sentence = refusal(stub, asking(expression))
    assert (status, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_INPUT")
    assert why in sentence
    stream = Stream(stub)
    stream.send(request([1, 2], 0, SAMPLING, judge_from=2))
    assert stream.end()[0].HasField("verdict")


def test_a_dead_end_in_the_middle_ends_the_call_behind_what_was_written(stub):
    stream = Stream(stub)
    stream.send(asking("abz", write_on=10))
    assert stream.hear().verdict.token == 0
    with pytest.raises(grpc.RpcError, match="allows no token of this model"):
        stream.end()


def test_describe_says_with_what_grammars_are_followed(stub):
    assert stub.Describe(wire.DescribeRequest(), timeout=10).grammar_engine.startswith("llguidance 1.")
