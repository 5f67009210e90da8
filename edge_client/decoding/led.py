"""The loop in which the target leads, and never waits: `cloud`, where the device only shows what comes, and `exact`,
where it also guesses what will come, so that one pass of the target writes several tokens.

What the device guesses changes no token. It is speculative decoding (Leviathan, Kalman, Matias, arXiv 2211.17192)
whose draft is at the other end of the link: guesses are judged in whatever pass they come in time for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from edge_client.decoding.decoder import Listener, reveal
from edge_client.decoding.drafter import Drafter
from edge_client.decoding.preview import Preview
from edge_client.decoding.text import Event, Origin, Text
from edge_client.decoding.tree import Tree
from edge_client.target.session import TargetSession

# Guesses travel when there are so many, or nothing is left to guess.
ENOUGH = 24
# A guess is made and told where the text takes its path with at least this probability: the target is at work anyway.
WORTH_TELLING = 0.04
# A line of so many is told at once: the target may be waiting for it.
LINE = 8


class Guesses:
    """The device's guesses of what the target writes.

    Args:
        tree: of them; it accepts nothing.
        ahead: how many tokens ahead of the shown text, at most.
    """

    def __init__(self, drafter: Drafter, tree: Tree, target: TargetSession, ahead: int) -> None:
        self._drafter, self._tree, self._target, self._ahead = drafter, tree, target, ahead
        self._drops = target.drops
        self._has_moved = self._rests = False
        self._is_awaited = False  # whether the target may wait for guesses about what it just wrote
        self.is_exhausted = False

    def rest(self) -> None:
        """Guess nothing until `resume`."""
        self._tree.clear()
        self._rests = self.is_exhausted = True

    def resume(self) -> None:
        """Guess again."""
        self._rests = self.is_exhausted = False

    def think(self, text: Text) -> None:
        """Guess a little more, and tell the target."""
        tree = self._tree
        if self._has_moved:
            tree.settle()
            self._has_moved = False
        if self._target.drops != self._drops:  # another stream, which knows no guesses
            self._drops = self._target.drops
            tree.fresh[:] = tree.nodes()
        if tree.root is None:
            tree.begin(text.sequence, 0, self._drafter.propose(text.sequence))
            self.is_exhausted = False
        else:
            end = text.shown + min(text.remaining, self._ahead)
            self.is_exhausted = not tree.grow(text.sequence, end)
        if len(tree.fresh) >= ENOUGH or self.is_exhausted or (self._is_awaited and self._has_line()):
            self._tell()

    def learn(self, token: int) -> bool:
        """The target wrote a token; returns whether it was guessed."""
        if self._rests:
            return False
        root = self._tree.root
        guessed = root is not None and any(child.token == token for child in root.children)
        self._tree.advance(token)
        self._has_moved = self._is_awaited = True
        self.is_exhausted = False
        return guessed

    def likeliest(self) -> Iterator[int]:
        """See `Tree.likeliest`."""
        return self._tree.likeliest()

    def _has_line(self) -> bool:
        return len(list(islice(self._tree.likeliest(), LINE))) == LINE

    def _tell(self) -> None:
        tree = self._tree
        paths = [node.path() for node in sorted(tree.fresh) if not node.is_gone and node.reach >= WORTH_TELLING]
        tree.fresh.clear()
        if self._is_awaited and not paths:
            paths = [[token] for token in islice(tree.likeliest(), 1)]  # which says that there is nothing new
        self._is_awaited = False
        if paths:
            # What all have in common was told before.
            known = _shared([path[:-1] for path in paths])
            self._target.guess(known, *_as_tree([path[len(known) :] for path in paths]))


def _shared(paths: Sequence[list[int]]) -> list[int]:
    """What all begin with."""
    low, high = min(paths), max(paths)
    length = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    return low[:length]


def _as_tree(paths: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
    """The tree of some paths, their ends in order: tokens, and the number of the one that each follows, -1 for none."""
    numbers: dict[tuple[int, ...], int] = {(): -1}
    tokens: list[int] = []
    parents: list[int] = []
    for path in paths:
        for length in range(1, len(path) + 1):
            place = tuple(path[:length])
            if place not in numbers:
                numbers[place] = len(tokens)
                tokens.append(place[-1])
                parents.append(numbers[place[:-1]])
    return tokens, parents


def let_the_target_write(
    text: Text,
    target: TargetSession,
    listeners: Sequence[Listener] = (),
    guesses: Guesses | None = None,
    preview: Preview | None = None,
    stays: Callable[[], bool] = lambda: True,
) -> Iterator[Event]:
    """Write `text` until it is finished.

    Args:
        text: holds the prompt; grows as tokens are shown.
        listeners: are told of every token.
        guesses: of what the target will write; None leaves it alone.
        preview: shows at once what will most likely come.
        stays: whether the target still leads; where it does not, the text is left as it stands.
    """

    def waits() -> bool:
        return guesses is None or guesses.is_exhausted

    while not text.finished and stays():
        for own in target.write_on(text.sequence, text.remaining, waits):
            if text.finished:  # given up meanwhile
                break
            if own is None:
                assert guesses is not None, "nothing else is better than to wait"
                guesses.think(text)
                if preview is not None:
                    yield from preview.follow(guesses.likeliest(), guesses.is_exhausted)
                continue
            for listener in listeners:
                listener.wrote(text.shown, own)
            is_guessed = guesses is not None and guesses.learn(own.token)
            yield from reveal(text, own.token, Origin.CONFIRMED if is_guessed else Origin.TARGET, preview)
            if text.finished or not stays():
                break  # without asking for more
    if preview is not None:  # it may have been given up, or stopped by a string
        yield from preview.take_back()
