"""Which call a line of the log is about, and who makes it: every call has an id, by which its lines are found.

The id is the caller's own, or that of a proxy on the way, if one came with the call; else it is made here. It is a name
and nothing else: nothing is looked up by it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from urllib.parse import unquote

from shared.wire.metadata import REQUEST_ID, clean_id


@dataclass(frozen=True)
class Call:
    """One call.

    Attributes:
        id: see `clean_id`; never empty.
        peer: the address that it came from, as "ipv4:HOST:PORT"; a proxy's where there is one.
    """

    id: str
    peer: str


# Each call runs in a context of its own, so what happens in it finds it without anybody naming it.
_PRESENT: ContextVar[Call | None] = ContextVar("call", default=None)


def begin_call(metadata: Iterable[tuple[str, str | bytes]], peer: str) -> Call:
    """What goes on from here in this context is about a call that came with this metadata."""
    given = next((value for key, value in metadata if key == REQUEST_ID), "")
    call = Call(clean_id(given) or secrets.token_hex(8), unquote(peer))
    _PRESENT.set(call)
    return call


@contextmanager
def about_call(peer: str) -> Iterator[None]:
    """What happens in the block is about a call of this peer that nobody has looked at."""
    token = _PRESENT.set(Call(secrets.token_hex(8), unquote(peer)))
    try:
        yield
    finally:
        _PRESENT.reset(token)


def present_call() -> Call | None:
    """The call that this is about, None outside of calls."""
    return _PRESENT.get()
