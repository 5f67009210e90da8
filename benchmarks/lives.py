"""What devices write that begin knowing nothing: texts of several kinds and samplings, one after the other."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.modes import Run, write
from benchmarks.workers import Place
from edge_client.edge import Edge
from edge_client.settings import Settings

# Prompts by kind of text, token ids each.
Kinds = Mapping[str, Sequence[list[int]]]
TEMPERATURES = (0.0, 0.3, 0.5, 0.7, 0.9, 1.0)
TOP_PS = (0.5, 0.8, 0.9, 0.95, 1.0)


@dataclass(frozen=True)
class Stretch:
    """Texts that belong together in a device's life; they are written in order, and again from the first.

    Attributes:
        name: for tables.
        texts: kind, prompt, temperature and top-p of each.
        tokens: after so many no text is begun any more; None for every text once.
    """

    name: str
    texts: Sequence[tuple[str, list[int], float, float]]
    tokens: int | None = None


@dataclass(frozen=True)
class Life:
    """What one device writes.

    Attributes:
        stretches: one after the other.
        settings: of all texts, but for temperature, top-p and seed; the seed is the first text's and counts up. In
            `local` there is no budget to keep.
    """

    stretches: Sequence[Stretch]
    settings: Settings


@dataclass(frozen=True)
class Written:
    """One text of a life.

    Attributes:
        stretch, kind: where it stands.
        before: tokens that were written before it in its stretch.
        run: what it cost and gave.
    """

    stretch: str
    kind: str
    before: int
    run: Run


def live(place: Place, life: Life) -> list[Written]:
    """Write everything; one memory learns from all of it."""
    written, seeds = [], itertools.count(life.settings.seed)
    with Edge(place.address, bundle=place.bundle, memory=False, on_outage="wait") as edge:
        for stretch in life.stretches:
            before = 0
            for kind, prompt, temperature, top_p in (
                stretch.texts if stretch.tokens is None else itertools.cycle(stretch.texts)
            ):
                if stretch.tokens is not None and before >= stretch.tokens:
                    break
                drawn = replace(life.settings, temperature=temperature, top_p=top_p, seed=next(seeds))
                run = write(edge, prompt, drawn)
                written.append(Written(stretch.name, kind, before, run))
                before += max(run.counts.shown, 1)
                place.count(run.counts.shown)
    return written


def fresh(kinds: Kinds, states: int, tokens: int, settings: Settings) -> Iterator[Life]:
    """`states` lives for each kind, of so many tokens; each begins with other prompts."""
    for kind, prompts in kinds.items():
        for state in range(states):
            begin = state * len(prompts) // states
            texts = _texts(kind, [*prompts[begin:], *prompts[:begin]], settings)
            yield Life([Stretch(kind, texts, tokens)], _numbered(settings, state))


def shift(easy: Kinds, hard: Kinds, repeats: int, before: int, after: int, settings: Settings) -> Iterator[Life]:
    """`repeats` lives: `before` tokens of easy kinds, then `after` of hard ones in turn."""
    for repeat in range(repeats):
        chosen = random.Random(repeat)
        parts = (
            Stretch("before", _turns(easy, settings, chosen), before),
            Stretch("after", _turns(hard, settings, chosen), after),
        )
        yield Life(parts, _numbered(settings, repeat))


def varied(kinds: Kinds, runs: int, settings: Settings) -> Iterator[Life]:
    """One life of `runs` texts, each with another temperature and top-p."""
    chosen = random.Random(settings.seed)
    texts = itertools.islice(itertools.cycle(_turns(kinds, settings, chosen)), runs)
    drawn = [(kind, prompt, chosen.choice(TEMPERATURES), chosen.choice(TOP_PS)) for kind, prompt, _, _ in texts]
    yield Life([Stretch("all", drawn)], settings)


def mixed(kinds: Kinds, runs: int, settings: Settings) -> Iterator[Life]:
    """One life of `runs` texts, of every kind in turn."""
    texts = itertools.islice(itertools.cycle(_turns(kinds, settings, random.Random(settings.seed))), runs)
    yield Life([Stretch("all", list(texts))], settings)


def _texts(kind: str, prompts: Sequence[list[int]], settings: Settings) -> list[tuple[str, list[int], float, float]]:
    return [(kind, prompt, settings.temperature, settings.top_p) for prompt in prompts]


def _turns(kinds: Kinds, settings: Settings, chosen: random.Random) -> list[tuple[str, list[int], float, float]]:
    """Texts of every kind in turn, each kind's prompts in any order; the longest kind's all, the others' again."""
    shuffled = [_texts(kind, chosen.sample(prompts, len(prompts)), settings) for kind, prompts in kinds.items()]
    longest = max(map(len, shuffled))
    return [
        text for turn in itertools.islice(zip(*map(itertools.cycle, shuffled), strict=False), longest) for text in turn
    ]


def _numbered(settings: Settings, number: int) -> Settings:
    """With seeds of its own, as no life has so many texts."""
    return replace(settings, seed=settings.seed + 10_000 * number)
