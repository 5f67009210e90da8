"""Tiny pairs of each architecture, and one finished run that many tests look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cloud_target.prepare import measure, pipeline, steered
from cloud_target.prepare.pipeline import prepare
from cloud_target.prepare.settings import Settings
from tests.cloud_target.export.checkpoints import VOCABULARY, build, save

# Few, for the time that a run takes grows with them.
DOCUMENTS, ROWS, OWN_TOKENS = 40, 300, 100


@dataclass(frozen=True)
class Pair:
    """Directories of a draft and a target with one tokenizer, and a corpus in its words."""

    draft: Path
    target: Path
    corpus: Path

    def settings(self, out: Path, **changes: Any) -> Settings:
        asked = {"target": str(self.target), "draft": str(self.draft), "corpus": (self.corpus,), "out": out}
        return Settings(**asked | {"rows": ROWS, "own_tokens": OWN_TOKENS} | changes)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def few_beginnings() -> Iterator[None]:
    """The devices that a report lets begin take most of a run's time, and one shows as well that they are there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steered, "BEGINNINGS", 1)
        yield


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(0)
    documents = [
        " ".join(f"w{i}" for i in random.integers(1, VOCABULARY, random.integers(6, 30))) for _ in range(DOCUMENTS)
    ]
    path = tmp_path_factory.mktemp("corpus") / "corpus.txt"
    path.write_text("\n<|endoftext|>\n".join(documents), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> dict[str, Pair]:
    """A pair by architecture; targets have a layer more, and a vocabulary that is padded by 5 rows."""
    root = tmp_path_factory.mktemp("pairs")
    return {
        kind: Pair(
            save(build(kind), root / f"{kind}-draft"),
            save(build(kind, VOCABULARY + 5, num_hidden_layers=3), root / f"{kind}-target"),
            corpus,
        )
        for kind in ("gpt2", "llama", "qwen2")
    }


@dataclass(frozen=True)
class Finished:
    """A run that nothing disturbed, and the page that it drew: others may run again where it was."""

    settings: Settings
    report: dict[str, Any]
    html: str

    @property
    def out(self) -> Path:
        return self.settings.out


@pytest.fixture(scope="session")
def finished(pairs: dict[str, Pair], tmp_path_factory: pytest.TempPathFactory) -> Finished:
    settings = pairs["llama"].settings(tmp_path_factory.mktemp("finished") / "bundle", name="tiny")
    report = prepare(settings)
    return Finished(settings, report, (settings.out / "report.html").read_text(encoding="utf-8"))


@pytest.fixture
def undrawn(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs whose report page is not drawn, which takes most of their time; test_page.py looks at the page.

    The run that all share has its page, whichever test comes first.
    """
    monkeypatch.setattr(pipeline, "page", lambda report: f"<title>{report['name']}</title>")


@pytest.fixture
def unsteered(finished: Finished, undrawn: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that do not draw, and in whose report no device is steered, which takes most of the time that is left."""
    rates = finished.report["steered"][0]["rates"][0]
    monkeypatch.setattr(measure, "steered", lambda *_: rates)
