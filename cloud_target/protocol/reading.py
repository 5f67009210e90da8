"""What an edge is told while a long text is read for it."""

from __future__ import annotations

from cloud_target.protocol.requests import Request
from cloud_target.sessions.session import Session
from shared.wire.v1 import target_pb2 as wire


def reading(session: Session, request: Request) -> wire.DecodeResponse:
    """How far the text of a request is read whose answer is under way."""
    progress = wire.Reading(read=min(session.cached, request.end), of=request.end)
    return wire.DecodeResponse(request_id=request.request_id, reading=progress)
