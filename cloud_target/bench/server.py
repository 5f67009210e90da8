"""A target of the load test's own: `cloud-target serve` as another process on loopback, and what its metrics say."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, cast

from cloud_target.server.configuration import CLOUD
from shared.errors import InputError, TargetUnavailable

_FEEDS = re.compile(r"^tandem_pass_feeds_(sum|count) (\S+)$", re.MULTILINE)


@contextmanager
def own_server(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """A target with these options of `serve` for as long as the block lasts; yields its address and its metrics'.

    Raises:
        InputError, TargetUnavailable: it did not start; it has said why on standard error.
    """
    with socket.create_server(("127.0.0.1", 0)) as probe:
        metrics = probe.getsockname()[1]
    command = [sys.executable, "-m", "cloud_target", "serve", *arguments]
    # Only the command line says what is measured.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(CLOUD.prefix)}
    process = subprocess.Popen(
        [*command, "--port", "0", "--metrics-port", str(metrics)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment | {CLOUD.variable: os.devnull},
        start_new_session=True,  # Ctrl-C is for the load test, which ends it in good order
    )
    out = cast(IO[str], process.stdout)  # there is one: it was asked for
    try:
        found = next(filter(None, (re.search(r" on (127\.0\.0\.1:\d+)$", line.strip()) for line in out)), None)
        if found is None:
            status = process.wait()
            kind = InputError if status == InputError.exit_status else TargetUnavailable
            raise kind("the target for the load test did not start; the line above says why")
        yield found[1], f"127.0.0.1:{metrics}"
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        out.close()


def passes(metrics: str) -> tuple[float, float] | None:
    """Feeds and passes so far, as the metrics at "host:port" say; None if they cannot be had."""
    # Whatever proxy the environment names has no business with a target's metrics.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{metrics}/metrics", timeout=5) as page:
            found = dict(_FEEDS.findall(page.read().decode()))
        return float(found["sum"]), float(found["count"])
    except (OSError, urllib.error.URLError, KeyError, ValueError):
        return None
