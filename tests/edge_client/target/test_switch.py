"""The switch that cuts the link: to whoever writes it is an outage as any other."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_client import Origin, TargetAway
from edge_client.target.grpc_transport import GrpcTransport
from edge_client.target.switch import Switch
from edge_client.testing import LoopbackTransport
from shared.errors import LinkBroken
from shared.wire.v1 import target_pb2 as wire
from tests.edge_client.cut import TOKENS, World, new_target, on_screen, undisturbed
from tests.edge_client.target.test_grpc_transport import make_cloud
from tests.grpc_service import Servicer, serving

WHY = "cut on purpose"
ASK = wire.DecodeRequest(request_id=1, audit_only=True)


def made(**options) -> World:
    """A world with a target of its own, for what is not released while the link is cut stays there."""
    world = World(**options)
    world.transport.service = new_target()
    return world


def events(world: World, cut_at: int, seconds: float) -> Iterator:
    """The events of a text whose link is cut after so many of them, for a while."""
    end, now = math.inf, world.clock.now

    def look() -> float:
        if world.clock.time >= end:
            world.edge.switch.mend()
        return now()

    world.clock.now = look
    world.stream = world.edge.stream("Once", provisional=True)
    for number, event in enumerate(world.stream):
        if number == cut_at:
            world.edge.switch.cut(WHY)
            end = world.clock.time + seconds
        yield event
    world.edge.switch.mend()


cuts = st.tuples(st.integers(0, 60), st.floats(0.0, 30.0))


@pytest.mark.slow
@settings(max_examples=25)
@given(cuts, st.integers(0, 2**32))
def test_the_targets_own_text_is_the_same_with_a_cut(cut, seed):
    world = made(mode="exact", seed=seed)
    assert on_screen(events(world, *cut)) == undisturbed(seed=seed)
    assert world.stream.completion.usage.alone == 0


@pytest.mark.slow
@settings(max_examples=25)
@given(cuts, st.integers(0, 2**32))
def test_the_device_goes_on_alone_and_asks_again_afterwards(cut, seed):
    world = made(mode="sprint", seed=seed)
    on_screen(events(world, *cut))
    completion = world.stream.completion
    assert len(completion.token_ids) == TOKENS
    if Origin.ALONE in completion.origins:
        assert any(WHY in sentence for _, sentence in world.told), "the reader is told why"
    after = world.edge.generate("Once", seed=seed)
    assert after.usage.alone == 0, "the next text is asked about again"
    assert after.usage.calls > 0


def test_a_text_that_begins_while_it_is_cut_is_written_alone_or_refused():
    world = made()
    world.edge.generate("Once", max_tokens=3)
    world.edge.switch.cut(WHY)
    assert set(world.edge.generate("Once", mode="sprint").origins) == {Origin.ALONE, Origin.ACCEPTED}
    with pytest.raises(TargetAway, match=WHY):
        world.edge.generate("Once", mode="exact", on_outage="fail")
    world.edge.switch.mend()
    assert world.edge.generate("Once", mode="sprint").usage.alone == 0


def test_what_is_cut_stays_broken_and_a_new_link_is_whole():
    switch = Switch()
    transport = switch.over(LoopbackTransport(new_target()))
    link, other = transport.open(), transport.open()
    link.send(wire.DecodeRequest())
    switch.cut(WHY)
    assert switch.is_cut
    while_cut = transport.open()
    switch.mend()
    for broken, reached in ((link, True), (other, False), (while_cut, False)):
        for use in (lambda broken=broken: broken.send(ASK), lambda broken=broken: broken.receive(0.0)):
            with pytest.raises(LinkBroken, match=WHY) as caught:
                use()
            assert caught.value.reached is reached, "what never came to the target costs nothing"
        broken.close()
    whole = transport.open()
    whole.send(wire.DecodeRequest())
    whole.close()


def test_nothing_else_passes_either():
    inner, switch = LoopbackTransport(new_target()), Switch()
    transport = switch.over(inner)
    transport.release(b"before")
    switch.cut(WHY)
    switch.cut(WHY)
    with pytest.raises(LinkBroken, match=WHY):
        transport.describe(1.0)
    with pytest.raises(LinkBroken, match=WHY):
        next(transport.fetch(b"", "file", 0, 1.0))
    transport.release(b"while cut")
    switch.mend()
    assert transport.describe(1.0) == inner.describe(1.0)
    assert inner.released == [b"before"]
    transport.close()
    assert inner.closed


class _Endless(LoopbackTransport):
    """Has a file without an end."""

    is_ended = False

    def fetch(self, digest, file, offset, timeout):
        try:
            while True:
                yield b"chunk"
        finally:
            self.is_ended = True


def test_a_bundle_that_is_being_fetched_breaks_off():
    inner, switch = _Endless(new_target()), Switch()
    chunks = switch.over(inner).fetch(b"", "file", 0, 1.0)
    assert next(chunks) == b"chunk"
    switch.cut(WHY)
    with pytest.raises(LinkBroken, match=WHY):
        next(chunks)
    assert inner.is_ended


@pytest.mark.slow
def test_who_waits_for_an_answer_over_grpc_is_woken():
    with serving(Servicer(make_cloud())) as port:
        inner, switch = GrpcTransport(f"127.0.0.1:{port}"), Switch()
        link = switch.over(inner).open()
        told: list[str] = []

        def wait() -> None:
            try:
                link.receive(60.0)
            except LinkBroken as error:
                told.append(str(error))

        waiting = threading.Thread(target=wait)
        waiting.start()
        switch.cut(WHY)
        waiting.join(20)
        assert told == [WHY]
        link.close()
        inner.close()


def test_no_link_is_remembered_that_is_closed():
    switch = Switch()
    transport = switch.over(LoopbackTransport(new_target()))
    links = [transport.open() for _ in range(3)]
    for link in links:
        link.close()
    assert not switch._links
