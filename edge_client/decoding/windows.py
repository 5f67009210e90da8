"""The loop of `exact` with the residual coupling: guess a window of tokens, have them judged, go on from there.

Speculative decoding over the link (Leviathan, Kalman, Matias, arXiv 2211.17192): only what the target confirmed is
shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edge_client.decoding.decoder import Listener, reveal
from edge_client.decoding.drafter import Drafter
from edge_client.decoding.preview import Preview
from edge_client.decoding.text import Event, Origin, Text
from edge_client.target.posted import Distribution
from edge_client.target.session import TargetSession


def guess_and_judge(
    text: Text,
    drafter: Drafter,
    target: TargetSession,
    window: int,
    listeners: Sequence[Listener] = (),
    preview: Preview | None = None,
) -> Iterator[Event]:
    """Write `text` until it is finished.

    Args:
        text: holds the prompt; grows as tokens are shown.
        window: guesses a call.
        listeners: are told of every verdict.
        preview: shows guesses at once, as provisional tokens.
    """
    q: list[Distribution] = []
    while not text.finished:
        # The target adds a token of its own, so the last one needs no guess.
        if text.held < min(window, text.remaining - 1):
            x = drafter.propose(text.sequence)
            text.hold(x.token)
            if x.q is not None:
                q.append(x.q)
            if preview is not None:
                yield from preview.follow(text.sequence[text.shown :])
            continue
        held = text.sequence[text.shown :]
        verdict = target.judge(text.sequence, text.shown, q)
        for listener in listeners:
            listener.judged(verdict, run=0, asked=len(held))
        first_fallen = text.shown + verdict.stands
        for token in held[: verdict.stands]:
            if not text.finished:
                yield from reveal(text, token, Origin.CONFIRMED, preview)
        if verdict.own is not None and not text.finished:
            for listener in listeners:
                listener.wrote(text.shown, verdict.own)
            yield from reveal(text, verdict.own.token, Origin.TARGET, preview)
        text.drop_held()
        q.clear()
        drafter.rewind(first_fallen)
    if preview is not None:  # the text was given up before they were judged
        yield from preview.take_back()
