"""What holds for every test: no network beyond loopback, no process unless it is marked slow, one seed, one thread."""

from __future__ import annotations

import ipaddress
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings

from shared.quiet import silence_libraries

if TYPE_CHECKING:
    from tests.serving_target import ServingTarget

silence_libraries()

# Subprocesses of a test inherit these. A proxy would swallow gRPC's loopback connections.
os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
# Hundreds of processes would compile the same modules again, and each worker every test.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Nobody's own configuration counts in tests, but for what is meant for them.
_OF_TESTS = ("TANDEM_COMPOSE_SCHEMA", "TANDEM_EXAMPLES")
for _name in [name for name in os.environ if name.startswith("TANDEM_") and name not in _OF_TESTS]:
    del os.environ[_name]
os.environ["TANDEM_CONFIG"] = os.environ["TANDEM_SERVE_CONFIG"] = os.devnull
# What devices remember of one test is nobody else's business.
_state = tempfile.TemporaryDirectory(prefix="tandem-state-")
os.environ |= {"TANDEM_STATE": _state.name, "TANDEM_BUNDLES": f"{_state.name}/bundles"}
for _name in ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy"):
    os.environ.pop(_name, None)
    os.environ.pop(_name.upper(), None)

settings.register_profile(
    "tandem",
    deadline=None,
    derandomize=True,
    max_examples=int(os.environ.get("TANDEM_EXAMPLES", "20")),
    phases=[Phase.explicit, Phase.generate, Phase.shrink],  # explaining a failure takes minutes
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tandem")


# Whose tests reach what is measured (pyproject.toml says what); tracing the others would only take time. So it would
# with most slow tests, for they are properties over many examples; those are traced that reach what no quick one does.
_MEASURED = (
    "edge_client",
    "end_to_end",
    "shared",
    *(f"cloud_target/{name}" for name in ("access", "protocol", "scheduling", "server", "sessions")),
)
_MEASURED_SLOW = (
    *(f"edge_client/{name}" for name in ("cli", "inference", "server", "target", "test_")),
    *(
        "end_to_end",
        "shared/chat",
        "shared/test_",
        "cloud_target/access",
        "cloud_target/scheduling",
        "cloud_target/server",
    ),
)

_QUICK = pytest.StashKey[bool]()  # whether the test that runs now counts as quick


class NetworkForbidden(Exception):
    """A test tried to leave this machine."""


class ProcessForbidden(Exception):
    """A test that counts as quick started a process."""


def is_local(address: Any) -> bool:
    """Whether a socket address stays on this machine: a path, a loopback address or its usual name."""
    if not isinstance(address, tuple):
        return True
    host = address[0]
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _guarded(method: Any) -> Any:
    def guard(self: socket.socket, address: Any) -> Any:
        if not is_local(address):
            raise NetworkForbidden(f"tests stay on loopback; this one connects to {address}")
        return method(self, address)

    return guard


@pytest.fixture(autouse=True, scope="session")
def loopback_only() -> Iterator[None]:
    """Refuse connections from Python's sockets that leave this machine. (gRPC has its own; tests give it loopback.)"""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", _guarded(socket.socket.connect))
        patch.setattr(socket.socket, "connect_ex", _guarded(socket.socket.connect_ex))
        yield


@pytest.fixture(autouse=True, scope="session")
def processes_only_where_slow(request: pytest.FixtureRequest) -> Iterator[None]:
    """Refuse to start processes in tests that are not marked `slow`."""
    start = subprocess.Popen.__init__

    def guard(self: subprocess.Popen[Any], *arguments: Any, **options: Any) -> None:
        self.returncode = None  # asked for when it is collected
        if request.config.stash.get(_QUICK, False):
            raise ProcessForbidden("a test that starts a process is marked slow; this one is not")
        start(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", guard)
        yield


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: a good third of their time tests wait, for a process, a link or the clock."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        measured = _MEASURED if item.get_closest_marker("slow") is None else _MEASURED_SLOW
        if not item.path.relative_to(here).as_posix().startswith(measured):
            item.add_marker("no_cover")


@pytest.fixture(scope="session")
def pocket_target() -> Iterator[ServingTarget]:
    """`cloud-target serve` with its embedded target, for all tests that do it no harm: to start one takes seconds."""
    from tests.serving_target import serving_target

    with serving_target() as target:
        yield target


@pytest.fixture(autouse=True)
def untraced(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes of tests that are not measured are not, either."""
    if request.node.get_closest_marker("no_cover"):
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


@pytest.fixture(autouse=True)
def signals_as_they_were() -> Iterator[None]:
    """What a test, or the code that it runs, has left to care for a signal would meet another test's signal."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    assert [signal.getsignal(number) for number in numbers] == before


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Every test starts from the same global random state."""
    random.seed(0)
    np.random.seed(0)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.config.stash[_QUICK] = item.get_closest_marker("slow") is None
    if item.get_closest_marker("root") and os.geteuid() != 0:
        pytest.skip("needs root")
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")
    # Two cores, and pytest on one of them: torch's own pool only makes small tests slower.
    if (torch := sys.modules.get("torch")) and torch.get_num_threads() != 1:
        torch.set_num_threads(1)
