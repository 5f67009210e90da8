"""No text starves another, over a real port: with a real model, and with a reader that reads drop by drop."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count

import grpc
import pytest

from benchmarks.siege.said import framed
from cloud_target.engine.hf.engine import TargetEngine
from cloud_target.engine.hf.model import load_target
from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.server.server import running
from cloud_target.server.timeouts import Timeouts
from shared.config import Sampling
from shared.wire.metadata import PUSHBACK
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub
from tests.cloud_target.engine.checkpoints import CONTEXT, write_checkpoint
from tests.cloud_target.protocol.reference import Cloud, alone, request
from tests.cloud_target.server.raw_peer import RawPeer

pytestmark = pytest.mark.slow
# What edges wait for, made short; a place is kept for as long as a busy machine may keep a thread from coming back.
QUICK = Timeouts(patience=0.02, again=0.02, place=10.0, fair=0.1, pace=0.05, behind=0.2)
SERVED = 60.0


def message(number: int, length: int) -> wire.DecodeRequest:
    prompt, sampling = [number % 6, 2, 3], Sampling(0.9, seed=number)
    name = number.to_bytes(16, "big")
    return request(prompt, 0, sampling, judge_from=3, write_on=length - 4, session_id=name)


def written(answers: list[wire.DecodeResponse]) -> list[int]:
    return [answers[0].verdict.token, *(token for answer in answers[1:] for token in answer.continuation.tokens)]


@dataclass
class Written:
    """One text: how often it was refused, when for the first time, when it began, and what it is."""

    refusals: int = 0
    refused: float | None = None
    began: float = 0.0
    tokens: list[int] = field(default_factory=list)


def write(stub: TargetServiceStub, number: int, length: int) -> Written:
    """Ask until it is written, as edges do."""
    found, end = Written(), time.monotonic() + SERVED
    while time.monotonic() < end:
        call = stub.Decode(iter([message(number, length)]), timeout=SERVED)
        try:
            first = next(call)
            found.began = time.monotonic()
            found.tokens = written([first, *call])
            return found
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
            found.refused = found.refused or time.monotonic()
            found.refusals += 1
            time.sleep(int(dict(error.trailing_metadata())[PUSHBACK]) / 1e3)
    raise AssertionError(f"text {number} was not written, but refused {found.refusals} times")


def test_a_large_text_is_served_among_small_ones_by_a_real_model(tmp_path):
    """A cache of 64 tokens: 12 devices write texts of 14, and one comes that needs nearly all of it."""
    directory = write_checkpoint(tmp_path / "model", "llama")
    room = CONTEXT * 256
    undisturbed = Cloud(TargetEngine(load_target(str(directory), "cpu"), memory=64 * room), prefix_caching=False)
    numbers, stop, devices = count(1), threading.Event(), 12
    with (
        running(TargetEngine(load_target(str(directory), "cpu"), memory=room), timeouts=QUICK) as address,
        grpc.insecure_channel(address) as channel,
        ThreadPoolExecutor(devices) as threads,
    ):
        stub = TargetServiceStub(channel)

        def crowd() -> dict[int, Written]:
            found = {}
            while not stop.is_set():
                number = next(numbers)
                found[number] = write(stub, number, 14)
            return found

        crowds = [threads.submit(crowd) for _ in range(devices)]
        time.sleep(0.5)
        try:
            large = write(stub, 0, 60)
        finally:
            stop.set()
        small = {number: text for one in crowds for number, text in one.result().items()}
    assert large.tokens == written(undisturbed.ask(message(0, 60)))
    for number, text in small.items():
        assert text.tokens == written(undisturbed.ask(message(number, 14)))
    assert large.refused is not None
    # Of each device, what was at work and what stood before it in the line.
    assert sum(large.refused < text.began < large.began for text in small.values()) <= 2 * devices


def test_a_reader_of_drops_gives_its_room_to_others_and_hears_so():
    script, vocabulary = random_script(6), 6
    dropwise = message(1, 1000)
    dropwise.request_id = 1
    with (
        running(ScriptedEngine(script, vocabulary, slots=1, context=1024), timeouts=QUICK) as address,
        RawPeer(address, window=40) as peer,
        grpc.insecure_channel(address) as channel,
    ):
        stream = peer.call("/tandem.v1.TargetService/Decode")
        peer.send(stream, framed(dropwise.SerializeToString()))
        stop = threading.Event()

        def read() -> None:
            while stream not in peer.statuses and not stop.wait(0.2):
                peer.read(0.2)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            time.sleep(0.5)
            other = write(TargetServiceStub(channel), 2, 200)
            reader.join(SERVED)
        finally:
            stop.set()
            reader.join()
    assert other.tokens == alone(script, list(message(2, 200).tokens), Sampling(0.9, seed=2), 200)[3:]
    assert peer.statuses[stream] == str(grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])
