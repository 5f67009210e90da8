"""The loop in which the device leads: draft, verify, commit.

SPRINTER (Zhong, Teku, Tandon, arXiv 2502.04557), algorithm 1, with three changes: an asked token becomes the target's
own whatever the verifier thought; every question also audits what was shown since the last one; and while the target
is asked, the draft goes on behind what it will most likely say (`edge_client/decoding/tree.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from edge_client.decoding.drafter import Drafter, Proposal
from edge_client.decoding.preview import Preview
from edge_client.decoding.questions import Questions
from edge_client.decoding.text import Event, Origin, Text
from edge_client.decoding.tree import Tree, Way
from edge_client.target.verdict import Audit, Own, Question, Verdict


class Listener(Protocol):
    """Hears of everything that the target says."""

    def wrote(self, position: int, own: Own) -> None:
        """The target wrote the token at `position` itself."""

    def judged(self, verdict: Verdict, run: int, asked: int) -> None:
        """An answer counts: `run` tokens had been accepted since the question before, and `asked` were asked."""

    def audited(self, audit: Audit) -> None:
        """The target's opinion of the text's tail."""


def draft_and_ask(
    text: Text,
    drafter: Drafter,
    tree: Tree,
    questions: Questions | None,
    listeners: Sequence[Listener] = (),
    preview: Preview | None = None,
    stays: Callable[[], bool] = lambda: True,
) -> Iterator[Event]:
    """Write `text` until it is finished, token by token.

    Args:
        text: holds the prompt; grows as tokens are shown.
        tree: says what may be shown without asking, and what may follow.
        questions: to the target; None where everything may be shown.
        listeners: are told of every answer.
        preview: shows at once what will most likely stand.
        stays: whether the device still leads; where it does not, the text is left as it stands.
    """
    accepts = tree.accepts
    assert accepts is not None, "the device leads"
    reached: Proposal | None = None
    while not text.finished and stays():
        waits = False
        if questions is not None and _take_effect(questions, listeners, text.shown):
            tree.reconsider()
        if questions is not None and questions.is_overdue(text.shown):
            waits = not tree.grow(text.sequence, questions.latest(text.shown + text.remaining))
        elif tree.root is None:
            x = reached = drafter.propose(text.sequence)
            if accepts(x):
                yield from reveal(text, x.token, Origin.ACCEPTED, preview, x.told)
                if questions is None:
                    continue
                questions.audit(text)
            else:
                assert questions is not None, "who doubts has somebody to ask"
                tree.begin(text.sequence, questions.since, x)
        else:
            assert questions is not None, "there is no tree but while somebody is asked"
            root, first = tree.root, tree.root.children[0]
            if root.proposal is not None and root.proposal is not reached:
                reached = root.proposal
                drafter.reach(reached, text.shown)
            if first.way is Way.ACCEPTED:
                questions.ask(text, tree)  # about the token, before it leaves the tree
                yield from reveal(text, first.token, Origin.ACCEPTED, preview, _doubt(tree))
                tree.advance(first.token)
                questions.since = first.since
                continue
            waits = not tree.grow(text.sequence, questions.latest(text.shown + text.remaining))
        questions.ask(text, tree)
        if preview is not None:
            yield from preview.follow(tree.likeliest(), waits)
        answer = questions.next(text.shown, waits)
        if answer is not None:
            _take_effect(questions, listeners)
            tell(listeners, *answer)
            yield from _commit(text, tree, listeners, preview, *answer)
            tree.reconsider()
    if preview is not None:  # it may have been given up, or stopped by a string
        yield from preview.take_back()


def tell(listeners: Sequence[Listener], question: Question, verdict: Verdict) -> None:
    """An answer counts from now on."""
    for listener in listeners:
        listener.judged(verdict, question.judge_from - question.audit_from, len(question.ids) - question.judge_from)


def reveal(
    text: Text, token: int, origin: Origin, preview: Preview | None, doubt: float | None = None
) -> Iterable[Event]:
    """Show a token of the text; returns what the user sees of it."""
    return (text.show(token, origin, doubt),) if preview is None else preview.settle(token, origin, doubt)


def _doubt(tree: Tree) -> float | None:
    """That about the token which was drafted behind the root."""
    return tree.root.proposal.told if tree.root is not None and tree.root.proposal is not None else None


def _take_effect(questions: Questions, listeners: Sequence[Listener], position: int | None = None) -> bool:
    """Let the audits count that do so when the token at `position` is decided, or all; returns whether any did."""
    audits = list(questions.take_effect(position))
    for audit in audits:
        tell(listeners, *audit)
    return bool(audits)


def _commit(
    text: Text,
    tree: Tree,
    listeners: Sequence[Listener],
    preview: Preview | None,
    question: Question,
    verdict: Verdict,
) -> Iterator[Event]:
    """Show the asked token where it stands, and the target's own."""
    doubt = _doubt(tree)
    tokens = [(question.ids[-1], Origin.CONFIRMED)] if verdict.stands else []
    if verdict.own is not None:
        tokens.append((verdict.own.token, Origin.TARGET))
    for token, origin in tokens:
        if text.finished:
            break
        if origin is Origin.TARGET and verdict.own is not None:
            for listener in listeners:
                listener.wrote(text.shown, verdict.own)
        yield from reveal(text, token, origin, preview, doubt)
        tree.advance(token)
        doubt = None  # what follows is the target's own, whatever was drafted there
