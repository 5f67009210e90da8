"""Texts written for a trial: in each mode, over the link as it is and over longer ones, and what they took."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from time import monotonic

from edge_client.bundles.bundle import Bundle
from edge_client.doctor.farther import Farther
from edge_client.edge import Edge
from edge_client.settings import OnOutage, Settings
from edge_client.stream import Completion
from edge_client.target.transport import Transport
from edge_client.usage.amount import Amount
from edge_client.usage.caps import Caps
from edge_client.usage.prices import Prices
from shared.config import Mode
from shared.errors import InputError, TandemError

# What texts begin with: a story and a dialogue in turn, as both are what small models are mostly asked for.
OPENINGS = (
    "Once upon a time, there was a little fox who wanted to",
    "User: I would like to book a table for two in San Jose.\nAssistant:",
    "One day, a girl found a big red box in the garden. She",
    "User: Can you find me a flight to New York on March 3rd?\nAssistant:",
    "Tom and his dog went to the beach. The sun was hot and",
    "User: I need to check the balance of my savings account.\nAssistant:",
)
# Round trips of the longer links that texts are written over, seconds.
LONGER = (0.050, 0.200)
# Tokens of a text, at most and at least, and of the first one, which nobody measures. What was cut shorter than the
# fewest says nothing.
_MOST, _FEWEST, _WARMING = 64, 16, 4
# How long a target may be silent: seconds, or passes if that is longer, but no longer than so many seconds.
_PATIENCE, _PATIENCE_PASSES, _LONGEST_PATIENCE = 5.0, 20.0, 15.0


@dataclass(frozen=True)
class Sample:
    """What one text took.

    Attributes:
        mode: in which it was written.
        round_trip: of the link, seconds.
        tokens: of it.
        first, seconds: until its first token, and from there to its last.
        asked, calls, run_length, confirmed: see `Summary`.
        amount: of work of the target, without reading the prompt.
        drafted: tokens, and how long that and their doubts took, seconds.
    """

    mode: Mode
    round_trip: float
    tokens: int
    first: float
    seconds: float
    asked: int
    calls: int
    run_length: float | None
    confirmed: int
    amount: Amount
    drafted: tuple[int, float]

    @classmethod
    def of(cls, done: Completion, round_trip: float) -> Sample:
        """What there is of a text; the work of the target as far as it is known."""
        usage, times = done.usage, done.usage.times
        spent = done.cost.figures.spent if done.cost is not None else Amount()
        return cls(
            done.mode,
            round_trip,
            usage.tokens,
            times.first_token_ms / 1e3,
            (times.total_ms - times.first_token_ms) / 1e3,
            usage.audit.asked,
            usage.calls,
            usage.run_length,
            usage.confirmed,
            (spent - Amount(tokens_in=done.prompt_tokens)).floored(),
            (usage.drafted, (times.draft_ms + times.verifier_ms) / 1e3),
        )


class Trial:
    """Writes texts with one pair, until there are enough or the time is up.

    Args:
        transport: to the target; not closed here.
        address: of it.
        bundle: the device's part of the pair.
        settings: how texts are drawn, and how far they may stray.
        round_trip: of the link as it is, seconds.
        step: what a pass takes, seconds, about; None where nobody knows.
        prices, caps: see `Edge`. What is spent is counted, as that of any text is.
        limit: seconds, for all of it.
        clock: seconds.

    Attributes:
        samples: what was measured.
        begun: texts that were begun, measured or not.
        trouble: why it ended before its time, a sentence; empty where it did not.
    """

    def __init__(
        self,
        transport: Transport,
        address: str,
        bundle: Bundle,
        settings: Settings,
        round_trip: float,
        step: float | None,
        prices: Prices | None,
        caps: Caps | None,
        limit: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._transport, self._address, self._bundle = transport, address, bundle
        self._prices, self._caps, self._clock, self._limit = prices, caps, clock, limit
        self._here = round_trip
        self._links = [round_trip, *(trip for trip in LONGER if trip > 1.3 * round_trip)]
        split = (Mode.SPRINT, Mode.EXACT) if settings.budget > 0 else (Mode.EXACT,)
        self._round = [(Mode.CLOUD, round_trip), *((mode, trip) for trip in self._links for mode in split)]
        tokens = _MOST if not step else round(0.6 * limit / (step * len(self._round)))
        self._settings = replace(
            settings,
            max_tokens=min(max(tokens, _FEWEST), _MOST),
            on_outage=OnOutage.FAIL,
            timeout=min(max(_PATIENCE, _PATIENCE_PASSES * (step or 0.0)), _LONGEST_PATIENCE),
        )
        self.samples: list[Sample] = []
        self.begun = 0
        self.trouble = ""

    def run(self, tell: Callable[[int, int], None]) -> None:
        """Write; every opening in every mode over every link in turn, so that a busy moment meets all of them.

        Args:
            tell: is told how many texts of how many are written.
        """
        end, most = self._clock() + self._limit, len(OPENINGS) * len(self._round)
        with ExitStack() as stack:
            try:
                edges = {trip: stack.enter_context(self._edge(trip)) for trip in self._links}
                for (mode, trip), seed, opening in self._plan():
                    if self._clock() >= end:
                        break
                    tell(len(self.samples), most)
                    settings = replace(self._settings, mode=mode, seed=seed)
                    if seed == 0:  # whatever is done for the first time is done before it
                        self._write(edges[trip], opening, replace(settings, max_tokens=_WARMING), end)
                    done = self._write(edges[trip], opening, settings, end)
                    if done is not None and done.usage.tokens >= _FEWEST:
                        self.samples.append(Sample.of(done, trip))
            except TandemError as error:
                self.trouble = str(error)

    def _plan(self) -> Iterator[tuple[tuple[Mode, float], int, str]]:
        for seed, opening in enumerate(OPENINGS):
            for way in self._round:
                yield way, seed, opening

    def _edge(self, round_trip: float) -> Edge:
        """Over a link of this length. It remembers nothing of other days, and what it learns here is forgotten."""
        return Edge(
            transport=Farther(self._transport, self._address, round_trip - self._here),
            bundle=self._bundle,
            memory=False,
            prices=self._prices,
            caps=self._caps,
            ledger=True,
        )

    def _write(self, edge: Edge, opening: str, settings: Settings, end: float) -> Completion | None:
        """One text, as far as it comes in time."""
        self.begun += 1
        with edge.stream(opening, **vars(settings)) as stream:
            for _ in stream:
                if self._clock() >= end:
                    break
        with suppress(InputError):  # closed before it began
            return stream.completion
        return None
