"""Work that has nothing to do with the target, as a process of its own: `python -m benchmarks.siege.neighbour JSON`.

The JSON object has `cores`, how much of the processor it is to take. Strangers share the machine with the target here,
which elsewhere they would not: beside a neighbour that takes as much as they did, at the same lowest priority, devices
feel what that alone makes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
import threading
from time import monotonic, sleep, thread_time

from benchmarks.siege.strangers import NICE

# Of a core at most for one thread, as none gets all of one beside others; bytes hashed at a time; seconds of rest.
_FULL, _PART, _REST = 0.7, bytes(1 << 18), 0.001


def _work(share: float, over: threading.Event) -> None:
    """Take this share of a core, and where others keep it from that, catch up."""
    os.nice(NICE)  # on Linux, this thread alone
    begun = monotonic()
    while not over.is_set():
        if thread_time() < share * (monotonic() - begun):
            hashlib.sha256(_PART)
        else:
            sleep(_REST)


def main() -> None:
    cores, over = float(json.loads(sys.argv[1])["cores"]), threading.Event()
    count = max(1, math.ceil(cores / _FULL))
    threads = [threading.Thread(target=_work, args=(cores / count, over), daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    print("here", flush=True)
    sys.stdin.read()
    over.set()


if __name__ == "__main__":
    main()
