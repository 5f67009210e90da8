"""The requests of one stream, read in order: what they owe each other, and the terms that the first one settles."""

from __future__ import annotations

from collections.abc import Sequence

from cloud_target.engine.interface import Description
from cloud_target.protocol.guesses import Guesses
from cloud_target.protocol.patience import Patience
from cloud_target.protocol.requests import Limits, Request, Terms, parse_guesses, parse_request, parse_terms
from shared.errors import ProtocolError
from shared.grammar.engine import GrammarEngine
from shared.wire.v1 import target_pb2 as wire


class RequestReader:
    """Reads the requests of one stream.

    Args:
        tenant: who sends them.
        branches: whether a pass can judge a tree of guesses.
        grammars: that texts can be kept to; None where they cannot.
        targets: that there are here; () where nobody looks which one is meant.

    Attributes:
        guesses: what came with them of what the target may write next.
        patience: how long it is worth waiting for more of it.
    """

    def __init__(
        self,
        tenant: str = "",
        branches: bool = True,
        grammars: GrammarEngine | None = None,
        targets: Sequence[Description] = (),
    ) -> None:
        self.guesses = Guesses(branches)
        self.patience = Patience()
        self._tenant, self._grammars, self._targets = tenant, grammars, targets
        self._terms: Terms | None = None
        self._last_id = 0

    def read(self, message: wire.DecodeRequest, limits: Limits) -> Request | None:
        """Read a message as soon as it comes, whatever is at work; guesses are known from then on.

        Returns:
            The request, checked; None for guesses, which have no answer.

        Raises:
            ContextLengthError: the text would be longer than the context.
            ProtocolError, InputError: any other rule of the contract broken.
            OtherTarget: the stream means a target that is not here.
        """
        if message.request_id <= self._last_id:
            raise ProtocolError("request ids count from 1 and must grow within a stream")
        is_first, self._last_id = self._last_id == 0, message.request_id
        if not message.HasField("guesses"):
            return self._request(message, limits)
        if is_first:
            raise ProtocolError("the first request of a stream has no guesses; send them after one with the session")
        tree = parse_guesses(message, limits)
        self.guesses.add(tree)
        self.patience.heard(tree.seen)
        return None

    def _request(self, message: wire.DecodeRequest, limits: Limits) -> Request:
        if self._terms is None:
            self._terms = parse_terms(message, limits, self._tenant, self._grammars, self._targets)
        elif message.HasField("session"):
            raise ProtocolError("only the first request of a stream carries the session; open another")
        return parse_request(message, self._terms, limits)
