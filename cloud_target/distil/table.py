"""The table of agreement against time: a row every so often, so that a person sees when more training pays no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cloud_target.distil.pace import gain

_HEAD = (
    "| minutes | tokens | x = y, greedy | x = y, T 0.7, top-p 0.9 | draft step / target step | gain |",
    "|---:|---:|---:|---:|---:|---:|",
)
_NOTE = """\
x = y: the share of tokens of {tokens} held-out ones of the target's own text that the draft would have written, with
the same noise. A step is one token with its text in a cache, both models in float32 PyTorch on this machine ({device}):
{target:.1f} ms of the target. Gain: how much faster than the target alone both beside each other write at best at T 0.7
(speculative decoding with its best window, Leviathan et al., arXiv 2211.17192, theorem 3.8). The row with a star is the
draft that is kept."""


@dataclass(frozen=True)
class Line:
    """What a draft was like at some time.

    Attributes:
        minutes: of training.
        tokens: trained on, those read again counted again.
        greedy, sampled: agreement with the target, 0 to 1, in each of `held_out.SAMPLINGS`.
    """

    minutes: float
    tokens: int
    greedy: float
    sampled: float

    @property
    def worth(self) -> float:
        """By which the best draft is kept: the mean of both agreements."""
        return (self.greedy + self.sampled) / 2


@dataclass(frozen=True)
class Measured:
    """What holds for all lines.

    Attributes:
        draft, target: seconds a step.
        tokens: that were compared.
        device: on which all was measured.
    """

    draft: float
    target: float
    tokens: int
    device: str

    @property
    def share(self) -> float:
        """A draft's step as a share of the target's."""
        return self.draft / self.target


def best(lines: Sequence[Line]) -> Line:
    """The line of the best draft; of several, the last."""
    return max(reversed(lines), key=lambda line: line.worth)


def row(line: Line, measured: Measured, star: bool = False) -> str:
    """A line of the table in Markdown."""
    return (
        f"| {line.minutes:.1f}{' *' if star else ''} | {line.tokens:,} | {line.greedy:.3f} | {line.sampled:.3f} | "
        f"{measured.share:.2f} | {gain(line.sampled, measured.share):.2f} |"
    )


def head() -> str:
    """The first two lines of the table."""
    return "\n".join(_HEAD)


def as_markdown(lines: Sequence[Line], measured: Measured) -> str:
    """The table, and how to read it."""
    kept = best(lines)
    note = _NOTE.format(tokens=f"{measured.tokens:,}", device=measured.device, target=1000 * measured.target)
    return "\n".join([*_HEAD, *(row(line, measured, line is kept) for line in lines), "", note])


def as_json(lines: Sequence[Line], measured: Measured) -> dict[str, Any]:
    """The same for programs."""
    kept = best(lines)
    return {
        "draft step, seconds": measured.draft,
        "target step, seconds": measured.target,
        "held-out tokens": measured.tokens,
        "device": measured.device,
        "lines": [
            asdict(line) | {"gain": round(gain(line.sampled, measured.share), 4), "kept": line is kept}
            for line in lines
        ],
    }
