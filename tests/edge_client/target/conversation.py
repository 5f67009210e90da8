"""What the tests of the conversation with the target share: a small target, the truth about it, and a liar."""

from __future__ import annotations

import numpy as np

from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.testing.in_process import InProcessTarget
from edge_client.target.client import TargetClient, TargetSession
from edge_client.testing import LoopbackTransport
from shared.config import Coupling, Sampling
from shared.errors import LinkBroken
from shared.sampling import Sampler
from shared.wire import codec
from shared.wire.v1 import target_pb2 as wire

VOCABULARY, CONTEXT, END = 7, 96, 6
SAMPLING = Sampling(temperature=0.9, top_p=0.95, seed=11)
PROMPT = [1, 2, 3, 4, 5]
SCRIPT = random_script(VOCABULARY)


def make_cloud(vocabulary: int = VOCABULARY, context: int = CONTEXT) -> InProcessTarget:
    return InProcessTarget(lambda: ScriptedEngine(random_script(vocabulary), vocabulary, context=context))


def own(text: list[int]) -> int:
    """What the target writes after `text`, straight from the definition."""
    logits = SCRIPT(text)
    ids = np.argsort(-logits, kind="stable")
    return Sampler(SAMPLING).draw(ids, logits[ids], len(text)).token


def own_text(text: list[int], length: int, ends: bool = True) -> list[int]:
    text = list(text)
    while len(text) < length and not (ends and text[-1] == END):
        text.append(own(text))
    return text


def open_session(client: TargetClient, end_ids: tuple[int, ...] = (), **settings) -> TargetSession:
    settings = {"sampling": SAMPLING, "coupling": Coupling.GUMBEL, "prompt_length": len(PROMPT)} | settings
    return client.session(end_ids=end_ids, **settings)


class Liar:
    """A transport whose only link gives the scripted answers, and then nothing."""

    def __init__(self, answers: list[wire.DecodeResponse], description: wire.DescribeResponse | None = None) -> None:
        self._answers = iter(answers)
        self._describes = description or LoopbackTransport(make_cloud()).describe(1.0)
        self.opened = self.closed = 0

    def describe(self, timeout: float) -> wire.DescribeResponse:
        return self._describes

    def open(self) -> Liar:
        self.opened += 1
        return self

    def send(self, request: wire.DecodeRequest) -> None:
        pass

    def receive(self, timeout: float) -> wire.DecodeResponse:
        for answer in self._answers:
            return answer
        raise LinkBroken("silence")

    def release(self, session_id: bytes) -> None:
        pass

    def close(self) -> None:
        self.closed += 1


def verdict_of(count: int, **fields) -> wire.Verdict:
    flags = np.zeros(count, bool)
    audit = codec.encode_audit(codec.AuditedTokens(flags, flags, np.zeros(count)))
    return wire.Verdict(**{"audit": audit, "stands": 1, "token": 0} | fields)


def respond(request_id: int = 1, **answer) -> wire.DecodeResponse:
    return wire.DecodeResponse(request_id=request_id, **answer)
