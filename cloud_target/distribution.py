"""What the packages of this repository are installed as."""

from __future__ import annotations

DISTRIBUTION = "tandem-inference"
