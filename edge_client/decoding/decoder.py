"""The loop: draft, verify, commit. Every mode is this loop with another policy.

SPRINTER (Zhong, Teku, Tandon, arXiv 2502.04557), algorithm 1, with two changes: an asked token becomes the target's
own whatever the verifier thought, and every call also audits what was shown since the last one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from edge_client.decoding.drafter import Drafter
from edge_client.decoding.policy import Policy
from edge_client.decoding.preview import Preview
from edge_client.decoding.text import Origin, Retract, Text, Token
from edge_client.target.session import Distribution, TargetSession
from edge_client.target.verdict import Own, Verdict


class Listener(Protocol):
    """Hears of everything that the target says."""

    def wrote(self, position: int, own: Own) -> None:
        """The target wrote the token at `position` itself."""

    def judged(self, verdict: Verdict, run: int, asked: int) -> None:
        """One call came back: `run` tokens had been accepted since the last one, and `asked` were asked."""


def decode(
    text: Text,
    drafter: Drafter,
    policy: Policy,
    target: TargetSession | None,
    listeners: Sequence[Listener] = (),
    send_q: bool = False,
    preview: Preview | None = None,
) -> Iterator[Token | Retract]:
    """Write `text` until it is finished, token by token.

    Args:
        text: holds the prompt; grows as tokens are shown.
        target: may be None for a policy that never calls.
        listeners: are told of every verdict.
        send_q: send the draft's distribution with each asked token (the residual coupling needs it).
        preview: shows held tokens at once, as provisional ones.
    """
    last_call = text.shown
    q: list[Distribution] = []
    while not text.finished:
        if policy.drafts(text):
            x = drafter.propose(text.sequence)
            if policy.accepts(x):
                yield text.show(x.token, Origin.ACCEPTED)
            else:
                text.hold(x.token)
                if send_q:
                    q.append(x.draw.distribution)
                if preview is not None and (guess := preview.show(x.token)):
                    yield guess
            if text.finished or not policy.calls(text, text.shown - last_call):
                continue

        assert target is not None, "a policy that calls needs a target"
        if policy.target_leads:
            for own in target.write_on(text.sequence, text.remaining):
                for listener in listeners:
                    listener.wrote(text.shown, own)
                yield text.show(own.token, Origin.TARGET)
                if text.finished:
                    break
            continue

        verdict = target.judge(text.sequence, text.shown, q)
        for listener in listeners:
            listener.judged(verdict, run=text.shown - last_call, asked=text.held)
        if preview is not None and (fallen := preview.settle(verdict.stands)):
            yield fallen
        first_fallen = text.shown + verdict.stands
        for x_id in text.sequence[text.shown : first_fallen]:
            if not text.finished:
                confirmed = text.show(x_id, Origin.CONFIRMED)
                if preview is None:
                    yield confirmed
        if verdict.own is not None and not text.finished:
            for listener in listeners:
                listener.wrote(text.shown, verdict.own)
            yield text.show(verdict.own.token, Origin.TARGET)
        text.drop_held()
        q.clear()
        drafter.rewind(first_fallen)
        last_call = text.shown
    if preview is not None and (left := preview.settle(0)):  # the text was given up before they were judged
        yield left
