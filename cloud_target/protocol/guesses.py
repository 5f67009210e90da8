"""What an edge thinks that the target will write next: guesses that wait until a pass can judge them.

They are kept by what stands before them, so all that an edge sends adds up to one tree, whenever it comes: what hangs
on a token that did not come is never looked up again, and what hangs on the one that came instead is there already.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from shared import prefix_hash as prefix
from shared.errors import ProtocolError
from shared.wire.guesses import MOST_NAMED, TEXT, GuessTree

# Two of the largest trees. What was sent before them was most likely about a text that has come out otherwise.
MOST_KEPT = 512
# Guesses that one pass judges, at most.
MOST_JUDGED = 24
# A guess is judged if the text takes its path with at least this probability: a row more of a pass costs little, not
# nothing.
WORTH_JUDGING = 0.05
# Of what those before it leave, a guess whose odds are not told takes so much.
_UNTOLD = 0.8


@dataclass(frozen=True)
class Picked:
    """Guesses for one pass, the likeliest first.

    Attributes:
        tokens: their ids.
        parents: of each, the index of the one that it follows, or `TEXT`, which is the last token of the text; the ones
            before that are -2, -3 and so on.
    """

    tokens: Sequence[int]
    parents: Sequence[int]

    @property
    def depth(self) -> int:
        """How many of them follow one another along the likeliest line."""
        node, length = TEXT, 0
        while (child := self._child(node)) is not None:
            node, length = child, length + 1
        return length

    def path(self, own: Sequence[int]) -> list[int]:
        """Those that stand, one after the other: each is the target's own token where it is.

        Args:
            own: the target's own token after the text, and after each of the first guesses, which were read.
        """
        found: list[int] = []
        child = self._child(TEXT, len(own) - 1, own[0])
        while child is not None:
            found.append(child)
            child = self._child(child, len(own) - 1, own[child + 1])
        return found

    def goes_on(self, path: Sequence[int], read: int) -> bool:
        """Whether any of the first `read` follows the last of a path."""
        return self._child(path[-1] if path else TEXT, read) is not None

    def _child(self, node: int, read: int | None = None, token: int | None = None) -> int | None:
        """The first that follows a node, of the first `read`, and only if it is this token where one is given."""
        followers = (i for i, parent in enumerate(self.parents[:read]) if parent == node)
        return next((i for i in followers if token is None or self.tokens[i] == token), None)


class Guesses:
    """The guesses of one stream: for every text, what may follow it.

    Args:
        branches: whether one pass can judge more than a line.

    Attributes:
        branches: as above.
    """

    def __init__(self, branches: bool = True) -> None:
        # By the hash of a text, the least recently sent first: its length, and the odds of what may follow it.
        self._after: OrderedDict[int, tuple[int, dict[int, float]]] = OrderedDict()
        # Of the nodes that came last, the length and the hash of the text up to each.
        self._last: deque[tuple[int, int]] = deque(maxlen=MOST_NAMED)
        self._count = 0
        self.branches = branches

    def __len__(self) -> int:
        return self._count

    def add(self, tree: GuessTree) -> None:
        """Keep the nodes of a tree. Those sent longest ago make room.

        Raises:
            ProtocolError: a node follows one that was not sent.
        """
        if TEXT - min(tree.parents) > len(self._last):
            raise ProtocolError("a guess follows one that was not sent on this stream; send what it follows first")
        ends: list[tuple[int, int]] = []
        for token, parent, odds in zip(tree.tokens, tree.parents, tree.odds or _untold(tree.parents), strict=True):
            if parent < TEXT:
                length, text = self._last[parent - TEXT]
            else:
                length, text = (tree.position, tree.prefix_hash) if parent == TEXT else ends[parent]
            _, tokens = self._after.setdefault(text, (length, {}))
            self._after.move_to_end(text)
            self._count += token not in tokens
            tokens.setdefault(token, odds)
            ends.append((length + 1, prefix.extend(text, (token,))))
        self._last.extend(ends)
        while self._count > MOST_KEPT:
            self._forget_oldest()

    def pick(self, length: int, prefix_hash: int, most: int) -> Picked:
        """The guesses after a text that a pass had best judge, at most so many: those whose paths are the likeliest, or
        of the likeliest line, where it can judge no tree.

        Args:
            length: of the text, tokens; the next one may only be longer, so what was to follow shorter ones may go.
            prefix_hash: of the text.
        """
        while self._after and next(iter(self._after.values()))[0] < length:
            self._forget_oldest()
        tokens: list[int] = []
        parents: list[int] = []
        # The likeliest first, of equals the one that was found first: how likely, number, parent, token, text before.
        waiting: list[tuple[float, int, int, int, int]] = []
        found = 0

        def find(parent: int, reach: float, text: int) -> None:
            nonlocal found
            _, after = self._after.get(text, (0, {}))
            following = after.items() if self.branches else sorted(after.items(), key=lambda one: -one[1])[:1]
            for token, odds in following:
                heappush(waiting, (-reach * odds, found, parent, token, text))
                found += 1

        find(TEXT, 1.0, prefix_hash)
        while waiting and len(tokens) < most:
            reach, _, parent, token, text = heappop(waiting)
            if self.branches and -reach < WORTH_JUDGING:
                break
            tokens.append(token)
            parents.append(parent)
            find(len(tokens) - 1, -reach, prefix.extend(text, (token,)))
        return Picked(tokens, parents)

    def _forget_oldest(self) -> None:
        _, (_, tokens) = self._after.popitem(last=False)
        self._count -= len(tokens)


def _untold(parents: Sequence[int]) -> list[float]:
    """By the order of those that follow the same one."""
    left = dict.fromkeys(parents, 1.0)
    found = []
    for parent in parents:
        found.append(_UNTOLD * left[parent])
        left[parent] -= found[-1]
    return found
