"""Reflection: it tells what there is, to few at a time, and to nobody who idles."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from queue import SimpleQueue

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.server.reflecting import SERVICE as REFLECTION
from cloud_target.server.reflecting import Reflection, ReflectionLimits
from cloud_target.server.server import SERVICE, running

Question = reflection_pb2.ServerReflectionRequest
PATIENCE = 20.0


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running(ScriptedEngine(random_script(8), 8)) as address:
        yield address


@pytest.fixture
def stub(address) -> Iterator[reflection_pb2_grpc.ServerReflectionStub]:
    with grpc.insecure_channel(address) as channel:
        yield reflection_pb2_grpc.ServerReflectionStub(channel)


def test_several_questions_in_one_call(stub):
    asked = [Question(list_services=""), Question(file_containing_symbol=SERVICE), Question(file_by_filename="none")]
    services, file, nothing = stub.ServerReflectionInfo(iter(asked), timeout=PATIENCE)
    assert SERVICE in {service.name for service in services.list_services_response.service}
    assert file.file_descriptor_response.file_descriptor_proto
    assert nothing.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


def test_a_connection_asks_twice_at_a_time_and_no_more(stub):
    questions: list[SimpleQueue[Question | None]] = [SimpleQueue(), SimpleQueue()]
    calls = [stub.ServerReflectionInfo(iter(asked.get, None), timeout=PATIENCE) for asked in questions]
    for asked in questions:
        asked.put(Question(list_services=""))
    try:
        for call in calls:
            next(call)
        with pytest.raises(grpc.RpcError) as caught:
            next(stub.ServerReflectionInfo(iter([Question(list_services="")]), timeout=PATIENCE))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    finally:
        for call, asked in zip(calls, questions, strict=True):
            call.cancel()
            asked.put(None)


def test_bytes_that_are_no_question(address):
    with grpc.insecure_channel(address) as channel:
        call = channel.stream_stream(f"/{REFLECTION}/ServerReflectionInfo")(iter([b"\xff" * 9]), timeout=PATIENCE)
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("asks", [True, False])
def test_who_idles_is_told_to_leave(asks):
    async def main() -> None:
        server = grpc.aio.server()
        told = Reflection((SERVICE,), limits=ReflectionLimits(patience=0.1))
        server.add_registered_method_handlers(REFLECTION, told.handlers())
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(timeout=PATIENCE)
                if asks:
                    await call.write(Question(list_services=""))
                    assert await call.read()
                with pytest.raises(grpc.aio.AioRpcError, match="no other question came in time"):
                    await call.read()
                assert await call.code() is grpc.StatusCode.UNAVAILABLE
        finally:
            await server.stop(0)

    asyncio.run(main())
