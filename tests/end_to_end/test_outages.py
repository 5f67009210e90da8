"""Real outages: the pocket pair over a road that falls silent, is closed, or ends at a target that was killed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from time import monotonic

import pytest

from benchmarks.local_target import TargetProcess
from edge_client import Edge, Origin, Token
from shared.addresses import parse_address

pytestmark = pytest.mark.slow

PROMPT = "Once upon a time"
TOKENS = 120
CUT_AT = 30
# Seconds in which nothing new may come where the device goes on alone: far more than it needs to notice.
HUNG = 20.0
OUTAGE = 6.0


class Road:
    """A TCP relay on loopback that can be made impassable.

    Attributes:
        address: host:port of this end.
        mend: lets traffic through again; what is open stays so.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        self._open = threading.Event()
        self._open.set()
        self._refuses = False
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def silence(self) -> None:
        """Carry nothing, and close nothing: a half-open link."""
        self._open.clear()

    def reset(self) -> None:
        """Close everything, at once and until it is mended."""
        self._refuses = True
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._refuses = False
        self._open.set()

    def close(self) -> None:
        self.reset()
        self._open.set()
        self._server.close()
        for end in self._ends:
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                device, _ = self._server.accept()
                target = None
                with suppress(OSError):  # nobody is there
                    target = None if self._refuses else socket.create_connection(parse_address(self._target))
                if target is None:
                    device.close()
                    continue
                self._ends += device, target
                for source, sink in ((device, target), (target, device)):
                    threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self._open.wait()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


class Place:
    """A target that can be killed, and the road to it."""

    def __init__(self) -> None:
        self.target = TargetProcess()
        self.road = Road(self.target.address)

    def kill(self) -> None:
        self.target.kill()

    def restart(self) -> None:
        _, port = parse_address(self.target.address)
        self.target = TargetProcess(port=port)

    def close(self) -> None:
        self.road.close()
        self.target.stop()


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    place = Place()
    yield place
    place.close()


CUTS: dict[str, tuple[Callable[[Place], None], Callable[[Place], None]]] = {
    "silent": (lambda place: place.road.silence(), lambda place: place.road.mend()),
    "closed": (lambda place: place.road.reset(), lambda place: place.road.mend()),
    "killed": (Place.kill, Place.restart),
}


@pytest.mark.parametrize(
    ("mode", "cut"),
    [("sprint", "silent"), ("sprint", "killed"), ("exact", "silent"), ("exact", "closed"), ("cloud", "killed")],
)
def test_no_outage_hangs_a_text_or_costs_a_token(place, mode, cut):
    begin, end = CUTS[cut]
    with ExitStack() as after, Edge(place.road.address, memory=False, seed=3, max_tokens=TOKENS) as edge:
        undisturbed = edge.generate(PROMPT, mode="cloud").token_ids
        ids, last, longest, mending = [], monotonic(), 0.0, None
        with edge.stream(PROMPT, mode=mode, budget=0.005, provisional=True) as stream:
            for event in stream:
                longest, last = max(longest, monotonic() - last), monotonic()
                if isinstance(event, Token):
                    ids.append(event.id)
                if len(ids) == CUT_AT and mending is None:
                    begin(place)
                    mending = threading.Timer(OUTAGE, end, (place,))
                    mending.start()
                    after.callback(mending.join)
        completion = stream.completion
        assert ids == completion.token_ids
        if mode == "sprint":
            assert longest < HUNG
            assert completion.usage.alone > 0
            assert completion.origins[CUT_AT:].count(Origin.ALONE) == completion.usage.alone
        else:
            assert completion.usage.alone == 0
            assert ids == undisturbed
        assert any("is not reached" in warning for warning in completion.warnings)


def test_when_the_target_is_back_the_same_edge_asks_it_again(place):
    with Edge(place.road.address, memory=False, seed=3, max_tokens=TOKENS, budget=0.005) as edge:
        place.road.reset()
        alone = edge.generate(PROMPT)
        place.road.mend()
        again = edge.generate(PROMPT)
    assert alone.usage.alone > 0
    assert again.usage.alone == 0
    assert again.audit.tokens == TOKENS
