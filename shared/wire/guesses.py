"""What the target may write next, as a tree of tokens, and its message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.errors import ProtocolError
from shared.wire.v1 import target_pb2 as wire

# Of the contract in proto/: nodes of one message.
MOST_NODES = 256
# Of the nodes sent before on a stream, so many may be named.
MOST_NAMED = 1024
# The node that is the text itself; below it are those sent before on the stream, the newest first.
TEXT = -1
_ONE = 255


@dataclass(frozen=True)
class GuessTree:
    """Tokens that may follow a text, which may itself end in guesses.

    Attributes:
        position: tokens of the text.
        prefix_hash: of the text (`shared.prefix_hash`).
        tokens: the nodes, each after its parent; of those with one parent, the likeliest first.
        parents: of each node, the index of the one that it follows, or `TEXT`, or `TEXT` - k for the k-th last
            node sent before on the stream.
        seen: tokens of the text that whoever guessed had.
        odds: of each node, how likely it is the token after the one that it follows, 0 to 1; empty if nobody knows.
    """

    position: int
    prefix_hash: int
    tokens: Sequence[int]
    parents: Sequence[int]
    seen: int = 0
    odds: Sequence[float] = ()


def encode_guesses(tree: GuessTree) -> wire.Guesses:
    """The tree, of 1 to 256 nodes, as a message: a byte or two a token, and if it is no line, one or two a parent; the
    odds are another byte."""
    offsets = [node - parent for node, parent in enumerate(tree.parents)]
    is_line = all(offset == 1 for offset in offsets)
    return wire.Guesses(
        position=tree.position,
        prefix_hash=tree.prefix_hash,
        tokens=tree.tokens,
        parents=[] if is_line else offsets,
        seen=tree.seen,
        odds=bytes(round(_ONE * odds) for odds in tree.odds),
    )


def decode_guesses(message: wire.Guesses, vocabulary: int) -> GuessTree:
    """The tree of a message.

    Raises:
        ProtocolError: no nodes, or too many; a token outside the vocabulary; a parent that does not stand before its
            node; odds of another number of nodes.
    """
    count, offsets = len(message.tokens), list(message.parents)
    if not 1 <= count <= MOST_NODES:
        raise ProtocolError(f"{count} guesses in one request; send 1 to {MOST_NODES}")
    if max(message.tokens) >= vocabulary:
        raise ProtocolError(f"a guess is not below the vocabulary of {vocabulary}; check the tokenizer")
    if not offsets:
        offsets = [1] * count
    if len(offsets) != count or not all(1 <= offset <= node + 1 + MOST_NAMED for node, offset in enumerate(offsets)):
        raise ProtocolError(
            f"{len(offsets)} parents for {count} guesses; send one for each, counted back from it to a guess before "
            "it, to the text or to one of the last guesses, or none for a line"
        )
    if message.odds and len(message.odds) != count:
        raise ProtocolError(f"odds of {len(message.odds)} guesses for {count}; send one byte for each, or none")
    parents = [node - offset for node, offset in enumerate(offsets)]
    odds = [byte / _ONE for byte in message.odds]
    return GuessTree(
        message.position, message.prefix_hash, tuple(message.tokens), tuple(parents), message.seen, tuple(odds)
    )
