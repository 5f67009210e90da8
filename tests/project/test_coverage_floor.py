"""The floor under the coverage: what is measured, and what counts as too little."""

from __future__ import annotations

from tests.coverage_floor import below
from tests.project.tree import need, pyproject


def file(share: float) -> dict[str, dict[str, float]]:
    return {"summary": {"percent_covered": share}}


def test_a_file_below_the_floor_is_named() -> None:
    report = {"files": {"b.py": file(12.34), "a.py": file(90.0), "c.py": file(89.99)}}
    assert below(report) == ["b.py: 12.3 %", "c.py: 90.0 %"]


def test_what_decides_about_texts_is_measured() -> None:
    measured = pyproject()["tool"]["coverage"]["run"]["source"]
    inner = {f"cloud_target/{name}" for name in ("protocol", "scheduling", "sessions")}
    assert set(measured) == {"edge_client", "shared"} | inner
    for folder in measured:
        need(folder)
