"""All that `cloud-target serve` can be told."""

from __future__ import annotations

from dataclasses import dataclass, field

from cloud_target.access.settings import AccessSettings
from cloud_target.bundles.settings import BundleSettings
from cloud_target.engine.settings import EngineSettings
from cloud_target.server.connections import ConnectionSettings
from cloud_target.telemetry.settings import TelemetrySettings
from shared.errors import InputError

# Seconds that calls under way may still take when the server stops: containers are killed after 10.
DRAIN_SECONDS = 8.0
_LONGEST_DRAIN = 86400.0
# Seconds that a forward pass may take. No pass of a target that works comes near it: edges give up long before. But the
# first ones may compile kernels, or read a long prompt on a few cores.
PASS_SECONDS = 300.0
# Seconds for which an idle session keeps its cache. Whoever comes back after that sends the text again.
SESSION_IDLE = 3600.0
# Exit statuses that ask for another start: the engine fails at every pass, or a pass does not end.
DEAD = 1
HANGS = 3


@dataclass(frozen=True)
class ServeSettings:
    """A server and all that belongs to it; by default the embedded target on loopback.

    Attributes:
        engine: the target, and how it runs.
        host: address to listen on, without brackets; one that other machines reach needs TLS and tokens.
        port: 0 picks a free one.
        prefix_caching: texts of one tenant that begin alike share the reading of that beginning.
        drain_seconds: how long calls under way may still take after a signal.
        pass_seconds: how long a forward pass may take; one that takes longer is taken to hang, and the process ends.
        session_idle: seconds for which a session that nobody asks about keeps its cache; `inf` until others need it.
        connections: what a connection may cost.
        access: who may call.
        telemetry: what operators see.
        bundle: what edges may fetch.
    """

    engine: EngineSettings = field(default_factory=EngineSettings)
    host: str = "127.0.0.1"
    port: int = 50051
    prefix_caching: bool = True
    drain_seconds: float = DRAIN_SECONDS
    pass_seconds: float = PASS_SECONDS
    session_idle: float = SESSION_IDLE
    connections: ConnectionSettings = field(default_factory=ConnectionSettings)
    access: AccessSettings = field(default_factory=AccessSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    bundle: BundleSettings = field(default_factory=BundleSettings)

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            InputError: with the option's name.
        """
        if self.port and self.port == self.telemetry.metrics_port:
            raise InputError(
                f"texts and metrics have the same port, {self.port}; give another --port or --metrics-port"
            )
        if not 0 <= self.drain_seconds <= _LONGEST_DRAIN:
            sentence = f"--drain-seconds must be between 0 and {_LONGEST_DRAIN:g}, not {self.drain_seconds:g}"
            raise InputError(sentence)
        if not self.pass_seconds > 0:
            raise InputError(f"--pass-seconds must be above 0 (inf never ends a pass), not {self.pass_seconds}")
        if not self.session_idle > 0:
            raise InputError(f"--session-idle must be above 0 (inf forgets none), not {self.session_idle}")
