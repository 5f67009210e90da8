"""A local server on a port of its own, in a thread of the test."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from time import monotonic, sleep
from typing import Any

import uvicorn
from openai import OpenAI

from edge_client.edge import Edge
from edge_client.server.app import Server
from edge_client.server.settings import ServerSettings


class Served(OpenAI):
    """The official client of a server that runs in this process.

    Attributes:
        server: the same.
        address: host:port.
    """

    def __init__(self, server: Server, address: str, key: str) -> None:
        super().__init__(base_url=f"http://{address}/v1", api_key=key, max_retries=0, timeout=30)
        self.server = server
        self.address = address

    def wait_until_idle(self) -> None:
        """Wait until no text is under way any more."""
        end = monotonic() + 20
        while self.server.under_way:
            assert monotonic() < end, "texts go on that nobody wants"
            sleep(0.005)


@contextmanager
def served(edge: Edge, **settings: Any) -> Iterator[Served]:
    """Serve `edge` for the length of a `with` block."""
    server = Server(edge, ServerSettings(**settings))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(server.app, log_config=None, lifespan="off", ws="none", timeout_graceful_shutdown=1)
        http = uvicorn.Server(config)
        thread = Thread(target=http.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            with Served(server, f"127.0.0.1:{listening.getsockname()[1]}", settings.get("key") or "none") as client:
                yield client
        finally:
            http.should_exit = True
            thread.join()
            server.close()
