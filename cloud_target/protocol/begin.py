"""Before a request is answered: its session, with room for the answer and with what others have read of its text."""

from __future__ import annotations

from cloud_target.protocol.requests import Request
from cloud_target.sessions.session import Session
from cloud_target.sessions.table import SessionTable


def begin(table: SessionTable, request: Request, context: int, more: int = 0, aside: int = 0) -> Session:
    """Take the session of a request, with room for its answer and with what others have read of its text.

    Args:
        context: longest text in tokens.
        more: tokens that it had better have room for, too, where there is some.
        aside: tokens for which there must be room afterwards, if all idle sessions went.

    Raises:
        TargetBusy: there is no room now.
    """
    terms = request.terms
    session = table.take(terms.key, needed(table, request, context), terms.tenant, aside, terms.adapter)
    if more:
        table.widen(session, min(request.end + request.write_on + more, context))
    if request.position == 0:
        table.reuse_prefix(session, request.tokens)
    return session


def needed(table: SessionTable, request: Request, context: int) -> int:
    """Room that the answer may take, tokens; none where it will be stale or a resync."""
    known = table.get(request.terms.key, request.terms.adapter)
    builds_on = request.position == 0 or (known and known.matches(request.position, request.prefix_hash))
    return min(request.end + request.write_on, context) if builds_on else 0
