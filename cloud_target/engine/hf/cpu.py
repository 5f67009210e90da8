"""A guard against processors that promise more than their hypervisor allows.

Some virtual machines advertise AMX and then forbid it: the first bf16 matrix product ends the process with SIGILL. The
only safe way to find out is to let another process try.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_VARIABLE = "ONEDNN_MAX_CPU_ISA"
_WITHOUT_AMX = "AVX512_CORE_BF16"
_TRIAL = "import torch; a = torch.ones(64, 64, dtype=torch.bfloat16); a @ a"


def guard_bfloat16() -> bool:
    """Make bf16 arithmetic on the CPU safe in this process; call it before torch's first matrix product.

    Costs the start of a Python process with torch where the processor advertises AMX, and nothing elsewhere.

    Returns:
        Whether AMX had to be ruled out.
    """
    if _VARIABLE in os.environ or not _advertises_amx():
        return False
    trial = subprocess.run([sys.executable, "-c", _TRIAL], capture_output=True, check=False)
    if trial.returncode >= 0:
        return False
    os.environ[_VARIABLE] = _WITHOUT_AMX
    return True


def _advertises_amx() -> bool:
    try:
        return "amx_bf16" in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return True
