"""Strangers, as a process of their own, for a measure that is not one of ourselves.

    python -m benchmarks.siege.strangers JSON

The JSON object has `address`, `metrics`, `ca` and `kinds`, the name of a kind for each connection. It prints a line
when all have come once, goes on until its standard input ends, and then prints, as JSON, by kind: how often they came,
how many bytes they got rid of, and how often they were sent away.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
import sys
import threading
from collections import Counter
from contextlib import closing, suppress
from time import monotonic

from benchmarks.siege.kinds import KINDS, Kind, Way

# Seconds: before one comes again, for a greeting, and between looks at whether it is over.
PAUSE, GREETING, LOOK = 0.5, 10.0, 0.2
# What one takes of the machine itself counts as little as it can: on other machines it would take nothing here.
NICE = 19
_VANISHES = struct.pack("ii", 1, 0)  # SO_LINGER: no farewell
_READ = 1 << 16


class Stranger(threading.Thread):
    """Comes again and again; what became of it is in `counts`.

    Args:
        address: of the target, and `metrics` of its metrics, "host:port".
        over: set when it is to leave.
        tls: knows the target's authority.
    """

    def __init__(self, kind: Kind, address: str, metrics: str, over: threading.Event, tls: ssl.SSLContext) -> None:
        super().__init__(daemon=True)
        host, _, port = (metrics if kind.way is Way.METRICS else address).rpartition(":")
        self._kind, self._address, self._over, self._tls = kind, (host, int(port)), over, tls
        self.counts: Counter[str] = Counter()
        self.came = threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            with suppress(OSError), closing(self._come()) as link:
                self.counts["came"] += 1
                if not self.came.is_set():
                    self.came.set()
                    os.nice(NICE)  # on Linux, this thread alone
                if not self._stay(link):
                    self.counts["sent away"] += 1
            self.came.set()
            self._over.wait(PAUSE)

    def _come(self) -> socket.socket:
        link = socket.create_connection(self._address, timeout=GREETING)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _VANISHES)
        if self._kind.way is Way.TLS:
            return self._tls.wrap_socket(link, server_hostname=self._address[0])
        if self._kind.way is Way.HALF_TLS:
            link.sendall(half_a_hello(self._tls, self._address[0]))
        return link

    def _stay(self, link: socket.socket) -> bool:
        """Until it is over, or its time is; otherwise the other side has had enough."""
        ends = monotonic() + self._kind.stays
        left, number = memoryview(self._kind.says), 0
        wait = min(LOOK, self._kind.stays)
        while not self._over.is_set() and monotonic() < ends:
            if not left and self._kind.again is not None:
                left, number = memoryview(self._kind.again(number)), number + 1
            try:
                if left:
                    link.settimeout(LOOK)
                    sent = link.send(left)
                    self.counts["bytes"] += sent
                    left = left[sent:]
                elif not self._kind.reads:
                    self._over.wait(wait)
                if self._kind.reads:
                    link.settimeout(0.0 if left else wait)
                    if not link.recv(_READ):
                        return False
            except (TimeoutError, BlockingIOError, ssl.SSLWantReadError):
                pass
            except OSError:
                return False
        return True


def half_a_hello(tls: ssl.SSLContext, host: str) -> bytes:
    """The first half of what a client says to encrypt."""
    said = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        tls.wrap_bio(ssl.MemoryBIO(), said, server_hostname=host).do_handshake()
    hello = said.read()
    return hello[: len(hello) // 2]


def trusting(ca: str) -> ssl.SSLContext:
    """What encrypts for a stranger that speaks HTTP/2 to a target of this authority."""
    tls = ssl.create_default_context(cafile=ca)
    tls.set_alpn_protocols(["h2"])
    return tls


def main() -> None:
    given = json.loads(sys.argv[1])
    named = {kind.name: kind for kind in KINDS}
    over, tls = threading.Event(), trusting(given["ca"])
    all_of_them = [
        (name, Stranger(named[name], given["address"], given["metrics"], over, tls)) for name in given["kinds"]
    ]
    for _, stranger in all_of_them:
        stranger.start()
    for _, stranger in all_of_them:
        stranger.came.wait()
    print("here", flush=True)
    sys.stdin.read()
    over.set()
    counts: dict[str, Counter[str]] = {}
    for name, stranger in all_of_them:
        stranger.join(GREETING)
        counts.setdefault(name, Counter()).update(stranger.counts)
    print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    main()
