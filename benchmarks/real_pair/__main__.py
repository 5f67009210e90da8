"""A pair of real models: makes draft and bundle of a target that chats, and writes a page about what they do.

    python -m benchmarks.real_pair runs/SmolLM2-135M-Instruct --work runs/pair
    python -m benchmarks.real_pair runs/SmolLM2-135M-Instruct --work runs/pair --layers 8 --minutes 60
    python -m benchmarks.real_pair runs/SmolLM2-135M-Instruct --work runs/pair --quick

TARGET is any checkpoint with a chat template; it makes up what the draft learns from, so nothing else is needed. What
is finished is kept in --work, draft, bundle and every part of the page, and the same command goes on. docs/real-pair.md
is what it wrote last.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from benchmarks.local_target import run_main
from benchmarks.real_pair import answers, equality, pace, promise
from benchmarks.real_pair.making import make
from benchmarks.real_pair.plan import QUICK, Pair, Plan
from benchmarks.tables import provenance
from cloud_target.options.values import count
from cloud_target.training.work import Work
from shared.paths import typed_path, typed_place

OUT = Path(__file__).resolve().parents[2] / "docs" / "real-pair.md"
# By name: the title, and what measures it. Times come last: they want a machine that nobody else uses.
SECTIONS: dict[str, tuple[str, Callable[[Pair], str]]] = {
    "promise": (promise.TITLE, promise.measure),
    "exact": (equality.TITLE, equality.measure),
    "answers": (answers.TITLE, answers.measure),
    "texts": (answers.SAMPLES, answers.samples),
    "steps": (pace.STEP, pace.steps),
    "speeds": (pace.SPEED, pace.speeds),
}
HEAD = "# A real pair\n\nA target that people use, a draft that was distilled from it, and what the two do together."


def sections(names: Sequence[str], pair: Pair, work: Work) -> list[str]:
    """The parts of the page that measure something, each with its title."""
    determining = {"bundle": pair.loaded.manifest.identity, "plan": asdict(pair.plan)}
    parts = []
    for name in names:
        title, measure = SECTIONS[name]
        work.begin(title)

        def write(directory: Path, title: str = title, measure: Callable[[Pair], str] = measure) -> None:
            part = f"## {title}\n\n{measure(pair)}\n\n{provenance('benchmarks.real_pair')}"
            (directory / "part.md").write_text(part + "\n", encoding="utf-8")

        stage = work.stage(name, determining, write)
        parts.append((stage / "part.md").read_text(encoding="utf-8").strip())
        print(parts[-1] + "\n", flush=True)
    return parts


def about(pair: Pair, draft: Path) -> str:
    """What the models are, and the draft's own table, if it is one that `cloud-target distil` made."""
    manifest = pair.loaded.manifest
    told = [f"Target: {manifest.target_name}. Bundle: {manifest.name}, {manifest.vocabulary:,} tokens."]
    if (draft / "README.md").is_file():
        told.append("## The draft\n\n" + _lowered((draft / "README.md").read_text(encoding="utf-8")))
    return "\n\n".join(told)


def _lowered(card: str) -> str:
    """A card without its title, its headings below those of the page."""
    body = card.partition("\n")[2].strip()
    return "\n".join(f"#{line}" if line.startswith("## ") else line for line in body.splitlines())


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.real_pair", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", type=typed_place, metavar="TARGET", help="a directory or a hub id")
    parser.add_argument("--work", type=typed_path, required=True, metavar="DIR", help="where all that is made is kept")
    parser.add_argument("--layers", type=count, help="of the target that the draft keeps (default: a third)")
    parser.add_argument("--minutes", type=float, help="of distilling, after the text is made (default: 60)")
    parser.add_argument("--own-tokens", type=count, help="that the target writes for the draft (default: 200000)")
    parser.add_argument("--context", type=count, help="longest text of the bundle (default: the draft's own)")
    parser.add_argument("--device", default="cpu", help="that draft and bundle are made on (default: %(default)s)")
    parser.add_argument(
        "--parts", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="of the page (default: all of them)"
    )
    parser.add_argument("--quick", action="store_true", help="a few texts and links, for directions only")
    parser.add_argument(
        "--out", type=typed_path, help="the page (default: docs/real-pair.md, and with --quick page.md in --work)"
    )
    return parser.parse_args(arguments)


def main() -> int:
    options = parse()

    def tell(words: str) -> None:
        print(words, file=sys.stderr, flush=True)

    def given(*names: str) -> list[str]:
        values = {name: getattr(options, name.lstrip("-").replace("-", "_")) for name in names}
        return [word for name, value in values.items() if value is not None for word in (name, str(value))]

    bundle = make(
        str(options.target),
        options.work,
        given("--layers", "--minutes", "--own-tokens", "--device"),
        ["--dtype", "auto", *given("--context", "--device")],
        tell,
    )
    plan, place = (QUICK, "quick") if options.quick else (Plan(), "page")
    with Work.open(options.work / place, len(options.parts), tell) as work, ExitStack() as held:
        pair = Pair(str(options.target), bundle, plan, held)
        parts = sections(options.parts, pair, work)
    out = options.out or (options.work / "page.md" if options.quick else OUT)
    page = [HEAD, about(pair, options.work / "draft"), *parts]
    out.write_text("\n\n".join(page) + "\n", encoding="utf-8")
    print(out)
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
