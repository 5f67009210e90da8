"""What a cloud that speculates sends is what its reader reads, whatever the text and however it is cut."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.report.colocated import Reader, serve
from shared.errors import TandemError

IDS = st.lists(st.integers(0, 2**24 - 2), max_size=40)


@contextmanager
def cloud(write) -> Iterator[Reader]:
    """A reader of a scripted edge."""
    with socket.create_server(("127.0.0.1", 0)) as ear:

        def accept() -> None:
            connection, _ = ear.accept()
            with connection, suppress(ConnectionError):
                serve(connection, write)

        thread = threading.Thread(target=accept)
        thread.start()
        with Reader(f"127.0.0.1:{ear.getsockname()[1]}") as reader:
            yield reader
        thread.join()


@given(st.lists(st.tuples(IDS, IDS, st.integers(0, 2**64 - 1)), max_size=5))
def test_texts_arrive_as_they_were_written_one_after_the_other(texts) -> None:
    heard = []
    script = iter([text for _, text, _ in texts])

    def write(prompt: list[int], seed: int) -> list[int]:
        heard.append((prompt, seed))
        return next(script)

    with cloud(write) as reader:
        for prompt, text, seed in texts:
            arrival = reader.read(prompt, seed)
            assert arrival.ids == text
            assert 0 <= arrival.first_ms <= arrival.total_ms
    assert heard == [(prompt, seed) for prompt, _, seed in texts]


def test_a_token_is_on_its_way_before_the_next_one_is_written() -> None:
    """The second token is written only once the reader has the first."""
    arrived = threading.Event()

    def write(prompt: list[int], seed: int) -> Iterator[int]:
        yield 7
        assert arrived.wait(30)
        yield 8

    with cloud(write) as reader:
        connection = reader._connection
        receive = connection.recv

        class Watched:
            sendall = connection.sendall
            close = connection.close

            def recv(self, count: int) -> bytes:
                found = receive(count)
                arrived.set()
                return found

        reader._connection = Watched()
        assert reader.read([1, 2], 0).ids == [7, 8]


def test_a_cloud_that_hangs_up_is_an_error() -> None:
    def write(prompt: list[int], seed: int) -> Iterator[int]:
        yield 7
        raise ConnectionError

    with cloud(write) as reader, pytest.raises(TandemError, match="hung up"):
        reader.read([1], 0)
