"""Types: mypy, which `make lint` runs, looks at every module, and nothing tells it to look away without a reason."""

from __future__ import annotations

import re

from tests.project.tree import PACKAGES, ROOT, files, is_generated, pyproject

MYPY = pyproject()["tool"]["mypy"]
SOURCES = [path for path in files(".py") if path.relative_to(ROOT).parts[0] in MYPY["files"] and not is_generated(path)]
# Made by a tool, which has its own opinion of types.
GENERATED = ["shared.wire.v1.*"]
# Libraries that have no types, and so are not ours to look at.
LIBRARY_SETTINGS = {"module", "ignore_missing_imports"}


def test_mypy_reads_every_module() -> None:
    assert {*PACKAGES, "benchmarks"} == {*MYPY["files"]}
    left_out = [path for path in SOURCES if any(re.search(out, str(path.relative_to(ROOT))) for out in MYPY["exclude"])]
    assert left_out == []


def test_mypy_has_no_exceptions() -> None:
    assert not {"ignore_errors", "disable_error_code", "follow_imports"} & {*MYPY}
    for override in MYPY["overrides"]:
        ours = [name for name in override["module"] if name.partition(".")[0] in MYPY["files"]]
        if override.get("ignore_errors"):
            assert override["module"] == GENERATED
        elif ours:
            assert [setting for setting in override if setting.startswith(("ignore", "disable", "follow"))] == []
        else:
            assert {*override} == LIBRARY_SETTINGS


def test_what_mypy_is_told_to_leave_alone_has_a_code_and_a_reason() -> None:
    reasonable = re.compile(r"# type: ignore\[[\w-]+(, [\w-]+)*\]  # \w.+")
    for path in SOURCES:
        for line in path.read_text(encoding="utf-8").splitlines():
            assert "# type: ignore" not in line or reasonable.search(line), f"{path}: {line}"
            assert not line.startswith("# mypy:"), f"{path}: {line}"
