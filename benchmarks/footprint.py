"""What the edge takes of a device: disk for its installation, time for a first answer, memory of the local server.

    python -m benchmarks.footprint
    python -m benchmarks.footprint --requests 200 --helps 1

The installation is what the extra `edge` needs, with what that needs in turn, as it is recorded where this runs, and
our own packages. Times are of `edge-client --help`, medians. The server is `edge-client serve --mode local` with the
embedded pair; its memory is what is resident: fresh, after many short requests, and after long texts at once.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from time import perf_counter

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.held import Look, look_at
from benchmarks.local_target import run_main
from benchmarks.prompts import EVERY
from benchmarks.tables import markdown_table, provenance
from cloud_target.options.values import count
from shared.errors import TandemError

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("edge_client", "cloud_target", "shared")
# What the edge promises.
INSTALLED_MB, HELP_SECONDS, RESIDENT_MB = 300, 0.4, 200
# Memory is flat if it has grown by no more since a tenth of the requests were answered: the allocator's own to and fro.
FLAT_MB = 5
TEXTS = 8
LONG = "Once upon a time, " * 115  # some 700 tokens
MOST_WRITTEN = 300  # after these: together they all but fill the context


def needed(extra: str) -> dict[str, Distribution]:
    """All distributions that an extra of ours brings, by name, as they are installed here; without our own.

    Raises:
        TandemError: one of them is not installed.
    """
    found: dict[str, Distribution] = {}
    left = [Requirement(line) for line in asked(extra)]
    seen: set[tuple[str, str]] = set()
    while left:
        wanted = left.pop()
        name = canonicalize_name(wanted.name)
        part = found[name] = _installed(name)
        for one in {"", *wanted.extras} - {one for of, one in seen if of == name}:
            seen.add((name, one))
            more = map(Requirement, part.requires or ())
            left += [each for each in more if each.marker is None or each.marker.evaluate({"extra": one})]
    return found


def asked(extra: str) -> list[str]:
    """What the project asks for with one of its extras; by its own file, for an installation may be older than that."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *project["optional-dependencies"][extra]]


def _installed(name: str) -> Distribution:
    try:
        return distribution(name)
    except ModuleNotFoundError:
        raise TandemError(f'{name} is not installed here; in this directory, pip install ".[edge]"') from None


def size_of(part: Distribution) -> int:
    """Bytes of the files that are recorded of a distribution."""
    places = {Path(str(part.locate_file(file))) for file in part.files or ()}
    return sum(place.stat().st_size for place in places if place.is_file())


def size_of_ours() -> int:
    """Bytes of our packages, models included, as pip installs them: all three, for one project holds them."""
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files if "__pycache__" not in path.parts)


def seconds_of_help(rounds: int) -> tuple[float, float]:
    """CPU and wall time of `edge-client --help`, medians; a first run, which may have to compile, is not counted."""
    cpu, wall = [], []
    for _ in range(rounds + 1):
        before, begin = getrusage(RUSAGE_CHILDREN), perf_counter()
        subprocess.run([sys.executable, "-m", "edge_client", "--help"], stdout=subprocess.DEVNULL, check=True)
        after = getrusage(RUSAGE_CHILDREN)
        wall.append(perf_counter() - begin)
        cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return median(cpu[1:]), median(wall[1:])


