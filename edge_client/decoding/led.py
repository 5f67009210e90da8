"""The loop in which the target leads, and never waits: `cloud`, where the device only shows what comes, and `exact`,
where it also guesses what will come, so that one pass of the target writes several tokens.

What the device guesses changes no token. It is speculative decoding (Leviathan, Kalman, Matias, arXiv 2211.17192)
whose draft is at the other end of the link: guesses are judged in whatever pass they come in time for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice, takewhile

from edge_client.decoding.decoder import Listener, reveal
from edge_client.decoding.drafter import Drafter
from edge_client.decoding.preview import Preview
from edge_client.decoding.text import Event, Origin, Text
from edge_client.decoding.tree import Node, Tree
from edge_client.target.session import TargetSession
from shared.wire.guesses import MOST_NAMED, MOST_NODES, TEXT

# Guesses travel when there are so many, or nothing is left to guess.
ENOUGH = 24
# A guess is made and told where it is so likely to be judged right in one of the passes that begin before a later guess
# could take its place.
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
        self._stream, self._sent = 0, 0  # on which guesses were numbered, and how many went there
        self._has_moved = self._rests = False
        self._is_awaited = False  # whether the target may wait for guesses about what it just wrote
        self.is_exhausted = False
        tree.least = WORTH_TELLING

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
            tree.least = self._least()
            tree.settle()
            # What was not worth telling may be now.
            tree.fresh[:] = [node for node in tree.nodes() if node.told < 0 and node.reach >= tree.least]
            self._has_moved = False
        if self._target.drops != self._drops:  # another stream, which knows no guesses
            self._drops = self._target.drops
            tree.fresh[:] = tree.nodes()
            for node in tree.fresh:
                node.told = -1
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

    def _least(self) -> float:
        """How likely the text must take a path that is worth a guess: the more passes begin within a round trip, the
        further ahead must be guessed."""
        meter = self._target.meter
        writing, trip = sum(meter.steps), min(meter.trips, default=0.0)
        passes = trip * len(meter.steps) / writing if writing else 0.0
        return WORTH_TELLING / (1.0 + passes)

    def _has_line(self) -> bool:
        return len(list(islice(self._tree.likeliest(), LINE))) == LINE

    def _tell(self) -> None:
        tree = self._tree
        news = [node for node in sorted(tree.fresh) if not node.is_gone and node.reach >= tree.least]
        tree.fresh.clear()
        if self._is_awaited and not news and tree.root is not None:
            news = sorted(tree.root.children)[:1]  # which says that there is nothing new
        self._is_awaited = False
        if news and (stream := self._target.guess_stream) is not None:
            self._tell_by_number(news, stream)
        elif news:
            self._tell_by_path(news)

    def _tell_by_number(self, news: Sequence[Node], stream: int) -> None:
        """To a target that knows by number what it was told on this stream; what it was not told goes along."""
        tree = self._tree
        if stream != self._stream:  # another one, which knows nothing
            self._stream, self._sent = stream, 0
            for node in (tree.root, *tree.nodes()):
                if node is not None:
                    node.told = -1
        oldest = max(self._sent - MOST_NAMED, 0)
        wanted = {node: None for one in news for node in one.line() if node is one or node.told < oldest}
        nodes = [*wanted][:MOST_NODES]
        numbers = {node: number for number, node in enumerate(nodes)}

        def parent_of(node: Node) -> int:
            parent = node.parent
            if parent in numbers:
                return numbers[parent]
            return TEXT if parent is None or parent.told < oldest else TEXT + parent.told - self._sent

        self._target.guess([], [node.token for node in nodes], [*map(parent_of, nodes)], [node.odds for node in nodes])
        for node in nodes:
            node.told = self._sent
            self._sent += 1

    def _tell_by_path(self, news: Sequence[Node]) -> None:
        """To a target that knows what it was told by what stands before it; all that the new ones follow goes along."""
        lines = [node.line() for node in news]
        known = sum(1 for _ in takewhile(_is_known, zip(*(line[:-1] for line in lines), strict=False)))
        nodes = [*dict.fromkeys(node for line in lines for node in line[known:])][:MOST_NODES]
        numbers: dict[Node | None, int] = {node: number for number, node in enumerate(nodes)}
        self._target.guess(
            [node.token for node in lines[0][:known]],
            [node.token for node in nodes],
            [numbers.get(node.parent, TEXT) for node in nodes],
            [node.odds for node in nodes],
        )
        for node in nodes:
            node.told = 0


def _is_known(nodes: Sequence[Node]) -> bool:
    """Whether these are one, which the target was told."""
    return nodes[0].told >= 0 and all(node is nodes[0] for node in nodes)


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
