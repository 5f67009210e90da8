"""Libraries report to nobody, and leave nothing behind."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

import pytest

from shared.quiet import silence_libraries
from tests.project.tree import ROOT

SWITCHES = ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK", "DISABLE_SAFETENSORS_CONVERSION")


def python(program: str, **variables: str) -> str:
    """What a program prints that knows no variables but these."""
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True)
    return run.stdout.strip()


def test_every_switch_is_on_unless_the_user_has_set_it(monkeypatch):
    for name in SWITCHES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    monkeypatch.setenv("DO_NOT_TRACK", "0")
    silence_libraries()
    environment = __import__("os").environ
    assert [environment[name] for name in SWITCHES] == ["1", "1", "0", "true"]


def test_a_library_that_was_there_first_is_told_of(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", types.ModuleType("onnxruntime"))
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "1")
    silence_libraries()  # whoever imported it knew
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY")
    with pytest.warns(RuntimeWarning, match="import Tandem before it, or set ORT_DISABLE_TELEMETRY=1"):
        silence_libraries()


@pytest.mark.slow
@pytest.mark.parametrize("package", ["edge_client", "cloud_target", "benchmarks", "tests.conftest"])
def test_whatever_is_imported_first_switches_them_off(package):
    program = f"import sys\nimport {package}\nassert 'onnxruntime' not in sys.modules\nimport os\nprint(*os.environ)"
    assert {*SWITCHES} <= {*python(program).split()}


@pytest.mark.slow
def test_temporary_files_of_a_program_go_with_it(tmp_path: Path):
    program = (
        "from shared.quiet import leave_nothing_behind\nleave_nothing_behind()\nimport os, tempfile\n"
        "open(os.path.join(tempfile.gettempdir(), 'rest'), 'w').close()\nprint(os.environ['MPLCONFIGDIR'])"
    )
    place = Path(python(program, TMPDIR=str(tmp_path)))
    assert place.is_relative_to(tmp_path)
    assert [*tmp_path.iterdir()] == []
    assert python(program, TMPDIR=str(tmp_path), MPLCONFIGDIR="/my/own") == "/my/own"


@pytest.mark.slow
def test_ctrl_c_while_it_loads_leaves_nothing_either(tmp_path: Path):
    program = (
        "import os, signal\nfrom shared.interrupts import end_at_once\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # whoever started the tests may have it ignored
        "end_at_once()\n"
        "from shared.quiet import leave_nothing_behind\nleave_nothing_behind()\nos.kill(os.getpid(), signal.SIGINT)"
    )
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, cwd=ROOT, env={"TMPDIR": str(tmp_path)}, check=False).returncode == 130
    assert [*tmp_path.iterdir()] == []
