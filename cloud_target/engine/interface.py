"""What an engine is fed and what it gives back: the line between the protocol and the model.

A feed is what one session wants from one forward pass; an engine takes several feeds at once, of different slots and
lengths, which is what batching needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Protocol

import numpy as np
from tokenizers import Tokenizer

from shared.config import Coupling, Sampling
from shared.errors import TargetError
from shared.wire.codec import AuditedTokens

# Most tokens of a feed whose guesses are a tree.
WIDEST_TREE = 64
# A distribution on a few tokens: ids ``int64 [n]`` and probabilities ``float64 [n]``.
Sparse = tuple[np.ndarray, np.ndarray]


# What stands in the place of a forbidden token's logit: finite, so that no arithmetic makes a NaN of it, and so low
# that its probability is 0 at any temperature.
FORBIDDEN = -1e9


class Masks:
    """Which tokens may follow those of a feed whose rows are scored, by a grammar; worked out once, when first needed.

    Args:
        key: of the grammar and where it begins: equal where two texts must keep to the same.
        first: position of the first scored token of the whole feed.
        work_out: what `rows` gives for the whole feed; may be called from any thread, and raises InputError for a
            grammar that cannot be followed.
    """

    def __init__(self, key: object, first: int, work_out: Callable[[], np.ndarray]) -> None:
        self.key = key
        self._first, self._work_out = first, work_out
        self._rows: np.ndarray | None = None

    def prepare(self) -> None:
        """Work them out now, so that no pass waits for it."""
        if self._rows is None:
            self._rows = self._work_out()

    def rows(self, feed: Feed) -> np.ndarray:
        """The masks of a feed, which is the whole, a chunk of it, or has fewer guesses: bits of all token ids, least
        significant first, 1 where one is allowed, ``uint8 [R, ceil(vocabulary / 8)]``."""
        self.prepare()
        assert self._rows is not None, "prepared just now"
        begin = feed.start + feed.score_from - self._first
        return self._rows[begin : begin + len(feed.tokens) - feed.score_from]


@dataclass(frozen=True)
class Feed:
    """Tokens to be read at their positions in one slot, and which of them to score.

    The row of a token is the target's distribution of what follows it.

    Attributes:
        slot: whose cache, any number from 0; what it holds from `start` on is forgotten.
        start: position of the first token; everything before it must be in the slot.
        tokens: their ids, at least one.
        score_from: index of the first row to score; each gives the target's own token there, and each token after
            the first of them is scored by the row of the one that it follows.
        sampling: how the target's own tokens are drawn.
        coupling: with `RESIDUAL`, tokens that come with a `q` are judged by the paper's rule.
        q: the draft's distribution at each of the last ``len(q)`` tokens, in order.
        read: is told how much of the text the slot holds now, tokens, whenever a chunk of the feed has been read.
        spare: so many tokens at the end are guesses, which a pass without room for them may leave out; the scores are
            then those of a feed without them.
        parents: of each guess, the index of the token that it follows; empty where each follows the one before.
        kept: where in the slot the last tokens before `start` are, as growing places, if they are guesses of the feed
            before; they are moved to where they belong.
        masks: what may follow the scored tokens; None where all may. They come before sampling, and all scores are of
            what they leave.
        text: ids of the text up to `start` at least, for answers that are so close that it must be read again; empty
            where it need not be.
        adapter: the name of that which the target reads it with, and has read all before it in the slot with; "" for
            none.
    """

    slot: int
    start: int
    tokens: tuple[int, ...]
    score_from: int
    sampling: Sampling
    coupling: Coupling = Coupling.GUMBEL
    q: tuple[Sparse, ...] = ()
    read: Callable[[int], None] | None = field(default=None, compare=False)
    spare: int = 0
    parents: tuple[int, ...] = ()
    kept: tuple[int, ...] = ()
    masks: Masks | None = field(default=None, compare=False)
    text: Sequence[int] = field(default=(), compare=False, repr=False)
    adapter: str = ""

    @property
    def end(self) -> int:
        """The place in the slot after that of the last token; a token that is no guess has its position for a place."""
        return self.start + len(self.tokens)

    @property
    def needed(self) -> int:
        """How many tokens are no guesses."""
        return len(self.tokens) - self.spare

    def with_guesses(self, count: int) -> Feed:
        """The same with the first `count` of its guesses only."""
        if count == self.spare:
            return self
        return replace(self, tokens=self.tokens[: self.needed + count], spare=count, parents=self.parents[:count])

    def follows(self) -> tuple[int, ...]:
        """Of every token, the index of the one that it follows."""
        count = len(self.tokens)
        return (*range(-1, self.needed - 1), *self.parents) if self.parents else tuple(range(-1, count - 1))


@dataclass(frozen=True)
class Scores:
    """What the target thinks of one feed; R rows were scored, those of its last tokens.

    Attributes:
        own: the target's own token after each of them, ``int64 [R]``. With the residual coupling it is x itself where x
            was accepted, and the residual draw where it was not; so a judged token stands iff it is the own token.
        own_nll: -ln p1 of them, nats, ``float64 [R]``.
        own_unlikely: which of them are words that the target hardly ever writes there, ``bool [R]``.
        given: the last R - 1 tokens, as an audit: each by the row of the one that it follows.
        guesses: how many of them are guesses, the last ones.
        queue_us, forward_us: time the feed waited for the device and time of its forward pass, microseconds.
    """

    own: np.ndarray
    own_nll: np.ndarray
    own_unlikely: np.ndarray
    given: AuditedTokens
    guesses: int = 0
    queue_us: int = 0
    forward_us: int = 0

    def along(self, rows: Sequence[int]) -> Scores:
        """The same of some rows only, of tokens that follow one another."""
        if len(rows) == len(self.own):
            return self
        at, given = np.asarray(rows), self.given
        behind = at[1:] - 1
        return replace(
            self,
            own=self.own[at],
            own_nll=self.own_nll[at],
            own_unlikely=self.own_unlikely[at],
            given=AuditedTokens(given.off_strict[behind], given.unlikely[behind], given.nll[behind]),
            guesses=0,
        )


@dataclass(frozen=True)
class Adapter:
    """What turns the target into another one, with the same tokens: a LoRA adapter.

    Attributes:
        name: for people, and unlike those of the others.
        fingerprint: over that of the target and the adapter.
    """

    name: str
    fingerprint: str


@dataclass(frozen=True)
class Description:
    """Who the target is.

    Attributes:
        name: for people.
        fingerprint: over configuration and weights.
        tokenizer_fingerprint: see `shared.identity`.
        vocabulary: ids are 0 .. vocabulary - 1.
        dtype: of the forward pass.
        device: what it runs on, for people: "cpu" or "cuda".
        parameters: how many its model has; 0 where there is no model.
        repeatable: its own tokens hang on the text alone, and not on how it was cut, batched and read before.
        adapters: what a text may be read with.
    """

    name: str
    fingerprint: str
    tokenizer_fingerprint: str
    vocabulary: int
    dtype: str
    device: str = "cpu"
    parameters: int = 0
    repeatable: bool = False
    adapters: tuple[Adapter, ...] = ()

    def adapter_of(self, fingerprint: str) -> str:
        """The name of the adapter with this fingerprint; "" where none has it."""
        return next((one.name for one in self.adapters if one.fingerprint == fingerprint), "")


@dataclass(frozen=True)
class Vitals:
    """What an engine says of itself to those who watch it.

    Attributes:
        second_looks: answers so far that were so close that the text was read once more for them.
        allocated, reserved: bytes of a GPU's memory that are in use, and that are held; None where there is no GPU.
        resident: bytes of memory of the engine's own process; None where it has none, or nobody knows.
    """

    second_looks: int = 0
    allocated: int | None = None
    reserved: int | None = None
    resident: int | None = None


class Engine(Protocol):
    """A target that reads and scores tokens. Its methods are called from one thread at a time, but for `vitals`.

    Attributes:
        description: who it is.
        context: longest text in tokens.
        capacity: tokens that all its slots together can hold; at least `context`.
        block: a slot takes room in whole blocks of so many tokens.
        token_bytes: memory that a token takes.
        chunk: so many tokens cost about as much as a pass costs anyway; long feeds are read in chunks of that size.
        step: what a pass over one token took when it was made, seconds; 0 where nobody measured.
        branches: whether guesses may be a tree.
        tokenizer: by which grammars know its tokens; None where texts cannot be kept to any.
    """

    description: Description
    context: int
    capacity: int
    block: int
    token_bytes: int
    chunk: int
    step: float
    branches: bool
    tokenizer: Tokenizer | None

    def forward(self, feeds: Sequence[Feed]) -> Sequence[Scores | TargetError]:
        """Read all feeds in one pass and score their rows. Slots are made, and grow, as feeds need them; afterwards
        they hold the tokens of their feeds, in this order.

        Returns:
            The scores of each; in their place an error, where its rows alone came to nothing.

        Raises:
            ValueError: a feed that the caller must not make (see `check_feeds`), or more than there is room for.
        """
        ...

    def trim(self, slot: int, tokens: int = 0) -> None:
        """Keep only the first tokens of a slot, and nothing of a slot with 0; unknown slots are no error."""
        ...

    def copy(self, source: int, target: int, count: int) -> None:
        """Let a slot begin with the first `count` tokens of another.

        Raises:
            ValueError: the other holds less.
        """
        ...

    def vitals(self) -> Vitals:
        """How it is now. May be asked in any thread, also while a pass runs."""
        ...

    def check_integrity(self) -> None:
        """Raise AssertionError if what is kept of slots contradicts itself."""
        ...


class FlowingEngine(Engine, Protocol):
    """An engine that batches by itself: feeds are begun as they come, and answered as they are done.

    `forward` is none of its methods; `trim` and `copy` take effect at once, for feeds that come later.

    Attributes:
        most_at_once: so many feeds are computed side by side; more would wait inside of it.
    """

    most_at_once: int

    def start(self, feed: Feed, tenant: str, done: Callable[[Scores | Exception], None]) -> None:
        """Begin with a feed, which is done later, in any thread. Nothing of a tenant's texts tells on another's.

        Raises:
            ValueError: as `Engine.forward`.
            RuntimeError: the engine is gone.
        """
        ...


def all_scores(found: Sequence[Scores | TargetError]) -> list[Scores]:
    """What `Engine.forward` has given, where every feed counts.

    Raises:
        TargetError: the first that one came to.
    """
    scores = []
    for one in found:
        if isinstance(one, TargetError):
            raise one
        scores.append(one)
    return scores


def check_feeds(engine: Engine, feeds: Sequence[Feed]) -> None:
    """Refuse feeds that would read or write outside a text: these are mistakes of the caller, never of a client.

    Raises:
        ValueError: the first rule broken.
    """
    if len({feed.slot for feed in feeds}) != len(feeds):
        raise ValueError("two feeds of one pass share a slot")
    for feed in feeds:
        if feed.slot < 0:
            raise ValueError(f"slot {feed.slot} is below 0")
        if not (feed.start >= 0 and feed.tokens and feed.end <= engine.context):
            raise ValueError(f"positions {feed.start} .. {feed.end} are empty or outside a context of {engine.context}")
        if not 0 <= feed.score_from < len(feed.tokens):
            raise ValueError(f"row {feed.score_from} of {len(feed.tokens)} cannot be the first to be scored")
        if not 0 <= feed.spare < len(feed.tokens) - feed.score_from or (feed.spare and feed.q):
            raise ValueError(
                f"{feed.spare} guesses of {len(feed.tokens)} tokens that begin before row {feed.score_from}"
            )
        if feed.parents and not (engine.branches and _is_tree(feed)):
            raise ValueError(f"the guesses of {len(feed.tokens)} tokens are no tree, or one that cannot be read")
        before = feed.start - len(feed.kept)
        if before < 0 or any(a >= b for a, b in pairwise((before - 1, *feed.kept))):
            raise ValueError(f"places {feed.kept} are none that {len(feed.kept)} tokens before {feed.start} can be at")
        if len(feed.q) > len(feed.tokens) - 1 - feed.score_from:
            raise ValueError(f"{len(feed.q)} distributions of the draft for fewer scored tokens")
        if feed.adapter and feed.adapter not in [one.name for one in engine.description.adapters]:
            raise ValueError(f"there is no adapter {feed.adapter}")
        if not 0 <= min(feed.tokens) <= max(feed.tokens) < engine.description.vocabulary:
            raise ValueError("a token id is outside the vocabulary")


def _is_tree(feed: Feed) -> bool:
    return (
        len(feed.parents) == feed.spare
        and len(feed.tokens) <= WIDEST_TREE
        and all(feed.score_from <= parent < index for index, parent in enumerate(feed.parents, feed.needed))
    )