class LocalServer:
    """`edge-client serve --mode local` with the embedded pair, which remembers nothing and finds nothing remembered.

    Raises:
        TandemError: it did not start, or this system does not tell what a process holds.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None  # it is a pipe
        said = process.stdout.readline()
        found = re.search(r" on http://(\S+)/v1,", said)
        if found is None:
            raise TandemError(f"`edge-client serve` did not start; what it said: {said.strip() or 'nothing'}")
        self.address = found[1]
        self._pid = process.pid

    def look(self) -> Look:
        """What it holds now."""
        return look_at(self._pid)

    def ask(self, bodies: Sequence[dict[str, object]]) -> int:
        """Have texts written one after the other, over one connection; returns their tokens together.

        Raises:
            TandemError: it refused one.
        """
        tokens = 0
        with closing(http.client.HTTPConnection(self.address, timeout=300)) as connection:
            for body in bodies:
                said = json.dumps({"model": "pocket", **body})
                connection.request("POST", "/v1/completions", said, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                got = json.loads(answer.read())
                if answer.status != 200:
                    raise TandemError(f"the local server answered {answer.status}: {got}")
                tokens += got["usage"]["completion_tokens"]
            if connection.sock is not None:  # wait until the server has closed its end, too
                connection.sock.shutdown(socket.SHUT_WR)
                connection.sock.recv(1)
        return tokens


@contextmanager
def local_server() -> Iterator[LocalServer]:
    """A server for the length of a `with` block."""
    command = [sys.executable, "-m", "edge_client", "serve", "--mode", "local", "--no-memory", "--port", "0"]
    with tempfile.TemporaryDirectory() as state:
        environment = os.environ | {"TANDEM_STATE": state}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            try:
                yield LocalServer(process)
            finally:
                process.terminate()


@dataclass(frozen=True)
class Held:
    """What a server holds, after each of what it does in turn.

    Attributes:
        fresh, tenth, all, long: before anything, after a tenth of the short requests, after all, after the long texts.
        written: tokens of the long texts.
    """

    fresh: Look
    tenth: Look
    all: Look
    long: Look
    written: int

    @property
    def grown(self) -> int:
        """Bytes that the last nine tenths of the short requests left behind."""
        return self.all.resident - self.tenth.resident


def measure(requests: int) -> Held:
    """Short requests one after the other, then `TEXTS` long ones at once."""
    short = [{"prompt": EVERY[i % len(EVERY)], "max_tokens": 1 + i % 8, "seed": i} for i in range(requests)]
    long = [[{"prompt": opening + LONG, "max_tokens": MOST_WRITTEN}] for opening in EVERY[:TEXTS]]
    tenth = max(requests // 10, 1)
    with local_server() as server:
        fresh = server.look()
        server.ask(short[:tenth])
        begun = server.look()
        server.ask(short[tenth:])
        done = server.look()
        with ThreadPoolExecutor(TEXTS) as threads:
            written = sum(threads.map(server.ask, long))
        return Held(fresh, begun, done, server.look(), written)


def rows(sizes: dict[str, int], help_seconds: tuple[float, float], held: Held, requests: int) -> list[tuple[str, ...]]:
    """Of the table: what, figure, bar."""
    cpu, wall = help_seconds
    tenth = max(requests // 10, 1)
    resident = [
        ("fresh", held.fresh),
        (f"after {tenth:,} short requests", held.tenth),
        (f"after {requests:,} short requests", held.all),
        (f"after {TEXTS} texts at once, {held.written:,} tokens behind prompts of 700", held.long),
    ]
    return [
        ("installed, MB", f"{sum(sizes.values()) / 1e6:.0f}", f"{INSTALLED_MB}"),
        ("`edge-client --help`, CPU s", f"{cpu:.2f}", f"{HELP_SECONDS}"),
        ("`edge-client --help`, wall s", f"{wall:.2f}", f"{HELP_SECONDS}"),
        *((f"resident MB, {when}", f"{look.resident / 1e6:.1f}", f"{RESIDENT_MB}") for when, look in resident),
        ("resident MB, the most at any time", f"{held.long.peak / 1e6:.1f}", f"{RESIDENT_MB}"),
        (f"grown from {tenth:,} requests to {requests:,}, MB", f"{held.grown / 1e6:+.1f}", f"{FLAT_MB}"),
        *((f"open descriptors, {when}", f"{look.descriptors}", f"{held.fresh.descriptors}") for when, look in resident),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=count, default=10_000, help="short ones (default: %(default)s)")
    parser.add_argument("--helps", type=count, default=9, help="runs of the help, for medians (default: %(default)s)")
    options = parser.parse_args()
    sizes = {name: size_of(part) for name, part in needed("edge").items()} | {"our own": size_of_ours()}
    load = os.getloadavg()[0]
    found = rows(sizes, seconds_of_help(options.helps), measure(options.requests), options.requests)
    print(f"{provenance('benchmarks.footprint')}; the machine's load before it: {load:.1f}\n")
    print(markdown_table(["", "measured", "at most"], found))
    largest = sorted(sizes.items(), key=lambda item: -item[1])
    print("\nInstalled, MB: " + ", ".join(f"{name} {size / 1e6:.1f}" for name, size in largest))
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
