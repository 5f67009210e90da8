"""What a pass of vLLM's has read of our requests, and how that is scored: all of them in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from cloud_target.engine.scoring.feeds import rows_of
from cloud_target.engine.scoring.masking import forbid
from cloud_target.engine.scoring.score import Row, score
from cloud_target.engine.vllm.travelling import Answers, unpacked, vocabulary_of

# Logits ``[R, vocabulary or more]`` of states ``[R, hidden]``; None where another of several workers has them.
ComputeLogits = Callable[[torch.Tensor], torch.Tensor | None]


class Asked:
    """A request of ours, while vLLM reads its text.

    Args:
        there: what travelled with it.
    """

    def __init__(self, there: dict[str, Any]) -> None:
        self.there, self.feed, self.vocabulary = there, unpacked(there), vocabulary_of(there)
        self.answers = Answers(len(self.feed.tokens), self.feed.spare)


class Part:
    """What a pass has read of one request.

    Args:
        asked: the request.
        begin, end: positions of what was read; guesses of vLLM's own behind the text do not count.
        place: of the first of these among all that the pass has read.

    Attributes:
        rows: which rows of the feed are scored now.
        states: where they are among all that the pass has read.
        guesses: which guesses follow one of them.
        is_last: whether the text is read to its end.
    """

    def __init__(self, asked: Asked, begin: int, end: int, place: int) -> None:
        self.asked, feed = asked, asked.feed
        end = min(end, feed.end)
        self.is_last = end == feed.end
        first = max(begin, feed.start)
        self.rows = slice(first - feed.start, max(end, first) - feed.start)
        self.states = range(place + first - begin, place + max(end, first) - begin)
        follows = feed.follows()[feed.needed :]
        self.guesses = [i for i, parent in enumerate(follows) if self.rows.start <= parent < self.rows.stop]


def answers(compute_logits: ComputeLogits, states: torch.Tensor, parts: Mapping[str, Part]) -> dict[str, Any]:
    """Score what a pass has read of our requests.

    Args:
        compute_logits: the model's.
        states: of all that the pass has read, ``[N, hidden]``.
        parts: of each request, by its name.

    Returns:
        Of those that are read to their end, all scores, as vLLM carries log-probabilities.
    """
    if not parts:
        return {}
    from vllm.v1.outputs import LogprobsTensors

    _score(compute_logits, states, [part for part in parts.values() if part.states])
    found = {}
    for name, part in parts.items():
        if part.is_last:
            ids, nll = torch.from_numpy(part.asked.answers.ids), torch.from_numpy(part.asked.answers.nll)
            found[name] = LogprobsTensors(ids, nll, torch.zeros(len(ids)))
    return found


def _score(compute_logits: ComputeLogits, states: torch.Tensor, parts: Sequence[Part]) -> None:
    """Score the rows of several requests in one call, and put the scores where they belong."""
    wanted = [state for part in parts for state in part.states]
    logits = compute_logits(states[torch.tensor(wanted, device=states.device)]) if wanted else None
    if logits is None:
        return
    # One model has one vocabulary; what it has logits for beyond that are no tokens.
    logits = logits[:, : parts[0].asked.vocabulary].float()
    rows: list[Row] = []
    beside: list[tuple[int, int]] = []
    at = []
    for part in parts:
        feed, first = part.asked.feed, len(rows)
        if feed.masks is not None:
            logits = forbid(logits, first, feed.masks.rows(feed)[part.rows])
        at.append((first, len(beside)))
        rows += [*rows_of(feed)][part.rows]
        beside += [(first + feed.needed - 1 + i - part.rows.start, feed.tokens[feed.needed + i]) for i in part.guesses]
    found = score(logits, rows, beside)
    for part, (first, guess) in zip(parts, at, strict=True):
        part.asked.answers.add(
            found,
            slice(first, first + len(part.states)),
            slice(guess, guess + len(part.guesses)),
            part.rows.start,
            len(part.asked.feed.tokens) + (part.guesses[0] if part.guesses else 0),
        )
