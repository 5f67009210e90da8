"""Two targets behind one name, as a proxy in front of both would have it: which one answers is the test's to say."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from edge_client.edge import Edge
from edge_client.testing import LoopbackTransport, ManualClock, ScriptedTarget, random_script, scripted_edge
from edge_client.testing.loopback import LoopbackLink
from shared.errors import LinkBroken
from shared.wire.v1 import target_pb2 as wire
from tests.edge_client.cut import BUNDLE, END_IDS, PROMPT, SCRIPT, TOKENS, VOCABULARY

OLD, NEW = "1a9ebb55" * 4, "51c9adf4" * 4
_NONSENSE = random_script(VOCABULARY, seed=7)


def other_script(ids):
    """Another nonsense without an end."""
    logits = _NONSENSE(ids).copy()
    logits[list(END_IDS)] = -1e4
    return logits


def targets(**changes: Any) -> tuple[ScriptedTarget, ScriptedTarget]:
    """The old one and the new one, of which the test may change something; the bundle's tokenizer is both's."""
    common: dict[str, Any] = {"vocabulary": VOCABULARY, "context": BUNDLE.manifest.context}
    old = ScriptedTarget(SCRIPT, **common, name="old", fingerprint=OLD, tokenizer=BUNDLE.tokenizer)
    new = {"name": "new", "fingerprint": NEW, "tokenizer": BUNDLE.tokenizer} | changes
    return old, ScriptedTarget(other_script, **common | new)


class OneName(LoopbackTransport):
    """A loopback to several targets.

    Args:
        services: the first answers, until the test says otherwise.
        plan: who answers the next calls, by number; whoever did last, after that.
        breaks: whether the stream breaks instead of the next answers; none does after that.

    Attributes:
        service: who answers the next call.
        named: what the streams named as their target, in order.
        answered: answers that came, by fingerprint.
    """

    def __init__(self, *services: ScriptedTarget, plan: Iterable[int] = (), breaks: Iterable[bool] = ()) -> None:
        super().__init__(services[0])
        self.services = services
        self._plan, self.breaks = iter(plan), iter(breaks)
        self.named: list[str] = []
        self.answered: dict[str, int] = {}

    def describe(self, timeout: float) -> wire.DescribeResponse:
        self._goes_on()
        return super().describe(timeout)

    def open(self) -> LoopbackLink:
        self._goes_on()
        return _Link(self, self.service)

    def _goes_on(self) -> None:
        number = next(self._plan, None)
        if number is not None:
            self.service = self.services[number]


class _Link(LoopbackLink):
    def __init__(self, name: OneName, service: ScriptedTarget) -> None:
        super().__init__(service)
        self._name, self._fingerprint = name, service.describe().fingerprint

    def send(self, request: wire.DecodeRequest) -> None:
        if request.HasField("session"):
            self._name.named.append(request.session.target)
        super().send(request)

    def receive(self, timeout: float) -> wire.DecodeResponse | None:
        if next(self._name.breaks, False):
            self.close()
            raise LinkBroken("it broke")
        answer = super().receive(timeout)
        if answer is not None:
            self._name.answered[self._fingerprint] = self._name.answered.get(self._fingerprint, 0) + 1
        return answer


def edge_of(transport: LoopbackTransport, told: list[str] | None = None, **options: Any) -> Edge:
    """An edge on a clock that costs no time."""
    made = {"clock": ManualClock(), "max_tokens": TOKENS, "temperature": 1.0, "seed": 3}
    notify = (lambda _: None) if told is None else told.append
    return scripted_edge(bundle=BUNDLE, transport=transport, notify=notify, **made | options)


@cache
def own_texts(seed: int = 3) -> list[list[int]]:
    """What the old one and the new one write by themselves."""
    found = []
    for target in targets():
        with edge_of(LoopbackTransport(target), seed=seed) as edge:
            found.append(edge.generate(PROMPT, mode="cloud").token_ids)
    return found
