"""How a benchmark ends that somebody interrupts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.local_target import run_main
from shared.errors import INTERRUPTED
from tests.project.tree import ROOT


@pytest.mark.slow
def test_ctrl_c_while_the_demo_loads_its_libraries_is_no_traceback(tmp_path: Path):
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        pytest.skip("whoever started the tests has it ignored")
    (tmp_path / "numpy.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))}
    command = [sys.executable, "-m", "benchmarks.demo"]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (INTERRUPTED, "", "\n")


def test_ctrl_c_while_it_works_is_quiet(capsys: pytest.CaptureFixture[str]):
    def main() -> int:
        raise KeyboardInterrupt

    assert run_main(main) == INTERRUPTED
    assert capsys.readouterr() == ("\n", "")
