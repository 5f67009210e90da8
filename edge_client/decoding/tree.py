"""What may follow the shown text while the target is asked: a tree of drafted tokens, grown best first.

The root is the last token shown. What follows a node is the draft's proposal after it, in one of three ways:

    accepted   one child, x: it is shown as soon as all before it is
    asked      x, which the target is asked about, and its rivals, one of which the target most likely writes where x
               falls; both sides draw with the same noise, so that is mostly the draft's second choice
    guessed    behind an asked x the next token is the target's own, for its verdict brings it: x and rivals are
               guesses; so are all tokens where the target leads

So the text of a tree is that of a loop which waits for every verdict, and what arrives when changes nothing but how
much of the tree was in vain.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from enum import Enum, auto
from heapq import heapify, heappop, heappush

from edge_client.decoding.drafter import Drafter, Proposal
from edge_client.inference.draft import Leaf
from edge_client.target.verdict import Question

# Nodes that the draft reads ahead, at most.
MOST_NODES = 256
# Where the device leads, a node is read if the text takes its path with at least this probability.
WORTH_READING = 0.01
# Nodes a run, at most: each but the first takes less than half of a run's time, so those join which are so likely
# against the first that they are probably due anyway.
RUN, JOINS = 4, 0.4
# How often each rival is the target's own token where x falls, if nobody counted.
FORESIGHT = (0.6, 0.15)


class Way(Enum):
    """How a node may come to stand in the text."""

    ACCEPTED = auto()
    ASKED = auto()
    GUESSED = auto()


class Node:
    """A token that may stand at `position`.

    Attributes:
        parent: the node before it; None for the root.
        way: how it may come to stand there.
        odds: probability that the text takes it, given that it has come to its parent.
        reach: the same of its whole path, given that it has come to the root.
        since: the first position on this path that is in no question yet.
        due: whether a question ends with it: an asked token, or the last of an audited run.
        asks: that question, once it is under way.
        proposal: what the draft thinks of the next token; None until it is read.
        number: of the draft's node; -1 where the draft has it in the text, or not at all.
        children: what may follow; none until it is read.
        told: its number among the guesses that the target was sent; -1 where it was not.
        is_gone: the text took another path.
    """

    __slots__ = (
        "asks",
        "children",
        "due",
        "is_gone",
        "number",
        "odds",
        "parent",
        "position",
        "proposal",
        "reach",
        "since",
        "token",
        "told",
        "way",
    )

    def __init__(self, token: int, position: int, parent: Node | None = None, reach: float = 1.0) -> None:
        self.token = token
        self.position = position
        self.parent = parent
        self.way = Way.ACCEPTED
        self.odds = self.reach = reach
        self.since = 0
        self.due = self.is_gone = False
        self.told = -1
        self.asks: Question | None = None
        self.proposal: Proposal | None = None
        self.number = -1
        self.children: list[Node] = []

    def __lt__(self, other: Node) -> bool:
        return self.reach > other.reach  # the likeliest leaf is the smallest of a heap

    def line(self) -> list[Node]:
        """The nodes from behind the root to this one."""
        nodes, node = [], self
        while node.parent is not None:
            nodes.append(node)
            node = node.parent
        return nodes[::-1]

    def path(self) -> list[int]:
        """Their tokens."""
        return [node.token for node in self.line()]


class Tree:
    """The nodes behind the shown text.

    Args:
        drafter: reads them.
        window: accepted tokens in a row after which they are audited.
        end_ids: tokens that nothing follows.
        foresight: probabilities that each rival is the target's own token where x falls; None where they are not known.
        bets: whether anything is read before the target has answered.

    Attributes:
        least: a node is read where the text takes its path with at least this probability.
        accepts: whether a proposal may be shown without asking; None where the target leads.
        root: the last token shown; None where there is no tree, because nothing is asked.
        fresh: nodes that may be due, parents first, or where the target leads, all that are new; emptied by whoever
            tells the target.
    """

    def __init__(
        self,
        drafter: Drafter,
        accepts: Callable[[Proposal], bool] | None,
        window: int = 1,
        end_ids: Collection[int] = (),
        foresight: Sequence[float] | None = None,
        bets: bool = True,
    ) -> None:
        self._drafter = drafter
        self.accepts = accepts
        self._window = window
        self._end_ids = end_ids
        self._foresight = FORESIGHT if foresight is None else foresight
        self._bets = bets
        self.least = WORTH_READING
        self.root: Node | None = None
        self.fresh: list[Node] = []
        self._leaves: list[Node] = []  # a heap
        self._read: list[Node] = []  # by number
        self._shown: list[int] = []  # numbers of nodes that have become the text since the last `settle`
        self._has_moved = False

    def begin(self, text: Sequence[int], since: int, proposal: Proposal) -> None:
        """Plant a tree behind `text`, all of it shown, after which the draft proposes something doubtful.

        Args:
            since: the first position that is in no question yet.
        """
        self.root = Node(text[-1], len(text) - 1)
        self.root.since = since
        self.root.proposal = proposal
        self._fill(self.root)

    def grow(self, text: Sequence[int], end: int) -> bool:
        """Read the likeliest leaves, in one run of the draft; returns whether any was worth it.

        Args:
            text: all ids up to the root.
            end: no token stands at or behind this position.
        """
        self.settle()
        leaves = self._best(end) if self.root is not None and self._bets else []
        if leaves:
            known = [[*text, *leaf.path()] for leaf in leaves]
            rows = [Leaf(leaf.token, leaf.parent.number if leaf.parent else -1) for leaf in leaves]
            for leaf, proposal in zip(leaves, self._drafter.grow(known, rows), strict=True):
                leaf.number = len(self._read)
                self._read.append(leaf)
                leaf.proposal = proposal
                self._fill(leaf)
        return bool(leaves)

    def advance(self, token: int) -> None:
        """`token` is shown: what agrees with it stays; where the draft has not read it, there is no tree any more."""
        children = self.root.children if self.root else []
        self.root = None
        self._has_moved = True
        for child in children:
            if child.token != token:
                _leave(child)
            elif child.proposal is not None:
                self.root = child
                child.parent = None
                self._shown.append(child.number)
                child.number = -1
        if self.root is None:
            self.settle()

    def clear(self) -> None:
        """Nothing is expected behind the text any more."""
        for child in self.root.children if self.root else ():
            _leave(child)
        self.root = None
        self._has_moved = True
        self.settle()

    def settle(self) -> None:
        """Let the draft's cache follow the text; without one, nothing is done."""
        if not self._has_moved:
            return
        self._has_moved = False
        self._read = [node for node in self._read if node.number >= 0 and not node.is_gone]
        self._drafter.keep(self._shown, [node.number for node in self._read])
        self._shown.clear()
        for number, node in enumerate(self._read):
            node.number = number
        if self.root is None:
            self._read.clear()
            self._leaves.clear()
            self.fresh.clear()
            return
        share, self.root.reach = self.root.reach, 1.0
        for node in (self.root, *self._read):
            for child in node.children:
                child.reach /= share
        self._leaves = [leaf for leaf in self._leaves if not leaf.is_gone]
        heapify(self._leaves)

    def reconsider(self) -> None:
        """What may be accepted has changed: decide anew. Questions that are none any more are forgotten."""
        if self.root is not None:
            for node in (self.root, *self._read):
                if node.proposal is not None and not node.is_gone:
                    self._fill(node)
            self._leaves = [leaf for leaf in self._leaves if not leaf.is_gone]
            heapify(self._leaves)

    def nodes(self) -> Iterator[Node]:
        """All behind the root, each after its parent."""
        if self.root is not None:
            for node in (self.root, *self._read):
                if not node.is_gone:
                    yield from node.children

    def likeliest(self) -> Iterator[int]:
        """The tokens that will most likely follow the root."""
        node = self.root
        while node is not None and node.children:
            node = min(node.children)
            yield node.token

    def _fill(self, node: Node) -> None:
        """Put what may follow a node behind it; what stands there already stays, as far as it is still possible."""
        x, position = node.proposal, node.position + 1
        assert x is not None, "nothing follows what was not read"
        self._drafter.correct(x)
        behind = position + 1
        if node.way is Way.ASKED or self.accepts is None:
            wanted = [(x.token, Way.GUESSED, 1.0 - x.falls, behind, False)]
        elif self.accepts(x):
            is_last = behind - node.since >= self._window
            wanted = [(x.token, Way.ACCEPTED, 1.0, behind if is_last else node.since, is_last)]
        else:
            wanted = [(x.token, Way.ASKED, 1.0 - x.falls, node.since, True)]
        if wanted[0][1] is not Way.ACCEPTED:
            for rival, odds in zip(x.rivals, self._foresight, strict=False):
                if all(rival != token for token, *_ in wanted):
                    wanted.append((rival, Way.GUESSED, x.falls * odds, behind, False))
        there = {child.token: child for child in node.children}
        node.children = []
        for token, way, odds, since, due in wanted:
            child = there.pop(token, None)
            is_new = child is None
            child = child or Node(token, position, node)
            if (child.way, child.since, child.due) != (way, since, due):
                child.way, child.since, child.due = way, since, due
                _forget(child)
            child.odds, child.reach = odds, odds * node.reach
            if is_new and token not in self._end_ids:
                heappush(self._leaves, child)
            if due or self.accepts is None:
                self.fresh.append(child)
            node.children.append(child)
        for child in there.values():
            _leave(child)

    def _best(self, end: int) -> list[Node]:
        """Leaves to read in one run, the likeliest first."""
        found: list[Node] = []
        later: list[Node] = []
        most = min(RUN if self._drafter.branches else 1, MOST_NODES - len(self._read), self._drafter.room)
        least = self.least
        while self._leaves and len(found) < most and self._leaves[0].reach >= least:
            leaf = heappop(self._leaves)
            if leaf.is_gone:
                continue
            if leaf.position + 1 < end and (self._drafter.branches or self._is_next(leaf)):
                found.append(leaf)
                least = max(self.least, JOINS * found[0].reach)
            else:
                later.append(leaf)
        for leaf in later:
            heappush(self._leaves, leaf)
        return found

    def _is_next(self, leaf: Node) -> bool:
        """Whether a draft whose tree is a single line can read it, and should."""
        end = self._read[-1] if self._read else self.root
        return end is not None and leaf.parent is end and leaf is min(end.children)


def _forget(node: Node) -> None:
    """What was asked about it, and so all that was asked behind it, is asked no more."""
    node.asks = None
    for child in node.children:
        _forget(child)


def _leave(node: Node) -> None:
    """The text takes another path."""
    node.is_gone = True
    for child in node.children:
        _leave(child)
