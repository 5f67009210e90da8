"""Has vLLM's build for CPUs take Triton for one that runs there: its kernels run in Triton's interpreter, slowly.

So vLLM's second model runner, whose kernels are Triton's, can be tried where there is no GPU.
"""

from __future__ import annotations

import os
from types import SimpleNamespace

os.environ["TRITON_INTERPRET"] = "1"
try:
    from triton.backends import backends
except ImportError:  # another Python than vLLM's, in the same environment
    pass
else:
    backends["cpu"] = SimpleNamespace(driver=SimpleNamespace(is_active=lambda: True), compiler=None)
