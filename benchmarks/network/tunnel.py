"""A link between two network namespaces: real packets through a relay, really lost. Linux, as root.

Each namespace is held by a thread of this process and by what was started in it, so that it goes when they go. In it
stands a TUN device; what one sends, this process takes as packets, and gives to the other when it is due.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import itertools
import os
import select
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self, TypeVar

from benchmarks.network.one_way import OneWay, both_ways
from benchmarks.network.profiles import Profile
from shared.errors import TandemError

_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_MTU = 1500

T = TypeVar("T")


def why_not() -> str | None:
    """Why there can be no namespaces here, or None."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "namespaces need root"
    if not os.path.exists("/dev/net/tun"):
        return "there is no /dev/net/tun"
    try:
        Namespace("10.77.0.9/30").close()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"a namespace cannot be made: {error}"
    return None


class Namespace:
    """A network namespace with a loopback and one TUN device.

    Args:
        address: of the device, with the length of its prefix.

    Attributes:
        packets: file descriptor of the device; a read is one packet that was sent, a write one that arrives.
    """

    def __init__(self, address: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="namespace")
        try:
            self.packets = self.run(lambda: _enter(address))
        except BaseException:
            self._thread.shutdown()
            raise

    def run(self, work: Callable[[], T]) -> T:
        """Do something in the namespace: processes that it starts and sockets that it opens belong there."""
        return self._thread.submit(work).result()

    def start(self, command: Sequence[str], **options: Any) -> subprocess.Popen[str]:
        """Start a process in it; text comes out of its pipes."""
        return self.run(lambda: subprocess.Popen(command, text=True, **options))

    def close(self) -> None:
        self._thread.shutdown()
        os.close(self.packets)


class Tunnel:
    """Two namespaces and the link between them, until the end of a `with` block.

    Attributes:
        device, cloud: the namespaces.
        device_address, cloud_address: their IP addresses.
        lost: packets that were lost so far, up and down.
    """

    device_address, cloud_address = "10.77.0.1", "10.77.0.2"

    def __init__(self, profile: Profile, seed: int = 0) -> None:
        reason = why_not()
        if reason is not None:
            raise TandemError(f"packets cannot be sent through a link of our own: {reason}; use the relay for streams")
        self.device = Namespace(f"{self.device_address}/30")
        self.cloud = Namespace(f"{self.cloud_address}/30")
        self.lost = [0, 0]
        self._ways = both_ways(profile, seed)
        self._wake, self._woken = os.pipe()
        self._thread = threading.Thread(target=self._relay, name="tunnel", daemon=True)
        self._thread.start()

    def close(self) -> None:
        os.close(self._woken)
        self._thread.join()
        os.close(self._wake)
        self.device.close()
        self.cloud.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _relay(self) -> None:
        ends = (self.device.packets, self.cloud.packets)
        under_way: list[tuple[float, int, int, bytes]] = []  # when due, in which order, to which end, what
        order = itertools.count()
        while True:
            wait = max(under_way[0][0] - time.monotonic(), 0.0) if under_way else None
            # poll and epoll count whole milliseconds, which is as long as the shortest link.
            ready, _, _ = select.select([*ends, self._wake], [], [], wait)
            if self._wake in ready:
                return
            for source, way in enumerate(self._ways):
                if ends[source] in ready:
                    packet = os.read(ends[source], _MTU)
                    due = self._due(way, len(packet))
                    if due is None:
                        self.lost[source] += 1
                    else:
                        heapq.heappush(under_way, (due, next(order), ends[1 - source], packet))
            now = time.monotonic()
            while under_way and under_way[0][0] <= now:
                _, _, end, packet = heapq.heappop(under_way)
                os.write(end, packet)

    @staticmethod
    def _due(way: OneWay, size: int) -> float | None:
        now = time.monotonic()
        return None if way.is_full(now) or way.loses() else way.arrival(now, size)


def _enter(address: str) -> int:
    """Move this thread into a new namespace; returns the descriptor of the device that it makes there."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    packets = os.open("/dev/net/tun", os.O_RDWR)
    try:
        fcntl.ioctl(packets, _TUNSETIFF, struct.pack("16sH22x", b"tandem", _IFF_TUN | _IFF_NO_PI))
        for words in ("link set lo up", f"addr add {address} dev tandem", f"link set tandem mtu {_MTU} up"):
            subprocess.run(["ip", *words.split()], check=True, capture_output=True)
    except BaseException:
        os.close(packets)
        raise
    return packets
