"""A longer link is the same one, whose answers come later."""

from __future__ import annotations

from collections import deque
from time import monotonic

import pytest

from edge_client.doctor.farther import Farther
from edge_client.edge import Edge
from edge_client.target.grpc_transport import GrpcTransport
from edge_client.target.transport import Link
from edge_client.testing import LoopbackTransport, ScriptedTarget, blurred, random_script, scripted_bundle
from shared.errors import LinkBroken
from shared.wire.v1 import target_pb2 as wire
from tests.grpc_service import Servicer, serving

SECONDS = 0.05


class Told(Link):
    """A link that has answers, and then an error."""

    def __init__(self, answers: int) -> None:
        self._answers = deque(wire.DecodeResponse(request_id=number) for number in range(answers))
        self.is_closed = False

    def send(self, request: wire.DecodeRequest) -> None:
        self._answers.append(wire.DecodeResponse(request_id=request.request_id))

    def receive(self, timeout: float) -> wire.DecodeResponse | None:
        if not self._answers:
            raise LinkBroken("gone")
        return self._answers.popleft()

    def close(self) -> None:
        self.is_closed = True


def far(link: Link, seconds: float = SECONDS) -> Link:
    transport = LoopbackTransport(ScriptedTarget(random_script(9), 9))
    transport.open = lambda: link
    return Farther(transport, "gpu:1", seconds).open()


def test_answers_come_in_their_order_and_never_before_their_time():
    begin = monotonic()
    link = far(Told(3))
    assert link.receive(0.0) is None  # who only looks does not wait
    assert [link.receive(9.0).request_id for _ in range(3)] == [0, 1, 2]
    assert monotonic() - begin >= SECONDS
    for _ in range(2):  # whoever asks again learns the same
        with pytest.raises(LinkBroken, match="gone"):
            link.receive(9.0)


def test_a_short_wait_ends_before_the_answer_and_loses_nothing():
    link = far(Told(1), 0.2)
    assert link.receive(0.01) is None
    assert link.receive(9.0).request_id == 0


def test_with_no_way_more_it_is_the_link_itself():
    inner = Told(1)
    assert far(inner, 0.0) is inner


def test_a_closed_link_closes_the_other():
    inner = Told(1)
    far(inner).close()
    assert inner.is_closed


def test_texts_are_the_same_and_the_transport_stays_open():
    script = random_script(261)
    bundle = scripted_bundle(blurred(script, 0.5))
    with serving(Servicer(ScriptedTarget.of(bundle.manifest, script))) as port:
        inner = GrpcTransport(f"127.0.0.1:{port}")

        def written(seconds: float) -> str:
            transport = Farther(inner, "gpu:1", seconds)
            with Edge(transport=transport, bundle=bundle, memory=False, mode="exact", max_tokens=3) as edge:
                return edge.generate("Once").text

        assert written(0.0) == written(0.01)
        inner.close()
