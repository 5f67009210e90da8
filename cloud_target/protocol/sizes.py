"""How large a request can be."""

from __future__ import annotations

from cloud_target.engine.interface import Engine
from shared.grammar.source import MOST_BYTES
from shared.manifest import MOST_CANDIDATES

# Entries of the draft's distributions in one request, with the residual coupling: a window of 8 guesses with as many
# candidates as a bundle may have, or one of 256 with 128.
_ENTRIES = 8 * MOST_CANDIDATES
_PROBABILITY = 4
# Everything else: the session, end ids, numbers.
_REST = 1024


def longest_prompt(engine: Engine) -> int:
    """Bytes of a request that has nothing but a text as long as the context."""
    return engine.context * _token(engine) + _REST


def largest_request(engine: Engine) -> int:
    """Bytes of the largest request that an edge can need: such a text, with a grammar and with the draft's
    distributions of a window. A third of a MiB with contexts of up to some thousand tokens."""
    return longest_prompt(engine) + MOST_BYTES + _ENTRIES * (_token(engine) + _PROBABILITY)


def _token(engine: Engine) -> int:
    """Bytes of the largest id, as a varint."""
    return -(-max(engine.description.vocabulary - 1, 1).bit_length() // 7)
