"""The loop: draft, verify, commit. Every mode is this loop with another policy.

SPRINTER (Zhong, Teku, Tandon, arXiv 2502.04557), algorithm 1, with two changes: an asked token becomes the target's
own whatever the verifier thought, and every call also audits what was shown since the last one.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge_client.decoding.drafter import Drafter
from edge_client.decoding.policy import Policy
from edge_client.decoding.record import Record
from edge_client.decoding.text import Origin, Shown, Text
from edge_client.target.client import TargetSession


def decode(
    text: Text, drafter: Drafter, policy: Policy, target: TargetSession | None, record: Record, send_q: bool = False
) -> Iterator[Shown]:
    """Write `text` until it is finished, token by token.

    Args:
        text: holds the prompt; grows as tokens are shown.
        target: may be None for a policy that never calls.
        record: is told of every verdict.
        send_q: send the draft's distribution with each asked token (the residual coupling needs it).
    """
    last_call = text.shown
    q = []
    while not text.finished:
        if policy.target_leads:
            for y, nll in target.write_on(text.sequence, text.remaining):
                record.wrote(text.shown, nll)
                yield text.show(y, Origin.TARGET)
                if text.finished:
                    break
            continue

        if policy.drafts(text):
            x = drafter.propose(text.sequence)
            if policy.accepts(x):
                yield text.show(x.token, Origin.ACCEPTED)
            else:
                text.hold(x.token)
                if send_q:
                    q.append(x.draw.distribution)
            if text.finished or not policy.calls(text, text.shown - last_call):
                continue

        verdict = target.judge(text.sequence, text.shown, q)
        record.judged(verdict, run=text.shown - last_call, asked=text.held)
        first_fallen = text.shown + verdict.stands
        for x in text.sequence[text.shown : first_fallen]:
            if not text.finished:
                yield text.show(x, Origin.CONFIRMED)
        if verdict.token is not None and not text.finished:
            record.wrote(text.shown, verdict.token_nll)
            yield text.show(verdict.token, Origin.TARGET)
        text.drop_held()
        q.clear()
        drafter.rewind(first_fallen)
        last_call = text.shown
