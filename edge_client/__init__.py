"""Tandem on the device: write texts with a small model, and have a large one in the cloud judge what is in doubt.

    import edge_client

    with edge_client.Edge("gpu.example:50051") as edge:
        print(edge.generate("Once upon a time", budget=0.01).text)

docs/python.md shows the rest. Everything here is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module

from shared.quiet import silence_libraries

TYPE_CHECKING = False  # as type checkers know it; `typing` takes longer to load than all of this
if TYPE_CHECKING:
    from typing import Any

    from edge_client.bundles.bundle import Bundle
    from edge_client.decoding.text import Origin, Provisional, Retract, Token
    from edge_client.edge import Edge
    from edge_client.settings import Settings
    from edge_client.stream import Completion, Stream
    from edge_client.target.credentials import Credentials
    from edge_client.target.retry import Retry
    from edge_client.usage.audit_counts import AuditCounts, AuditReport
    from edge_client.usage.caps import Caps
    from edge_client.usage.cost import Cost
    from edge_client.usage.prices import Prices
    from edge_client.usage.summary import Summary, Times
    from shared.config import Coupling, Criterion, Mode
    from shared.errors import (
        AccessDenied,
        BundleError,
        CapReached,
        ContextLengthError,
        DamagedMemory,
        InputError,
        LimitReached,
        LinkBroken,
        OtherTarget,
        ProtocolError,
        TandemError,
        TargetAway,
        TargetBusy,
        TargetError,
        TargetMismatch,
        TargetRefused,
        TargetUnavailable,
    )
    from shared.stopping import FinishReason

    __version__: str

silence_libraries()  # no module of this package, and so no library of theirs, is imported before

_HOMES = {
    "edge_client.bundles.bundle": ("Bundle",),
    "edge_client.decoding.text": ("Origin", "Provisional", "Retract", "Token"),
    "edge_client.edge": ("Edge",),
    "edge_client.settings": ("Settings",),
    "edge_client.stream": ("Completion", "Stream"),
    "edge_client.target.credentials": ("Credentials",),
    "edge_client.target.retry": ("Retry",),
    "edge_client.usage.audit_counts": ("AuditCounts", "AuditReport"),
    "edge_client.usage.caps": ("Caps",),
    "edge_client.usage.cost": ("Cost",),
    "edge_client.usage.prices": ("Prices",),
    "edge_client.usage.summary": ("Summary", "Times"),
    "shared.config": ("Coupling", "Criterion", "Mode"),
    "shared.errors": (
        "AccessDenied",
        "BundleError",
        "ContextLengthError",
        "InputError",
        "ProtocolError",
        "TandemError",
        "TargetAway",
        "TargetError",
        "TargetMismatch",
        "TargetRefused",
        "TargetUnavailable",
        "CapReached",
        "DamagedMemory",
        "LimitReached",
        "LinkBroken",
        "OtherTarget",
        "TargetBusy",
    ),
    "shared.stopping": ("FinishReason",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AccessDenied",
    "AuditCounts",
    "AuditReport",
    "Bundle",
    "BundleError",
    "CapReached",
    "Caps",
    "Completion",
    "ContextLengthError",
    "Cost",
    "Coupling",
    "Credentials",
    "Criterion",
    "DamagedMemory",
    "Edge",
    "FinishReason",
    "InputError",
    "LimitReached",
    "LinkBroken",
    "Mode",
    "Origin",
    "OtherTarget",
    "Prices",
    "ProtocolError",
    "Provisional",
    "Retract",
    "Retry",
    "Settings",
    "Stream",
    "Summary",
    "TandemError",
    "TargetAway",
    "TargetBusy",
    "TargetError",
    "TargetMismatch",
    "TargetRefused",
    "TargetUnavailable",
    "Times",
    "Token",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("shared.version").version()
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = globals()[name] = getattr(import_module(_HOME_OF[name]), name)
    except ImportError as error:
        from shared.extras import missing

        if why := missing(error, f"edge_client.{name}", "edge"):
            raise ImportError(str(why), name=error.name) from None
        raise
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
