"""vLLM's processes end with the service that began them, however that ends: else a killed one leaves them behind."""

from __future__ import annotations

import os

from cloud_target.engine.apart.ending import end_with

# Names the service's process, to those that it begins.
_SERVICE = "TANDEM_VLLM_SERVICE"


def name_the_service() -> None:
    """Called in the service, before it begins any."""
    os.environ[_SERVICE] = str(os.getpid())


def end_with_the_service() -> None:
    """Called in each process that loads the plug-in: those which vLLM began for a service end with their parent."""
    service = os.environ.get(_SERVICE)
    if service not in (None, str(os.getpid())):
        end_with(os.getppid())
