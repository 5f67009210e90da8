"""The service without I/O answers as the protocol says, and forgets where it should."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.testing.in_process import InProcessTarget
from shared.config import Sampling
from shared.errors import ContextLengthError, ProtocolError, TargetBusy

# isort: split
from tests.cloud_target.protocol.reference import SESSION_ID, alone, request

VOCABULARY, CONTEXT = 32, 48
SCRIPT, SAMPLING = random_script(VOCABULARY), Sampling(temperature=0.0)


def a_target(slots: int = 4) -> InProcessTarget:
    return InProcessTarget(lambda: ScriptedEngine(SCRIPT, VOCABULARY, slots, CONTEXT))


def written(responses) -> list[int]:
    first, *rest = responses
    return [first.verdict.token, *(token for response in rest for token in response.continuation.tokens)]


def follow_up(text, position, number, **more):
    message = request(text, position, SAMPLING, request_id=number, **more)
    message.ClearField("session")
    return message


def test_it_says_who_it_is():
    said = a_target().describe()
    assert (said.name, said.vocabulary, said.context) == ("scripted", VOCABULARY, CONTEXT)
    assert said.max_request_tokens == CONTEXT
    assert said.step_us == 0  # a script takes no time worth telling


@pytest.mark.parametrize(("step", "told"), [(0.0123, 12_300), (1e-6, 1), (1e9, 2**32 - 1)])
def test_it_says_what_a_pass_takes(step, told):
    target = InProcessTarget(lambda: ScriptedEngine(SCRIPT, VOCABULARY, context=CONTEXT, step=step))
    assert target.describe().step_us == told


def test_it_writes_what_the_target_writes():
    text = alone(SCRIPT, [1, 2, 3], SAMPLING, 12)
    answers = a_target().stream().answers(request([1, 2, 3], 0, SAMPLING, judge_from=3, write_on=8))
    assert written(answers) == text[3:]


def test_the_terms_are_those_of_the_first_request():
    target = a_target()
    stream = target.stream()
    first = written(stream.answers(request([1, 2, 3], 0, SAMPLING, judge_from=3)))
    text = [1, 2, 3, *first]
    second = written(stream.answers(follow_up(text, 4, 2, judge_from=4)))
    assert [*text, *second] == alone(SCRIPT, [1, 2, 3], SAMPLING, 5)
    with pytest.raises(ProtocolError, match="only the first"):
        next(stream.answers(request(text, 4, SAMPLING, request_id=3)))
    with pytest.raises(ProtocolError, match="must carry the session"):
        next(target.stream().answers(follow_up(text, 4, 1)))


def test_errors_are_raised_as_they_are():
    target = a_target(slots=1)
    with pytest.raises(ContextLengthError):
        next(target.stream().answers(request([1] * (CONTEXT + 1), 8, SAMPLING)))
    at_work = target.stream().answers(request([1], 0, SAMPLING, judge_from=1, write_on=CONTEXT))
    next(at_work)
    with pytest.raises(TargetBusy):
        next(target.stream().answers(request([2], 0, SAMPLING, judge_from=1, session_id=b"another session.")))
    with pytest.raises(ProtocolError):
        target.release(b"short")


def test_a_newer_request_ends_what_an_older_one_left_unfinished():
    target = a_target()
    older = target.stream().answers(request([1], 0, SAMPLING, judge_from=1, write_on=CONTEXT))
    next(older)
    newer = target.stream().answers(request([1, 2], 0, SAMPLING, judge_from=2))
    assert len(written(newer)) == 1
    assert next(older, None) is None


@pytest.mark.parametrize("forget", ["evict", "restart", "release"])
def test_what_is_forgotten_is_asked_for_again(forget):
    target = a_target()
    text = [1, 2, 3, *written(target.stream().answers(request([1, 2, 3], 0, SAMPLING, judge_from=3)))]
    lives = target.lives
    if forget == "release":
        target.release(SESSION_ID)
    else:
        getattr(target, forget)()
    [response] = target.stream().answers(request(text, 4, SAMPLING, judge_from=4))
    assert response.resync.held == 0
    assert target.lives - lives == (forget == "restart")


def test_several_threads_may_ask_at_once():
    target = a_target(slots=8)

    def ask(number: int) -> list[int]:
        prompt = [number, 2, 3]
        message = request(prompt, 0, SAMPLING, judge_from=3, write_on=20, session_id=bytes([number]) * 16)
        return prompt + written(target.stream().answers(message))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(8))) == [alone(SCRIPT, [n, 2, 3], SAMPLING, 24) for n in range(8)]


@pytest.mark.slow
def test_it_needs_neither_torch_nor_grpc():
    program = (
        "import sys, cloud_target.testing.in_process, cloud_target.engine.scripted\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "grpc", "edge_client"} & {*run.stdout.split()}
