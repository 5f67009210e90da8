"""What the device calls its configuration file, and the variables of its options."""

from __future__ import annotations

from shared.configuration.program import Program

EDGE = Program("edge-client", "TANDEM_", "tandem.toml")
