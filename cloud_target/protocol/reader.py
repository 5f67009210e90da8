"""The requests of one stream, read in order: what they owe each other, and the terms that the first one settles."""

from __future__ import annotations

from cloud_target.protocol.requests import Limits, Request, Terms, parse_request, parse_terms
from shared.errors import ProtocolError
from shared.wire.v1 import target_pb2 as wire


class RequestReader:
    """Reads the requests of one stream.

    Args:
        tenant: who sends them.
    """

    def __init__(self, tenant: str = "") -> None:
        self._tenant = tenant
        self._terms: Terms | None = None
        self._last_id = 0

    def read(self, message: wire.DecodeRequest, limits: Limits) -> Request:
        """The next request of the stream, checked.

        Raises:
            ContextLengthError: the text would be longer than the context.
            ProtocolError, InputError: any other rule of the contract broken; the sentence names it.
        """
        if message.request_id <= self._last_id:
            raise ProtocolError("request ids count from 1 and must grow within a stream")
        self._last_id = message.request_id
        if self._terms is None:
            self._terms = parse_terms(message, limits, self._tenant)
        elif message.HasField("session"):
            raise ProtocolError("only the first request of a stream carries the session; open another")
        return parse_request(message, self._terms, limits)
