"""Whether `edge-client doctor --pair` is right: what it foretells of links, beside what modes really do over them.

    python -m benchmarks.foretold
    python -m benchmarks.foretold --pairs 25:0 --links 10 50 --prompts 6

A pair is the embedded one, with passes of the target that last at least so many milliseconds, and a draft whose every
run lasts so many longer: 25:0, 0:15. Each is foretold once, on loopback. Then a relay with a constant delay, in a
process of its own, stands before the target, and other prompts are written in every mode in turn.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection

from benchmarks.files import add_files, write_files
from benchmarks.local_target import run_main
from benchmarks.network.profiles import Profile
from benchmarks.network.relay import Relay
from benchmarks.pair import add_pair, prompts_of
from benchmarks.report.paced import PacedTarget
from benchmarks.report.worker import Worker
from benchmarks.tables import markdown_table
from cloud_target.options.values import count
from edge_client.bundles.bundle import Bundle
from edge_client.doctor.foretold import ROUND_TRIPS, Foretold
from edge_client.doctor.pair import LIMIT, expectation
from edge_client.doctor.trial import Trial
from edge_client.edge import Edge
from edge_client.inference.draft import Draft
from edge_client.inference.pool import ModelPool, Models
from edge_client.settings import Settings
from edge_client.target.client import TargetClient
from edge_client.target.grpc_transport import GrpcTransport
from shared.config import Mode
from shared.errors import InputError

SPLIT = (Mode.SPRINT, Mode.EXACT)
# A measured gain between these says neither that a mode pays nor that it does not.
UNCLEAR = (0.9, 1.1)
_PINGS, _WARMING = 10, 8
LEGEND = """\
x cloud: speed over that of the plain stream on the same link, first tokens included. Right: foretold and measured are
on the same side of 1; unclear: the measured one is between 0.9 and 1.1."""


@dataclass(frozen=True)
class Row:
    """One mode of one pair over one link; times in milliseconds, gains against the plain stream."""

    step_ms: float
    draft_ms: float
    round_trip_ms: float
    mode: str
    measured: float
    foretold: float

    @property
    def verdict(self) -> str:
        """See `LEGEND`."""
        if UNCLEAR[0] <= self.measured <= UNCLEAR[1]:
            return "unclear"
        return "right" if (self.measured > 1.0) == (self.foretold > 1.0) else "WRONG"


class _SlowedPool(ModelPool):
    """Another pool, of whose drafts each run takes so many seconds longer."""

    def __init__(self, pool: ModelPool, seconds: float) -> None:
        self._pool, self._seconds = pool, seconds
        self._slowed: set[int] = set()

    @contextmanager
    def lend(self, prompt: Sequence[int] = (), texts: int = 0) -> Iterator[Models]:
        with self._pool.lend(prompt, texts) as models:
            if id(models) not in self._slowed:  # the pool keeps them, so no other has their number
                self._slowed.add(id(models))
                _slow(models.draft, self._seconds)
            yield models


def _slow(draft: Draft, seconds: float) -> None:
    for name in ("_read", "_grow"):
        run = getattr(draft, name)

        def slowly(*given: object, run=run) -> object:
            time.sleep(seconds)
            return run(*given)

        setattr(draft, name, slowly)


def foretell(bundle: Bundle, target: PacedTarget, settings: Settings, seconds: float) -> Foretold:
    """What the doctor would say of this pair."""
    transport = GrpcTransport(target.address)
    try:
        client = TargetClient(transport, target.address)
        trips = []
        for _ in range(_PINGS):
            begin = time.perf_counter()
            client.describe()
            trips.append(time.perf_counter() - begin)
        here, step = sorted(trips)[_PINGS // 4], client.description.step or None
        trial = Trial(transport, target.address, bundle, settings, here, step, None, None, seconds)
        trial.run(lambda *_: None)
    finally:
        transport.close()
    fits = client.description.fingerprint == bundle.manifest.target_fingerprint
    return Foretold(trial.samples, expectation(bundle.manifest, settings, fits, step))


def measure(edge: Edge, prompts: Sequence[Sequence[int]], settings: Settings) -> dict[Mode, float]:
    """How fast each mode that splits is, over the plain stream; every prompt in every mode in turn."""
    edge.generate(prompts[0], **vars(replace(settings, mode=Mode.CLOUD, max_tokens=_WARMING)))
    took = dict.fromkeys((Mode.CLOUD, *SPLIT), 0.0)
    written = dict.fromkeys(took, 0)
    for seed, prompt in enumerate(prompts, 100):
        for mode in took:
            usage = edge.generate(prompt, **vars(replace(settings, mode=mode, seed=seed))).usage
            took[mode] += usage.times.total_ms
            written[mode] += usage.tokens
    each = {mode: took[mode] / written[mode] for mode in took}
    return {mode: each[Mode.CLOUD] / each[mode] for mode in SPLIT}


def rows_of(
    bundle: Bundle,
    name: str,
    pair: tuple[float, float],
    links: Sequence[float],
    prompts: Sequence[Sequence[int]],
    settings: Settings,
    seconds: float,
) -> Iterator[Row]:
    """One pair over links of these round trips, milliseconds."""
    step, draft = pair
    if draft:
        bundle = replace(bundle, models=_SlowedPool(bundle.models, draft / 1e3))
    with PacedTarget(name, step / 1e3) as target:
        print(f"  {step:g}:{draft:g}, foretelling", file=sys.stderr, flush=True)
        foretold = foretell(bundle, target, settings, seconds)
        for link in links:
            print(f"  {step:g}:{draft:g}, {link:g} ms", file=sys.stderr, flush=True)
            with (
                Worker(_relay, link / 1e3, target.address) as relay,
                Edge(relay.ready, bundle=bundle, memory=False, on_outage="wait") as edge,
            ):
                for mode, gain in measure(edge, prompts, settings).items():
                    [cell] = foretold.cells(mode, [link / 1e3])
                    yield Row(step, draft, link, str(mode), gain, cell.gain)


def _relay(pipe: Connection, round_trip: float, target: str) -> None:
    with Relay(Profile("constant", round_trip, "the same delay always"), target) as relay:
        pipe.send(relay.address)
        pipe.recv()  # until it is closed


def table(rows: Sequence[Row]) -> str:
    """All rows, and how many are right."""
    cells = [
        [
            f"{row.step_ms:g} / {row.draft_ms:g}",
            f"{row.round_trip_ms:g}",
            row.mode,
            f"{row.measured:.2f}",
            f"{row.foretold:.2f}",
            row.verdict,
        ]
        for row in rows
    ]
    heads = ["pass / draft, ms more", "round trip, ms", "mode", "x cloud, measured", "foretold", ""]
    clear = [row for row in rows if row.verdict != "unclear"]
    right = sum(row.verdict == "right" for row in clear)
    return f"{markdown_table(heads, cells)}\n\n{right} of {len(clear)} that are clear are right; of {len(rows)} in all."


def _pair(text: str) -> tuple[float, float]:
    try:
        step, draft = map(float, text.split(":"))
    except ValueError:
        raise InputError(f"a pair is two numbers of milliseconds, such as 25:0, not {text!r}") from None
    return step, draft


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_pair(parser)
    parser.add_argument("--pairs", nargs="+", default=["0:0", "25:0", "0:15"], metavar="PASS:DRAFT", help="as above")
    parser.add_argument(
        "--links", nargs="+", type=float, default=[1e3 * trip for trip in ROUND_TRIPS], metavar="MS", help="round trips"
    )
    parser.add_argument("--prompts", type=count, default=4, help="texts of each mode (default: %(default)s)")
    parser.add_argument("--tokens", type=count, default=128, help="most tokens a text (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=LIMIT, help="that foretelling a pair may take (default: %(default)s)"
    )
    add_files(parser, "rows")
    options = parser.parse_args()
    bundle, settings = Bundle.load(options.bundle), Settings(max_tokens=options.tokens)
    prompts = prompts_of(options, bundle.tokenizer, options.prompts)[: options.prompts]
    rows = [
        row
        for pair in map(_pair, options.pairs)
        for row in rows_of(bundle, str(options.target), pair, options.links, prompts, settings, options.seconds)
    ]
    parts = [table(rows), LEGEND]
    print("\n\n".join(parts))
    write_files(options, "benchmarks.foretold", parts, rows)
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
