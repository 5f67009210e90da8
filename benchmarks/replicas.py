"""Many edges write conversations through the real Envoy, while replicas behind it are killed, added and drained.

    python -m benchmarks.replicas
    python -m benchmarks.replicas --edges 8 --tokens 16

Two targets stand behind deploy/envoy/envoy.yaml, with TLS and tokens. The edges write two turns, every second one in
`exact`, with a request a turn, and the others in `sprint`, where each token is asked about (`strict`, and next to no
budget); in the third turn one target is killed (SIGKILL), then one is added, and in the fourth the survivor is drained
(SIGTERM). The same conversations, written before with one target and nothing between, say what every text must be.
Needs the extra `deploy`, and openssl.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import runpy
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.counted import CountedTransport
from benchmarks.envoy import EnvoyProcess, binary, fetched, for_loopback, free_ports
from benchmarks.local_target import TargetProcess, run_main
from benchmarks.prompts import EVERY
from benchmarks.tables import markdown_table
from cloud_target.options.values import count
from edge_client.bundles.bundle import Bundle
from edge_client.edge import Edge
from edge_client.target.credentials import Credentials
from edge_client.target.grpc_transport import GrpcTransport
from shared.config import Criterion, Mode
from shared.tokenizer import encode_prompt

CREDENTIALS = Path(__file__).resolve().parents[1] / "deploy" / "credentials.py"
# What a target behind a proxy is told: few connections, each everybody's (docs/operations.md).
BEHIND_PROXY = ("--connection-streams", "1000", "--connection-silence", "0")
# Of the edges in turn. With next to no budget each token is asked about, so that `sprint` writes the target's own text.
MODES: tuple[dict[str, Any], ...] = (
    {"mode": Mode.EXACT},
    {"mode": Mode.SPRINT, "criterion": Criterion.STRICT, "budget": 1e-9},
)
MORE = "\nUser: Tell me more about that, please.\nAssistant:"
# Part of a turn's tokens that are written when something happens to a target.
MOMENT = 0.25


class Writers:
    """Edges that write the turns of a conversation each, all at once; a context manager.

    Attributes:
        texts: ids of each edge's conversation so far, prompts included.
        reconnects: outages that the edges have mended.
        resumed: turns whose target held what they go on from.
    """

    def __init__(self, edges: int, tokens: int, bundle: Bundle, address: str, credentials: Credentials | None) -> None:
        self._tokens = tokens
        self._more = encode_prompt(bundle.tokenizer, MORE)
        self.texts = [encode_prompt(bundle.tokenizer, EVERY[number % len(EVERY)]) for number in range(edges)]
        self.reconnects = self.resumed = 0
        self._written, self._lock = 0, threading.Lock()
        self._ways = [CountedTransport(GrpcTransport(address, credentials)) for _ in range(edges)]
        self._resources = ExitStack()
        self._edges = [
            self._resources.enter_context(
                Edge(
                    transport=way,
                    bundle=bundle,
                    memory=False,
                    conversations=1,
                    seed=number,
                    max_tokens=tokens,
                    on_outage="wait",
                    **MODES[number % len(MODES)],
                )
            )
            for number, way in enumerate(self._ways)
        ]
        self._pool = self._resources.enter_context(ThreadPoolExecutor(edges))

    def met(self) -> tuple[int, int]:
        """So many requests met their text, and so many a target that has nothing of it."""
        return sum(way.met for way in self._ways), sum(way.missed for way in self._ways)

    def turn(self, happens: Callable[[], object] | None = None) -> None:
        """Everyone writes one more turn; `happens` is called in the middle of it."""
        self._written = 0
        moment = threading.Event()
        futures = [self._pool.submit(self._write, number, moment) for number in range(len(self._edges))]
        try:
            if happens is not None and moment.wait(120):
                happens()
        finally:
            for future in futures:
                future.result()

    def _write(self, number: int, moment: threading.Event) -> None:
        with self._edges[number].stream(self.texts[number]) as stream:
            ids = []
            for token in stream:
                ids.append(token.id)
                with self._lock:
                    self._written += 1
                    if self._written >= MOMENT * self._tokens * len(self._edges):
                        moment.set()
            done = stream.finish()
        self.texts[number] = [*self.texts[number], *ids, *self._more]
        with self._lock:
            self.reconnects += done.usage.reconnects
            self.resumed += done.usage.reused_target > 0

    def __enter__(self) -> Writers:
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()


class Replica:
    """A target with metrics, TLS and tokens on a port of its own; `process` is what runs it."""

    def __init__(self, server: Path, port: int) -> None:
        [self._metrics] = free_ports(1)
        files = ("--tls-cert", str(server / "server.pem"), "--tls-key", str(server / "server.key"))
        words = ("--tokens", str(server / "tokens.txt"), "--metrics-port", str(self._metrics), "--threads", "1")
        self.process = TargetProcess((*files, *words, "--kv-memory", "128MiB", *BEHIND_PROXY), port)
        self._is_over = False

    def served(self) -> int:
        """How many requests it has judged so far; those that have it write on are counted apart there."""
        page = fetched(f"127.0.0.1:{self._metrics}", "/metrics")
        found = re.findall(
            r'^tandem_answer_seconds_count\{kind="(?:verdict|continuation)"\} (\S+)$', page, re.MULTILINE
        )
        return sum(round(float(count)) for count in found)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self._is_over = True

    def drain(self) -> int:
        """SIGTERM; returns the exit status."""
        self._is_over = True
        return self.process.stop()

    def close(self) -> None:
        """End it, if it runs."""
        if not self._is_over:
            self.drain()


class Fleet:
    """Places for targets, with TLS and tokens as deploy/credentials.py makes them, and Envoy; a context manager.

    Args:
        places: for so many targets, each of which may start at any time.

    Attributes:
        credentials: of an edge.
        direct: host:port of the first target, without Envoy.

    Raises:
        InputError: there is no Envoy.
    """

    def __init__(self, places: int) -> None:
        binary()  # says so before anything is waited for
        self._resources = ExitStack()
        temporary = tempfile.TemporaryDirectory(prefix="tandem-replicas-")
        self._directory = Path(self._resources.enter_context(temporary))
        self._server, edge = self._directory / "server", self._directory / "edge"
        for directory in (self._server, edge):
            directory.mkdir()
        with contextlib.redirect_stdout(sys.stderr):
            runpy.run_path(str(CREDENTIALS))["main"](self._server, edge, "cloud", "edge")
        self.credentials = Credentials(ca=edge / "ca.pem", token=(edge / "edge.token").read_text().strip())
        self._ports, self._places = free_ports(3), free_ports(places)
        self.direct = f"localhost:{self._places[0]}"

    def start(self, place: int) -> Replica:
        """A target, which ends with the fleet at the latest."""
        replica = Replica(self._server, self._places[place])
        self._resources.callback(replica.close)
        return replica

    def proxy(self, hashed: bool = True) -> EnvoyProcess:
        """Envoy, which keeps sessions where they are, unless not `hashed`."""
        configuration = for_loopback(self._server, self._ports, self._places)
        if not hashed:
            _unhash(configuration)
        return self._resources.enter_context(EnvoyProcess(self._directory, configuration))

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()


@dataclass
class Outcome:
    """What became of it.

    Attributes:
        edges: that wrote.
        different: of their conversations, those that are not the undisturbed ones.
        shares: requests that each replica has judged before anything happened to one.
        requests: before that, which were judged, or met a replica that had nothing of their text.
        missed: of them, the latter.
        resumed: second turns whose replica held the first.
        killed, drained: outages that edges mended after each.
        exit_status: of the drained target.
        seconds: of each turn.
    """

    edges: int
    different: int = 0
    shares: list[int] = field(default_factory=list)
    requests: int = 0
    missed: int = 0
    resumed: int = 0
    killed: int = 0
    drained: int = 0
    exit_status: int = 0
    seconds: list[float] = field(default_factory=list)

    @property
    def hits(self) -> float:
        """Share of the requests, but the first of each conversation, whose replica had their cache."""
        return 1 - self.missed / max(self.requests - self.edges, 1)


def measure(edges: int, tokens: int, tell: Callable[[str], None], hashed: bool = True) -> Outcome:
    """All of it.

    Args:
        hashed: Envoy keeps sessions where they are; otherwise it places each call anew, for comparison.

    Raises:
        InputError: there is no Envoy.
        TandemError: something did not start.
    """
    bundle, found = Bundle.load(), Outcome(edges)
    with ExitStack() as stack:
        fleet = stack.enter_context(Fleet(3))
        tell("two targets start")
        first, second = fleet.start(0), fleet.start(1)
        tell("the conversations without a proxy, for comparison")
        expected = _undisturbed(edges, tokens, bundle, fleet.direct, fleet.credentials)
        before = [first.served(), second.served()]
        envoy = fleet.proxy(hashed)
        envoy.wait_for_replicas(2)
        writers = stack.enter_context(Writers(edges, tokens, bundle, envoy.address, fleet.credentials))

        def turn(what: str, happens: Callable[[], object] | None = None) -> None:
            tell(what)
            begin = time.monotonic()
            writers.turn(happens)
            found.seconds.append(time.monotonic() - begin)

        turn("turn 1")
        turn("turn 2, which goes on from the caches of turn 1")
        found.shares = [first.served() - before[0], second.served() - before[1]]
        met, found.missed = writers.met()
        found.requests, found.resumed = met + found.missed, writers.resumed
        # The busier one, so that its end is felt.
        victim, survivor = (first, second) if found.shares[0] > found.shares[1] else (second, first)
        turn("turn 3, in which one target is killed", victim.kill)
        found.killed = writers.reconnects
        tell("another target is added")
        fleet.start(2)
        envoy.wait_for_replicas(2)
        statuses: list[int] = []
        turn("turn 4, in which the other is drained", lambda: statuses.append(survivor.drain()))
        found.drained, found.exit_status = writers.reconnects - found.killed, statuses[0]
        found.different = sum(ours != theirs for ours, theirs in zip(writers.texts, expected, strict=True))
    return found


def _undisturbed(edges: int, tokens: int, bundle: Bundle, address: str, credentials: Credentials) -> list[list[int]]:
    with Writers(edges, tokens, bundle, address, credentials) as writers:
        for _ in range(4):
            writers.turn()
        return writers.texts


def _unhash(configuration: dict) -> None:
    [targets] = (each for each in configuration["static_resources"]["clusters"] if each["name"] == "targets")
    targets["lb_policy"] = "ROUND_ROBIN"
    del targets["ring_hash_lb_config"]


def words(found: Outcome) -> str:
    """The figures, for people."""
    rows = (
        ("edges", str(found.edges)),
        ("conversations that differ from the undisturbed ones", str(found.different)),
        ("before the kill: requests that each replica judged", " and ".join(map(str, found.shares))),
        ("before the kill: requests that met their cache", f"{found.hits:.1%} of {found.requests - found.edges}"),
        ("second turns that met the cache of the first", f"{found.resumed} of {found.edges}"),
        ("outages mended after SIGKILL", str(found.killed)),
        ("outages mended after SIGTERM", str(found.drained)),
        ("exit status of the drained target", str(found.exit_status)),
        ("seconds of each turn", ", ".join(f"{seconds:.1f}" for seconds in found.seconds)),
    )
    return markdown_table(["replicas behind Envoy", ""], rows)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.replicas", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--edges", type=count, default=32, help="(default: %(default)s)")
    parser.add_argument("--tokens", type=count, default=32, help="of each turn (default: %(default)s)")
    parser.add_argument(
        "--no-hash", action="store_true", help="let Envoy place every call anew, to see what hashing is worth"
    )
    options = parser.parse_args(arguments)
    found = measure(
        options.edges, options.tokens, lambda line: print(f"  {line}", file=sys.stderr, flush=True), not options.no_hash
    )
    print(words(found))
    return int(found.different > 0)


if __name__ == "__main__":
    sys.exit(run_main(main))
