"""How fast each mode writes over each link, beside the cloud's stream over the same one.

    python -m benchmarks.links
    python -m benchmarks.links --links lan far --documents stories.txt.xz --prompts 20

Every prompt is written in every mode in turn, so that a busy moment of the machine slows all of them down. The link is
a relay in a process of its own (`benchmarks/network`). A mode keeps its promise from text to text, as on a device.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from benchmarks.files import add_files, write_files
from benchmarks.local_target import local_target, run_main
from benchmarks.modes import Run, counted, write
from benchmarks.network.process import relay_process
from benchmarks.network.profiles import PROFILES, Profile
from benchmarks.pair import add_pair, prompts_of
from benchmarks.tables import markdown_table
from cloud_target.options.values import count
from edge_client.bundles.bundle import Bundle
from edge_client.edge import Edge
from edge_client.settings import Settings
from shared.config import Criterion, Mode

CLOUD = "cloud"
DEFAULT_LINKS = ("lan", "metro", "home", "mobile", "far", "satellite", "wifi")
LEGEND = """\
x cloud: speed over that of `cloud` on the same link, the median over the prompts; first: until the first token, median;
asked: tokens that the target was asked about, over those shown; calls: passes of the target that were answered, over
those shown; B: bytes of payload a token, up and down, without the prompt's. Both sides and the relay ran on one
machine, the target on one thread."""


@dataclass(frozen=True)
class Row:
    """One mode over one link; figures as in `LEGEND`, times in milliseconds."""

    link: str
    mode: str
    speed_up: float
    ms_a_token: float
    first_ms: float
    ask_rate: float
    calls_a_token: float
    bytes_up: float
    bytes_down: float
    off_typical: float
    off_strict: float


def rows_of(settings: Settings) -> dict[str, Settings]:
    """What is compared, by name; the plain stream last."""
    plain = Settings()
    return {
        f"sprint, {plain.criterion} {100 * plain.budget:g} %": replace(settings, mode=Mode.SPRINT),
        "sprint, strict 5 %": replace(settings, mode=Mode.SPRINT, criterion=Criterion.STRICT, budget=0.05),
        "exact": replace(settings, mode=Mode.EXACT),
        "auto, strict 5 %": replace(settings, mode=Mode.AUTO, criterion=Criterion.STRICT, budget=0.05),
        CLOUD: replace(settings, mode=Mode.CLOUD),
    }


def write_all(edge: Edge, prompts: Sequence[Sequence[int]], settings: Settings, link: str) -> dict[str, list[Run]]:
    """Every prompt in every mode, by its name; a prompt's number is its seed."""
    runs: dict[str, list[Run]] = {name: [] for name in rows_of(settings)}
    for seed, prompt in enumerate(prompts):
        for name, row in rows_of(settings).items():
            runs[name].append(write(edge, prompt, replace(row, seed=seed)))
        if sys.stderr.isatty():
            print(f"\r  {link}: {seed + 1} of {len(prompts)} prompts ", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r" + " " * 40 + "\r", end="", file=sys.stderr, flush=True)
    else:
        print(f"  {link}: {len(prompts)} prompts", file=sys.stderr, flush=True)
    return runs


def summed_up(link: str, runs: dict[str, list[Run]]) -> list[Row]:
    """A row for each mode."""
    rows = []
    for name, own in runs.items():
        pairs = zip(own, runs[CLOUD], strict=True)
        tokens, counts = sum(run.summary.tokens for run in own), counted(own)
        known = max(counts.known, 1)
        rows.append(
            Row(
                link,
                name,
                median(_pace(cloud) / _pace(run) for run, cloud in pairs),
                median(map(_pace, own)),
                median(run.summary.times.first_token_ms for run in own),
                counts.asked / tokens,
                sum(run.summary.calls for run in own) / tokens,
                sum(run.summary.bytes_up for run in own) / tokens,
                sum(run.summary.bytes_down for run in own) / tokens,
                counts.off_typical / known,
                counts.off_strict / known,
            )
        )
    return rows


def _pace(run: Run) -> float:
    """Milliseconds a token."""
    return run.summary.times.total_ms / max(run.summary.tokens, 1)


def speed_table(rows: Sequence[Row]) -> str:
    """Speed over that of `cloud`: a line a mode, a column a link."""
    links, modes = (list(dict.fromkeys(getattr(row, field) for row in rows)) for field in ("link", "mode"))
    cells = {(row.link, row.mode): f"{row.speed_up:.2f}" for row in rows}
    header = [f"{link}, {1e3 * PROFILES[link].round_trip:g} ms" for link in links]
    return markdown_table(["x cloud", *header], [[mode, *(cells[link, mode] for link in links)] for mode in modes])


def whole_table(rows: Sequence[Row]) -> str:
    """Everything, a line for each mode over each link."""
    columns: dict[str, Callable[[Row], str]] = {
        "link": lambda row: row.link,
        "mode": lambda row: row.mode,
        "x cloud": lambda row: f"{row.speed_up:.2f}",
        "ms/token": lambda row: f"{row.ms_a_token:.2f}",
        "first ms": lambda row: f"{row.first_ms:.1f}",
        "asked %": lambda row: f"{100 * row.ask_rate:.1f}",
        "calls/token": lambda row: f"{row.calls_a_token:.3f}",
        "B up": lambda row: f"{row.bytes_up:.1f}",
        "B down": lambda row: f"{row.bytes_down:.1f}",
        "typical %": lambda row: f"{100 * row.off_typical:.2f}",
        "strict %": lambda row: f"{100 * row.off_strict:.1f}",
    }
    return markdown_table(list(columns), [[cell(row) for cell in columns.values()] for row in rows])


def measure(
    bundle: Bundle, target: str, profile: Profile, prompts: Sequence[Sequence[int]], settings: Settings
) -> list[Row]:
    """All modes over one link, which is warm: connected, and everything loaded."""
    with (
        relay_process(profile, target) as address,
        Edge(address, bundle=bundle, memory=False, on_outage="wait") as edge,
    ):
        write_all(edge, prompts[:1], replace(settings, max_tokens=8), f"{profile.name}, warming up")
        return summed_up(profile.name, write_all(edge, prompts, settings, profile.name))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_pair(parser)
    parser.add_argument("--links", nargs="+", choices=PROFILES, default=DEFAULT_LINKS, help="(default: all but none)")
    parser.add_argument("--prompts", type=count, default=20, help="openings of documents (default: %(default)s)")
    parser.add_argument("--tokens", type=count, default=128, help="most tokens a text (default: %(default)s)")
    parser.add_argument("--temperature", type=float, default=0.7, help="(default: %(default)s)")
    parser.add_argument("--top-p", type=float, default=0.9, help="(default: %(default)s)")
    add_files(parser, "figures")
    options = parser.parse_args()
    settings = Settings(temperature=options.temperature, top_p=options.top_p, max_tokens=options.tokens)
    bundle = Bundle.load(options.bundle)
    prompts = prompts_of(options, bundle.tokenizer, options.prompts)
    rows: list[Row] = []
    # A core each for the two sides: threads of a small model that wait for each other would be in the edge's way.
    with local_target("--target", options.target, "--threads", "1") as target:
        for name in options.links:
            rows += measure(bundle, target.address, PROFILES[name], prompts, settings)
    parts = [speed_table(rows), whole_table(rows), LEGEND]
    print("\n\n".join(parts))
    write_files(options, "benchmarks.links", parts, rows)
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
