"""What the page is about, made by the commands that everybody has: a draft of the target, and a bundle of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from shared.errors import TandemError
from shared.manifest import FILES


def make(target: str, work: Path, distil: Sequence[str], prepare: Sequence[str], tell: Callable[[str], None]) -> Path:
    """The bundle in `work`, made if it is not there; a run that was interrupted goes on.

    Args:
        distil, prepare: further options of these commands.

    Raises:
        TandemError: one of them failed, and has said why.
    """
    draft, bundle = work / "draft", work / "bundle"
    if all((bundle / name).is_file() for name in FILES):
        return bundle
    if not (draft / "agreement.md").is_file() or (work / "draft.work").is_dir():
        tell("a draft of the target")
        _run("distil", "--target", target, "--chat", "--out", str(draft), *distil)
    tell("a bundle of the draft")
    _run("prepare", "--target", target, "--draft", str(draft), "--chat", "--out", str(bundle), *prepare)
    return bundle


def _run(*words: str) -> None:
    status = subprocess.run([sys.executable, "-m", "cloud_target", *words], check=False).returncode
    if status:
        raise TandemError(f"`cloud-target {words[0]}` ended with status {status}; the same command goes on from there")
