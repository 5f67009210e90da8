"""An edge, a scripted target and a link between them that a test cuts and mends, on a clock that costs no time."""

from __future__ import annotations

from collections.abc import Iterator

from edge_client import Provisional, Retract, Token
from edge_client.testing import LoopbackTransport, ManualClock, ScriptedTarget, byte_tokenizer, random_script
from edge_client.testing.bundle import scripted_bundle
from edge_client.testing.edge import scripted_edge
from edge_client.testing.loopback import LoopbackLink
from edge_client.testing.scripts import blurred
from shared.errors import LinkBroken

VOCABULARY = byte_tokenizer().get_vocab_size()
NONSENSE = random_script(VOCABULARY)


def script(ids):
    """Nonsense without an end."""
    logits = NONSENSE(ids).copy()
    logits[list(END_IDS)] = -1e4
    return logits


END_IDS = scripted_bundle(NONSENSE).manifest.end_ids
SCRIPT = script
BUNDLE = scripted_bundle(blurred(SCRIPT, 0.7), lambda _, draw: 0.9 if draw.token % 4 == 0 else 0.01)
PROMPT = "Once"
TOKENS = 60
LED = ("exact", "cloud")


def new_target() -> ScriptedTarget:
    """A target that knows no session yet."""
    return ScriptedTarget.of(BUNDLE.manifest, SCRIPT, BUNDLE.tokenizer)


TARGET = new_target()


class Ticking(ManualClock):
    """A clock that a look at it costs a moment.

    Attributes:
        slept: seconds that somebody waited.
    """

    TICK = 0.02
    slept = 0.0

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        super().sleep(seconds)

    def now(self) -> float:
        self.time += self.TICK
        return self.time


class Cut(LoopbackTransport):
    """A loopback that can be cut, and mends.

    Attributes:
        until: when it mends, on the clock; `mend` does it at once.
        error: what everyone is told meanwhile; None for silence.
    """

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(TARGET)
        self.clock, self.until, self.error = clock, 0.0, LinkBroken("cut")
        self.is_silent = False
        self.tries = 0

    @property
    def is_cut(self) -> bool:
        return self.clock.time < self.until

    def mend(self) -> None:
        self.until = 0.0

    def describe(self, timeout: float):
        if self.is_cut and self.is_silent:
            self.clock.sleep(timeout)
        self.see()
        return super().describe(timeout)

    def open(self) -> CutLink:
        return CutLink(self)

    def see(self) -> None:
        if self.is_cut:
            self.tries += 1
            raise self.error


class CutLink(LoopbackLink):
    def __init__(self, transport: Cut) -> None:
        super().__init__(transport.service)
        self._transport = transport
        self._is_lost = False

    def send(self, request) -> None:
        self._is_lost = self._is_lost or self._transport.is_cut
        if not self._is_lost:
            super().send(request)

    def receive(self, timeout: float):
        self._is_lost = self._is_lost or self._transport.is_cut
        if self._is_lost:
            self._transport.tries += 1
            if self._transport.is_silent:
                self._transport.clock.sleep(timeout)
                return None
            raise self._transport.error
        return super().receive(timeout)


class World:
    """An edge, its target, and the link between them."""

    def __init__(self, **options) -> None:
        self.clock = Ticking()
        self.transport = Cut(self.clock)
        self.told: list[tuple[float, str]] = []
        self.edge = scripted_edge(
            transport=self.transport,
            bundle=BUNDLE,
            clock=self.clock,
            notify=lambda sentence: self.told.append((self.clock.time, sentence)),
            **{"max_tokens": TOKENS, "budget": 0.01, "temperature": 1.0} | options,
        )

    def cut(self, seconds: float = float("inf")) -> None:
        self.transport.until = self.clock.time + seconds

    def events(self, cut_at: int, seconds: float, back_at: int | None = None, **options) -> Iterator:
        """The events of a text whose link is cut after so many tokens; for a while, or until so many are shown."""
        self.stream = self.edge.stream(PROMPT, provisional=True, **options)
        shown = 0
        for event in self.stream:
            shown += isinstance(event, Token)
            if isinstance(event, Token) and shown == cut_at:
                self.cut(seconds)
            if shown == back_at:
                self.transport.mend()
            yield event


def on_screen(events) -> list[int]:
    """The ids that a reader has in the end, who does what the events say; provisional ones are none."""
    settled: list[int] = []
    drafted: list[int] = []
    for event in events:
        match event:
            case Token():
                assert drafted[:1] in ([], [event.id]), "a token takes the place of the same provisional one"
                del drafted[:1]
                settled.append(event.id)
            case Provisional():
                drafted.append(event.id)
            case Retract():
                assert event.tokens <= len(drafted)
                del drafted[len(drafted) - event.tokens :]
    assert not drafted, "nothing provisional is left over"
    return settled


def undisturbed(**options) -> list[int]:
    return World(**options).edge.generate(PROMPT, mode="cloud").token_ids
