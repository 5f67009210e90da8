"""What the requests that wait will have judged, so that a pass can read it with what it judges now.

An edge sends questions while others are under way. Each builds on a text that ends with an answer which the edge
foresees, and says of that text only its hash; but the token that was foreseen follows from the hash and from that of
the text before it. So all that waits adds up to one tree behind the question at work, of which the text will take one
path; and what one pass reads of it, later questions need no pass for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from cloud_target.engine.interface import WIDEST_TREE
from cloud_target.protocol.guesses import Picked
from cloud_target.protocol.requests import Limits, Request
from cloud_target.sessions.session import Session
from shared import prefix_hash as prefix
from shared.wire.guesses import TEXT

# Tokens that one pass reads of requests that wait, at most.
MOST_AHEAD = 96


def forthcoming(session: Session, first_row: int, waiting: Sequence[Request], limits: Limits, branches: bool) -> Picked:
    """The tokens that requests ask about behind the text that is judged now, in the order of the requests.

    Args:
        session: whose text ends with what is judged now, and has room for some more.
        first_row: position of the first token of it that is scored.
        limits: of a text.
        branches: whether a pass can read more than a line.
    """
    end = len(session.ids)
    most = min(MOST_AHEAD, min(session.allocated, limits.context) - end)
    widest = WIDEST_TREE - (end - min(session.cached, first_row))
    if not waiting or most <= 0:
        return Picked((), ())
    tree = _Tree(session, first_row, most, branches and widest > 0)
    for request in waiting:
        text = tree.find(request, limits.vocabulary)
        for token in request.tokens:
            if text is None:
                break
            text = tree.extend(text, token)
        if len(tree.tokens) == most:
            break
    if not tree.is_line:
        return Picked(tree.tokens[:widest], tree.parents[:widest])
    return Picked(tree.tokens, tree.parents)


class _Tree:
    """Tokens behind the last ones of a text, by the hashes of the texts that end with them."""

    def __init__(self, session: Session, first: int, most: int, branches: bool) -> None:
        end = len(session.ids)
        self.tokens: list[int] = []
        self.parents: list[int] = []
        self._most, self._branches = most, branches
        # Of each text its length and the number of its last token, counted back from -1 where that is no new one.
        self._texts: dict[int, tuple[int, int]] = {}
        self._of_length: defaultdict[int, list[int]] = defaultdict(list)
        for length in range(max(first + 1, end - WIDEST_TREE), end + 1):
            self._add(session.hash_of(length), length, length - end - 1)

    @property
    def is_line(self) -> bool:
        """Whether each new token follows the one before."""
        return self.parents == list(range(TEXT, len(self.parents) - 1))

    def find(self, request: Request, vocabulary: int) -> int | None:
        """The hash of the text that a request builds on, if that is one of these, or ends one token behind one."""
        text = request.prefix_hash
        if text in self._texts:
            return text
        for before in self._of_length.get(request.position - 1, ()):
            if (token := prefix.last_token(before, text)) < vocabulary:
                return self.extend(before, token)
        return None

    def extend(self, text: int, token: int) -> int | None:
        """The hash of a text with one token more, which is read from now on; None if there is no room for it."""
        longer = prefix.extend(text, (token,))
        if longer not in self._texts:
            length, number = self._texts[text]
            if len(self.tokens) >= self._most or not (self._branches or number == len(self.tokens) - 1):
                return None
            self._add(longer, length + 1, len(self.tokens))
            self.tokens.append(token)
            self.parents.append(number)
        return longer

    def _add(self, text: int, length: int, number: int) -> None:
        self._texts[text] = length, number
        self._of_length[length].append(text)
