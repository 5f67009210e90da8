"""A cloud that speculates by itself: an edge beside the target, which streams each settled token to a plain reader.

A request is the seed, the number of tokens of the prompt and their ids; an answer is the ids of the text as they are
settled, and an end. So a text pays the link once, and no round trips, as in arXiv 2606.25091.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.report.device import Text
from benchmarks.report.worker import Worker
from edge_client.bundles.bundle import Bundle
from edge_client.edge import Edge
from edge_client.settings import Settings
from edge_client.usage.summary import Summary
from shared.addresses import parse_address
from shared.errors import TandemError

_REQUEST = struct.Struct("<QI")
_WORD = 3  # bytes of an id
_END = 256**_WORD - 1


@dataclass(frozen=True)
class Arrival:
    """What a reader has seen: the ids, and milliseconds until the first and until the last of them."""

    ids: list[int]
    first_ms: float
    total_ms: float


class Reader:
    """Asks for texts and reads them, over one connection, until the end of a `with` block."""

    def __init__(self, address: str) -> None:
        self._connection = socket.create_connection(parse_address(address), timeout=60)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read(self, prompt: Sequence[int], seed: int) -> Arrival:
        """One text.

        Raises:
            TandemError: the connection is gone.
        """
        begin = time.perf_counter()
        self._connection.sendall(_REQUEST.pack(seed, len(prompt)) + struct.pack(f"<{len(prompt)}I", *prompt))
        ids: list[int] = []
        first = last = 0.0
        while (word := _read(self._connection, _WORD)) is not None:
            if (token := int.from_bytes(word, "little")) == _END:
                return Arrival(ids, 1e3 * first, 1e3 * last)
            last = time.perf_counter() - begin
            first = first or last
            ids.append(token)
        raise TandemError("the cloud that speculates hung up in the middle of a text; run the benchmark again")

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def serve(connection: socket.socket, write: Callable[[list[int], int], Iterable[int]]) -> None:
    """Answer requests until the other side hangs up.

    Args:
        write: from a prompt and a seed to the tokens of a text, as they are settled.
    """
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while (head := _read(connection, _REQUEST.size)) is not None:
        seed, count = _REQUEST.unpack(head)
        body = _read(connection, 4 * count)
        if body is None:
            return
        for token in write(list(struct.unpack(f"<{count}I", body)), seed):
            connection.sendall(token.to_bytes(_WORD, "little"))
        connection.sendall(_END.to_bytes(_WORD, "little"))


@contextmanager
def ear(write: Callable[[list[int], int], Iterable[int]]) -> Iterator[str]:
    """Answer every reader that connects, one after the other, for the length of a `with` block.

    Args:
        write: as for `serve`.

    Yields:
        host:port that readers connect to.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with suppress(OSError):  # at the end the ear is closed
                while True:
                    connection, _ = server.accept()
                    with suppress(OSError), connection:
                        serve(connection, write)

        threading.Thread(target=accept, name="readers", daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"


class Colocated(Worker):
    """Such a cloud, in a process beside a target's.

    Args:
        target: host:port of the target.
        bundle: directory of the draft's bundle.
        settings: of all texts, but for their seeds.

    Attributes:
        address: host:port that readers connect to.
    """

    def __init__(self, target: str, bundle: Path, settings: Settings) -> None:
        super().__init__(_serve, target, bundle, settings)
        self.address: str = self.ready

    def write(self, reader: Reader, prompt: Sequence[int], seed: int) -> Text:
        """One text, as a reader of it sees it."""
        begin = time.process_time()
        arrival = reader.read(prompt, seed)
        spent = time.process_time() - begin
        summary: Summary = self.hear()
        sent = _REQUEST.size, _WORD * (len(arrival.ids) + 1)
        summary = replace(summary, bytes_up=sent[0], bytes_down=sent[1])
        return Text(arrival.ids, summary, summary.audit, arrival.total_ms, arrival.first_ms, spent)


def _serve(pipe: Connection, target: str, directory: Path, settings: Settings) -> None:
    with Edge(target, bundle=Bundle.load(directory), memory=False, on_outage="wait") as edge:

        def write(prompt: list[int], seed: int) -> Iterator[int]:
            with edge.stream(prompt, **vars(replace(settings, seed=seed))) as stream:
                for token in stream:
                    yield token.id
                pipe.send(stream.completion.usage)

        with ear(write) as address:
            pipe.send(address)
            pipe.recv()  # until it is closed


def _read(connection: socket.socket, count: int) -> bytes | None:
    """So many bytes; None where the other side has hung up."""
    found = b""
    while len(found) < count:
        more = connection.recv(count - len(found))
        if not more:
            return None
        found += more
    return found
