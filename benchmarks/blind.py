"""Can a reader tell who wrote it? Pairs of texts on one prompt: the target's, and another's, in an order by chance.

    python -m benchmarks.blind                           # ten pairs, and the key below them
    python -m benchmarks.blind --page docs/blind.md      # written there

In half of the pairs the other text is the draft's alone (`local`), in half it is written with the target's blessing at
the default budget (`sprint`). The two are written with seeds of their own, or they would mostly be the same text.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.local_target import local_target, run_main
from benchmarks.pair import add_pair, prompts_of
from benchmarks.tables import provenance
from cloud_target.engine.files import find_directory
from cloud_target.options.values import count
from cloud_target.training.errands import errands
from edge_client.edge import Edge
from shared.config import Mode
from shared.paths import typed_path

INTRODUCTION = """\
# Who wrote it?

Prompts, each with two texts. One of the two is the large model's own (`cloud`). The other is by the small model of
the device: alone (`local`), or asking the large one at the default budget (`sprint`). Who wrote which, and which way
the device wrote, is below the last pair. Guess first.

Nothing was picked: these are the first seeds. What models of this size write is made up, and clumsy in all three modes.
What to look for is a device that loses the thread, or the facts that it was given."""
KEY = "## Who it was"
_TEXTS, _CHATS = 6, 4  # prompts of either sort


@dataclass(frozen=True)
class Pair:
    """Two texts on one prompt.

    Attributes:
        prompt: as a reader sees it.
        texts: A and B.
        modes: who wrote A and B.
    """

    prompt: str
    texts: tuple[str, str]
    modes: tuple[Mode, Mode]


def write(edge: Edge, openings: Sequence[list[int]], most: int, seed: int) -> list[Pair]:
    """A pair for each opening and for some errands; the order within a pair, and who the other is, by the seed.

    Args:
        openings: token ids of prompts.
        most: tokens a text.
    """
    chats = [errand.question for errand in errands(40, seed) if errand.kind in ("owner", "booking")][:_CHATS]
    prompts: list[tuple[str, list[int]]] = [
        *((edge.bundle.tokenizer.decode(ids), list(ids)) for ids in openings),
        *((chat, edge.bundle.encode_chat([{"role": "user", "content": chat}])) for chat in chats),
    ]
    chance = random.Random(seed)
    chance.shuffle(prompts)
    others = [(Mode.LOCAL, Mode.SPRINT)[number % 2] for number in range(len(prompts))]
    chance.shuffle(others)
    pairs = []
    for number, ((prompt, ids), other) in enumerate(zip(prompts, others, strict=True)):
        modes = [Mode.CLOUD, other]
        chance.shuffle(modes)
        a, b = (
            edge.generate(ids, mode=mode, seed=100 * seed + 2 * number + place, max_tokens=most).text
            for place, mode in enumerate(modes)
        )
        pairs.append(Pair(prompt, (a, b), (modes[0], modes[1])))
    return pairs


def page(pairs: Sequence[Pair]) -> str:
    """The pairs, and the key below them, in Markdown."""
    parts = [INTRODUCTION]
    for number, pair in enumerate(pairs, 1):
        parts += [f"## {number}", _quoted(pair.prompt)]
        parts += [f"**{name}** {_flowing(text)}" for name, text in zip("AB", pair.texts, strict=True)]
    lines = [f"{number}. A `{pair.modes[0]}`, B `{pair.modes[1]}`" for number, pair in enumerate(pairs, 1)]
    return "\n\n".join([*parts, KEY, "\n".join(lines), provenance("benchmarks.blind")]) + "\n"


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}  " for line in text.splitlines())


def _flowing(text: str) -> str:
    # What a model writes is not Markdown.
    for mark in "\\`*_<>#":
        text = text.replace(mark, "\\" + mark)
    return " / ".join(line.strip() for line in text.splitlines() if line.strip())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=count, default=80, help="of a text, at most (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the order and of the texts (default: %(default)s)")
    parser.add_argument("--page", type=typed_path, metavar="FILE", help="write them there, not to the terminal")
    add_pair(parser)
    options = parser.parse_args()
    target = str(find_directory(options.target))
    with (
        local_target("--target", target) as process,
        Edge(process.address, bundle=options.bundle, memory=False, on_outage="wait") as edge,
    ):
        openings = prompts_of(options, edge.bundle.tokenizer, _TEXTS)[:_TEXTS]
        text = page(write(edge, openings, options.tokens, options.seed))
    if options.page:
        options.page.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
