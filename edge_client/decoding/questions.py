"""What the target is asked about one text, several questions at a time, and when its answers take effect.

When an answer arrives is chance, and what it teaches moves the threshold. So that the same text is written again all
the same, an answer takes effect at a place in the text: that to an asked token where the text goes on behind it, and an
audit there too, or a fixed number of tokens after it, for which the text then waits. Where the text repeats itself, it
waits at once: there hardly anything is doubted, and a text that runs in circles is wrong at every token.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge_client.decoding.text import Text
from edge_client.decoding.tree import Node, Tree, Way
from edge_client.target.posted import Distribution
from edge_client.target.session import TargetSession
from edge_client.target.verdict import Audit, Question, Verdict, nonsense
from shared.repetition import repeated

# Questions under way, at most; each costs a node's path in bytes, and where its guesses were wrong, nothing else.
MOST_UNDER_WAY = 128
# A question is asked where the text takes its path with at least this probability.
WORTH_ASKING = 0.01
# Windows of tokens from the beginning of an audit to where it takes effect at the latest.
WINDOWS_AHEAD = 4


@dataclass(slots=True, eq=False)
class Open:
    """A question under way.

    Attributes:
        question: as the target has it.
        node: that it ends with; None for an audit of shown text.
        q: the draft's distribution, where the coupling needs it.
        counts_at: of an audit, the position where it takes effect at the latest.
    """

    question: Question
    node: Node | None = None
    q: Sequence[Distribution] = ()
    counts_at: int = 0


class Questions:
    """The questions about one text.

    Args:
        window: accepted tokens in a row after which they are audited.

    Attributes:
        since: the first shown position that is in no question yet.
    """

    def __init__(self, target: TargetSession, prompt_length: int, window: int) -> None:
        self._target = target
        self._window = window
        self._open: deque[Open] = deque()
        self._audits: deque[tuple[Open, Verdict]] = deque()  # which have not taken effect yet
        self._waiting: list[Node] = []  # due, and not asked yet
        self._drops = target.drops
        self._end: int | None = None  # of the text, once it is finished
        self.since = prompt_length

    def audit(self, text: Text) -> None:
        """Have shown tokens audited, when there are enough of them."""
        self._renew()
        if text.shown - self.since >= self._window:
            self._post(Open(Question(tuple(text.sequence), self.since, text.shown, audit_only=True)))
            self.since = text.shown

    def ask(self, text: Text, tree: Tree) -> None:
        """Ask what is due in the tree, as far as it is worth it; what follows the root is."""
        self._renew()
        if not (tree.fresh or self._waiting):
            return
        due = sorted({*self._waiting, *tree.fresh}, key=lambda node: node.position)
        self._waiting.clear()
        tree.fresh.clear()
        for node in due:
            parent = node.parent
            if node.is_gone or not node.due or node.asks is not None or parent is None:
                continue
            is_worth_it = parent.reach >= WORTH_ASKING and len(self._open) < MOST_UNDER_WAY
            if (is_worth_it or parent is tree.root) and _is_next_to_ask(node):
                one = _question(text, node)
                node.asks = one.question
                self._post(one)
            else:
                self._waiting.append(node)

    def next(self, position: int, wait: bool) -> tuple[Question, Verdict] | None:
        """The next answer about an asked token; None if there is none yet, or nothing is asked.

        Args:
            position: of the token that is decided next; an answer that counts there is looked at first.
            wait: for an answer, which may be that to an audit.

        Raises:
            TargetError, ProtocolError: there will be none.
        """
        while self._open:
            if (answer := self._target.collect(wait)) is None:
                break
            question, verdict = answer
            one = self._close(question)
            if not question.audit_only:
                self.since = question.judge_from + verdict.stands + (verdict.own is not None)
                return answer
            self._audits.append((one, verdict))
            if wait or one.counts_at <= position:
                return None
        if wait:
            raise nonsense("answers to everything but what the text waits for")
        return None

    def finish(self, text: Text, seconds: float) -> Audit | None:
        """Once the text is finished: have its tail audited, and wait a moment for this and for what is under way.

        All other audits take effect before it. None if there is no tail, or no answer in time.
        """
        self._end = text.shown
        self._renew()
        tail = None
        if self.since < text.shown:
            tail = Question(tuple(text.sequence), self.since, text.shown, audit_only=True)
            self._post(Open(tail))
        for question, verdict in self._target.collect_all(seconds):
            if question is tail:
                return verdict.audit
            self._audits.append((self._close(question), verdict))
            self._renew()
        return None

    def settle(self, text: Text) -> None:
        """Have all that is shown audited, and wait for it: from here on the target writes, and begins with it at once.

        Raises:
            TargetError, ProtocolError: there will be no answer.
        """
        self._end = text.shown
        self._renew()
        if self.since < text.shown:
            self._post(Open(Question(tuple(text.sequence), self.since, text.shown, audit_only=True)))
            self.since = text.shown
        self._target.begin_writing(text.sequence, text.remaining)
        while any(map(self._is_wanted, self._open)):
            if (answer := self._target.collect(wait=True)) is None:
                raise nonsense("answers to everything but an audit")
            self._audits.append((self._close(answer[0]), answer[1]))
            self._renew()

    def take_effect(self, position: int | None = None) -> Iterator[tuple[Question, Verdict]]:
        """The audits that count when the token at `position` is decided, each once; all of them if it is not given.

        They count in order: one takes all before it along.
        """
        due = [position is None or one.counts_at <= position for one, _ in self._audits]
        for _ in range(len(due) - due[::-1].index(True) if any(due) else 0):
            one, verdict = self._audits.popleft()
            yield one.question, verdict

    def is_overdue(self, position: int) -> bool:
        """Whether an audit that counts there is still under way."""
        return any(one.counts_at <= position and one.question.audit_only and self._is_wanted(one) for one in self._open)

    def latest(self, end: int) -> int:
        """The first position, at most `end`, that may not be decided before another answer."""
        audits = (one.counts_at for one in self._open if one.question.audit_only and self._is_wanted(one))
        return min((end, *audits))

    def _renew(self) -> None:
        """Ask again what was given up when the link broke, once it is known which path the text took."""
        if self._target.drops != self._drops:
            self._drops = self._target.drops
            again, self._open = self._open, deque()
            for one in again:
                if self._is_wanted(one):
                    self._post(one)

    def _close(self, question: Question) -> Open:
        """It is answered; those before it were about paths that the text did not take."""
        while (one := self._open.popleft()).question is not question:
            pass
        return one

    def _post(self, one: Open) -> None:
        question = one.question
        if question.audit_only:
            goes_round = any(repeated(question.ids, question.audit_from, question.judge_from))
            one.counts_at = question.judge_from + (0 if goes_round else (WINDOWS_AHEAD - 1) * self._window)
        self._open.append(one)
        self._target.post(one.question, one.q, lambda: self._is_wanted(one))

    def _is_wanted(self, one: Open) -> bool:
        """Whether the text may still come, or has come, to what is asked."""
        question, node = one.question, one.node
        if self._end is not None and not (question.audit_only and question.judge_from <= self._end):
            return False
        return node is None or (node.asks is question and not node.is_gone)


def _question(text: Text, node: Node) -> Open:
    """The question that ends with a node."""
    ids, parent = [*text.sequence, *node.path()], node.parent
    assert parent is not None, "the root is settled"
    if node.way is not Way.ASKED:
        return Open(Question(ids, parent.since, node.position + 1, audit_only=True), node)
    q = parent.proposal.q if parent.proposal else None
    return Open(Question(ids, node.since, node.position), node, (q,) if q else ())


def _is_next_to_ask(node: Node) -> bool:
    """Whether all that is to be asked before it on its path is asked."""
    before = node.parent
    while before is not None and before.parent is not None:
        if before.due and before.asks is None:
            return False
        before = before.parent
    return True
