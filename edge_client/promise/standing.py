"""How verifiers stand against each other: by how many nats each is behind the best of them.

A verifier loses by how unlikely, from what its doubts were believed to be worth, was what became of the tokens
(`Budget.surprise`): the logarithmic score, under which nothing is gained by saying anything but what is believed. What
recalibration mends is mended before it is counted, so verifiers are told apart by what they can tell, and not by how
loudly they say it.
"""

from __future__ import annotations

from collections.abc import Mapping

Losses = dict[str, float]
# The text goes over to another verifier where that is ahead by so many nats, odds of 20 to 1; back, where it is behind
# by as much. So nothing goes to and fro on less evidence than twice that.
MARGIN = 3.0
# A good past counts for so many nats at most, for a text may change its kind.
MOST_BEHIND = 10.0
# So much of it a text takes over from those before it: less than a margin and a few words of its own outweigh.
MOST_CARRIED = 4.0
# What a prompt counts that is worded unlike the documents of a verifier.
UNLIKE = 4.0


def bounded(losses: Mapping[str, float], most: float) -> Losses:
    """The same, from 0 for the best one to `most`."""
    least = min(losses.values(), default=0.0)
    return {name: min(loss - least, most) for name, loss in losses.items()}


def first(carried: Mapping[str, float], is_unlike: Mapping[str, bool]) -> Losses:
    """How verifiers stand before a text's first audit.

    Args:
        carried: from earlier texts.
        is_unlike: by verifier, in the order of preference where all is equal, whether the prompt is worded unlike what
            it was calibrated on.
    """
    known = bounded({name: carried.get(name, 0.0) for name in is_unlike}, MOST_CARRIED)
    return bounded({name: known[name] + UNLIKE * unlike for name, unlike in is_unlike.items()}, MOST_BEHIND)


def later(losses: Mapping[str, float], lost: Mapping[str, float]) -> Losses:
    """How they stand once each has lost so much more."""
    return bounded({name: loss + lost[name] for name, loss in losses.items()}, MOST_BEHIND)


def carried(before: Mapping[str, float], lost: Mapping[str, float]) -> Losses:
    """What the next text is told, after one in which each has lost so much."""
    return bounded({name: before.get(name, 0.0) + lost.get(name, 0.0) for name in {**before, **lost}}, MOST_CARRIED)


def leader(losses: Mapping[str, float], present: str | None = None) -> str:
    """Who writes on: the present one, unless another is ahead by `MARGIN`; where there is none, the best."""
    best = min(losses, key=lambda name: losses[name])
    return best if present is None or losses[present] - losses[best] > MARGIN else present
