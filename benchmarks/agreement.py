"""How a draft's agreement with its target comes in runs: what `cloud-target bench` models.

    python -m benchmarks.agreement --prompts 40 --tokens 96

The target writes; the draft reads along and draws its own token at every position with the same noise. A token is easy
where the two are equal. Printed are the share of easy tokens, and how likely a hard one is after an easy and after a
hard one, the two numbers that make a Markov chain.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence

from benchmarks.exactness import prompts, write
from benchmarks.local_target import local_target, run_main
from benchmarks.pair import add_pair, prompts_of
from cloud_target.options.values import count
from edge_client.decoding.drafter import Drafter
from edge_client.edge import Edge
from shared.config import Criterion, Sampling
from shared.sampling import Sampler


def agreement(edge: Edge, prompt: Sequence[int], sampling: Sampling, tokens: int) -> list[bool]:
    """For each token that the target writes after the prompt: whether the draft draws the same."""
    text = write(edge, list(prompt), mode="cloud", max_tokens=tokens, **vars(sampling))
    with edge.bundle.models.lend() as models:
        drafter = Drafter(models.draft, Sampler(sampling), None, Criterion.TYPICAL)
        return [drafter.propose(text[:i]).token == text[i] for i in range(len(prompt), len(text))]


def transitions(runs: Sequence[Sequence[bool]]) -> tuple[float, float, float]:
    """The share of easy tokens, and that of hard ones after an easy and after a hard one."""
    pairs = [pair for run in runs for pair in itertools.pairwise(run)]
    easy = sum(map(sum, runs)) / sum(map(len, runs))
    after_easy, after_hard = ([not second for first, second in pairs if first is kind] for kind in (True, False))
    return easy, sum(after_easy) / max(len(after_easy), 1), sum(after_hard) / max(len(after_hard), 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_pair(parser, "instead of those that the target writes")
    parser.add_argument("--prompts", type=count, default=40, help="texts at each temperature (default: %(default)s)")
    parser.add_argument("--tokens", type=count, default=96, help="most tokens a text (default: %(default)s)")
    options = parser.parse_args()
    print(f"{'':16} {'tokens':>8} {'easy':>8} {'hard | easy':>12} {'hard | hard':>12}")
    with (
        local_target("--target", options.target) as target,
        Edge(target.address, bundle=options.bundle, on_outage="wait") as edge,
    ):
        everyone = list(prompts(edge, options.prompts))
        if options.documents:
            everyone = prompts_of(options, edge.bundle.tokenizer, options.prompts)
        for temperature, top_p in ((0.0, 1.0), (0.7, 0.9), (1.0, 1.0)):
            runs = [
                agreement(edge, prompt, Sampling(temperature, 0, top_p, seed), options.tokens)
                for seed, prompt in enumerate(everyone)
            ]
            easy, after_easy, after_hard = transitions(runs)
            tokens = sum(map(len, runs))
            print(
                f"temperature {temperature:4} {tokens:8} {easy:8.3f} {after_easy:12.3f} {after_hard:12.3f}", flush=True
            )
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
