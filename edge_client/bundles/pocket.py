"""Where the embedded bundle is."""

from __future__ import annotations

from pathlib import Path

POCKET = Path(__file__).resolve().parents[1] / "models" / "pocket"
