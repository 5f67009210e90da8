"""Where texts have their bundle from."""

from __future__ import annotations

from typing import Protocol

from edge_client.bundles.bundle import Bundle
from edge_client.settings import Settings
from edge_client.target.client import TargetClient
from edge_client.usage.audit_counts import AuditCounts


class Source(Protocol):
    """Gives out bundles."""

    def alone(self) -> Bundle:
        """For a text that asks no target; opens no socket."""

    def asking(self, timeout: float | None, holds_on: bool = True) -> Bundle:
        """For a text that asks the target, which is looked for, if need be, as `Connection.client` does.

        Raises:
            TargetError: it is not reached, refuses, or does not send its bundle.
            BundleError: the bundle cannot be kept or used.
            ProtocolError: what it offers is no bundle.
        """

    def doubt(self) -> None:
        """There was trouble with the link: the target may be another one by now."""

    def wrote(self, bundle: Bundle, client: TargetClient, settings: Settings, counts: AuditCounts) -> None:
        """A text has ended, in whatever way.

        Args:
            bundle: that it was written with.
            client: of the target that it asked.
            counts: what audits say of it.
        """

    def close(self) -> None:
        """Nothing more is wanted. Never raises; twice is once."""


class Given:
    """The one that was given."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def alone(self) -> Bundle:
        return self._bundle

    def asking(self, timeout: float | None, holds_on: bool = True) -> Bundle:
        return self._bundle

    def doubt(self) -> None:
        pass

    def wrote(self, bundle: Bundle, client: TargetClient, settings: Settings, counts: AuditCounts) -> None:
        pass

    def close(self) -> None:
        pass
