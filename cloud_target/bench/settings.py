"""What `cloud-target bench` is asked to do: a load, a target for it, and where the figures go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cloud_target.bench.plan import Plan
from cloud_target.options.dial import DialSettings


@dataclass(frozen=True)
class RunningTarget:
    """A target that runs already.

    Attributes:
        line: how to reach it.
        metrics: "host:port" where it offers its metrics, for the batch size; None if it does not.
    """

    line: DialSettings
    metrics: str | None = None


@dataclass(frozen=True)
class OwnTarget:
    """A target that is started for the test, on loopback.

    Attributes:
        options: of `cloud-target serve`, as words of a command line.
    """

    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    """The command line as values.

    Attributes:
        plan: the load.
        target: what bears it.
        json: also write the figures to this file.
    """

    plan: Plan
    target: OwnTarget | RunningTarget
    json: Path | None = None
