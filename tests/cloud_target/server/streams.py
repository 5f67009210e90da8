"""Decode calls of a client that does as a test says, also what an edge never would."""

from __future__ import annotations

from queue import SimpleQueue

import grpc
import pytest

from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub


class Stream:
    """One Decode call that is fed by hand."""

    def __init__(self, stub: TargetServiceStub, *metadata: tuple[str, str]) -> None:
        self._requests: SimpleQueue[wire.DecodeRequest | None] = SimpleQueue()
        self.call = stub.Decode(iter(self._requests.get, None), timeout=60, metadata=metadata)

    def send(self, message: wire.DecodeRequest, request_id: int = 1) -> None:
        message.request_id = request_id
        if request_id > 1:
            message.ClearField("session")
        self._requests.put(message)

    def hear(self) -> wire.DecodeResponse:
        return next(self.call)

    def end(self) -> list[wire.DecodeResponse]:
        self._requests.put(None)
        return list(self.call)


def refusal(stub: TargetServiceStub, *messages: wire.DecodeRequest) -> tuple[grpc.StatusCode, str, str]:
    """Status, reason and sentence with which a stream of these requests ends."""
    call = stub.Decode(iter(messages), timeout=20)
    with pytest.raises(grpc.RpcError):
        list(call)
    return call.code(), dict(call.trailing_metadata())["tandem-reason"], call.details()
