"""The embedded models ship with the packages, whole and small."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.manifest import read_manifest
from tests.project.tree import ROOT, need, pyproject

MOST_BYTES = 40_000_000
FOLDERS = ("edge_client/models", "cloud_target/models")


@pytest.fixture(params=FOLDERS)
def models(request: pytest.FixtureRequest) -> Path:
    return need(request.param)


def test_the_models_are_package_data(models: Path) -> None:
    pattern, *_ = pyproject()["tool"]["setuptools"]["package-data"][models.parent.name]
    shipped = {path for path in models.parent.glob(pattern) if path.is_file()}
    assert shipped
    assert shipped == {path for path in models.rglob("*") if path.is_file()}


def test_every_model_has_a_card(models: Path) -> None:
    folders = [folder for folder in models.iterdir() if folder.is_dir() and folder.name != "__pycache__"]
    assert folders
    for folder in folders:
        card = (folder / "README.md").read_text(encoding="utf-8")
        assert "TinyStories" in card, f"{folder.name}'s card names its corpora"
        assert "CDLA-Sharing-1.0" in card, f"{folder.name}'s card names their licences"


def test_the_embedded_bundle_is_whole() -> None:
    assert read_manifest(need("edge_client/models/pocket")).vocabulary > 0


def test_the_models_are_small() -> None:
    sizes = [path.stat().st_size for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    assert sum(sizes) <= MOST_BYTES
