"""Does a verifier for the kind of a text pay, and does the device find it? Tried with a kind that neither model saw.

    python -m benchmarks.domains
    python -m benchmarks.domains --kind json --rows 20000

The embedded bundle gets a verifier for four fifths of the kind's documents (`cloud-target prepare --domain`). Then
devices that know nothing write after openings of the last fifth, and as many texts of the kinds that the pair knows:
one with the general verifier, one with the kind's, and one that chooses. None of the weights are kept.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.documents import openings
from benchmarks.files import add_files, write_files
from benchmarks.kinds import unseen_kinds
from benchmarks.local_target import local_target, run_main
from benchmarks.prompts import EVERY
from benchmarks.tables import markdown_table, percent
from cloud_target.engine.files import POCKET as TARGET
from cloud_target.options.values import count
from edge_client.bundles.bundle import Bundle
from edge_client.bundles.pocket import POCKET
from edge_client.edge import Edge
from edge_client.usage.audit_counts import AuditCounts
from shared.config import Criterion
from shared.domains import AUTO, GENERAL
from shared.tokenizer import encode_prompt

# Of a kind's documents, those that train and calibrate.
SHARE = 0.8
KNOWN = "stories and dialogues"
HEADS = ("texts of", "verifier", "criterion", "budget %", "tokens", "asked %", "first half", "second", "off %", "wrote")


@dataclass(frozen=True)
class Row:
    """What one device wrote.

    Attributes:
        kind: of the texts.
        domain: as the device was told.
        criterion, budget: of the promise.
        halves: counts of the first half of the texts, and of the second.
        wrote: drafted tokens that each verifier decided about.
    """

    kind: str
    domain: str
    criterion: str
    budget: float
    halves: tuple[AuditCounts, AuditCounts]
    wrote: dict[str, int]

    def cells(self) -> list[str]:
        """For the table."""
        whole = self.halves[0] + self.halves[1]
        shares = ", ".join(f"{name} {count / sum(self.wrote.values()):.0%}" for name, count in self.wrote.items())
        rates = [percent(one.ask_rate, 1) for one in (whole, *self.halves)]
        off = percent(whole.rate(Criterion(self.criterion)))
        return [self.kind, self.domain, self.criterion, f"{100 * self.budget:g}", str(whole.known), *rates, off, shares]


def lived(edge: Edge, prompts: Sequence[list[int]], kind: str, domain: str, criterion: str, budget: float) -> Row:
    """Texts one after the other, by a device that begins knowing nothing."""
    halves, wrote = [AuditCounts(), AuditCounts()], dict[str, int]()
    for number, prompt in enumerate(prompts):
        text = edge.generate(prompt, seed=number, domain=domain, criterion=criterion, budget=budget)
        half = int(2 * number >= len(prompts))
        halves[half] = halves[half] + text.audit.counts
        for name, tokens in (text.verifiers or {}).items():
            wrote[name] = wrote.get(name, 0) + tokens
    return Row(kind, domain, criterion, budget, (halves[0], halves[1]), wrote)


def run(options: argparse.Namespace) -> int:
    """Train, write, and print the table; returns the exit status."""
    documents = unseen_kinds()[options.kind]
    known = documents[: int(SHARE * len(documents))]
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        corpus, out = place / f"{options.kind}.txt", place / "bundle"
        corpus.write_text("\n<|endoftext|>\n".join(known), encoding="utf-8")
        command = [sys.executable, "-m", "cloud_target", "prepare", "--target", TARGET, "--draft", str(POCKET)]
        command += ["--domain", options.kind, "--corpus", str(corpus), "--out", str(out)]
        command += ["--rows", str(options.rows), "--own-tokens", str(options.own_tokens), "--threads", "1"]
        subprocess.run(command, stdout=sys.stderr, check=True)
        bundle = Bundle.load(out)
    tokenizer = bundle.tokenizer
    prompts = {options.kind: openings(tokenizer, documents[len(known) :], options.texts)}
    familiar = [encode_prompt(tokenizer, prompt) for prompt in EVERY]
    prompts[KNOWN] = [familiar[i % len(familiar)] for i in range(options.texts)]
    rows = []
    with local_target() as target:
        for kind, chosen in prompts.items():
            for criterion, budget in ((Criterion.TYPICAL, 0.01), (Criterion.STRICT, 0.05)):
                for domain in (GENERAL, options.kind, AUTO):
                    with Edge(target.address, bundle=bundle, memory=False, on_outage="wait", max_tokens=128) as edge:
                        rows.append(lived(edge, chosen, kind, domain, str(criterion), budget))
                        print("  ".join(rows[-1].cells()), file=sys.stderr)
    table = markdown_table(HEADS, [row.cells() for row in rows])
    print(table)
    write_files(options, "benchmarks.domains", [table], rows)
    return 0


def main() -> int:
    """Run the benchmark; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.domains", description=__doc__.partition("\n")[0])
    parser.add_argument("--kind", choices=list(unseen_kinds()), default="code", help="of text (default: %(default)s)")
    parser.add_argument("--rows", type=count, default=40_000, help="to train on, about (default: %(default)s)")
    parser.add_argument(
        "--own-tokens", type=count, default=10_000, help="that the target writes to train on (default: %(default)s)"
    )
    parser.add_argument("--texts", type=count, default=60, help="that each device writes (default: %(default)s)")
    add_files(parser, "rows")
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(run_main(main))
