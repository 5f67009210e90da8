"""Four commands from a model to a text, for each family that people take: distil, prepare, serve, write."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.local_target import local_target
from cloud_target.cli import main as cloud
from cloud_target.prepare import measure, pipeline, texts
from edge_client.cli.main import main as edge
from shared.config import Sampling
from shared.manifest import read_manifest
from tests.cloud_target.export.optimum import needs_optimum
from tests.end_to_end.families import FAMILIES, NO_DRAFT

pytestmark = pytest.mark.slow

_DISTIL = "--tokens 400 --own-tokens 200 --corpus-tokens 100 --held-out-tokens 40 --batch-tokens 256 --evaluations 1"
_PREPARE = "--rows 100 --own-tokens"
# The families whose models make up all that is learned from; the others go on from openings of a corpus.
_MAKE_UP = ("llama", "gemma3")
# Those whose drafts are exported by way of optimum.
_BY_OPTIMUM = ("qwen3", "gemma3", "phi3")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One way of sampling, and no devices in the report, nor drawings, which take a minute; `prepare` has its tests."""
    rates = {"tokens": 1, "ask_rate": 0.0, "divergence": 0.0}

    def steered(_: Any, budget: float, *__: Any) -> dict[str, Any]:
        return {"budget": budget, "new": rates, "later": None, "unaudited": rates}

    monkeypatch.setattr(measure, "steered", steered)
    monkeypatch.setattr(pipeline, "page", lambda report: f"<title>{report['name']}</title>")
    monkeypatch.setattr(texts, "_SMALLEST_BATCH", 4)
    monkeypatch.setattr(texts, "TEXTS", [text for text in texts.TEXTS if text.sampling == Sampling()])
    monkeypatch.setenv("TANDEM_BUNDLES", str(tmp_path / "bundles"))
    monkeypatch.setenv("TANDEM_STATE", str(tmp_path / "state"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that should end well; gives what it writes on standard output."""

    def run(main: Callable[[list[str]], int], *arguments: object) -> str:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert status == 0, err
        return out

    return run


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=needs_optimum if name in _BY_OPTIMUM else []) for name in FAMILIES]
)
def test_four_commands_lead_from_a_model_to_a_text(name: str, run: Callable[..., str], tmp_path: Path) -> None:
    family = FAMILIES[name]
    target, draft, bundle = family.write(tmp_path / name), tmp_path / "draft", tmp_path / "bundle"
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n<|endoftext|>\n".join(_sentences(40)), encoding="utf-8")
    chats = name in _MAKE_UP
    run(cloud, "distil", "--target", target, "--out", draft, *_DISTIL.split(), *(["--chat"] if chats else [corpus]))
    text = [1200, "--chat"] if chats else [100, "--corpus", corpus]
    run(cloud, "prepare", "--target", target, "--draft", draft, "--out", bundle, *_PREPARE.split(), *text)
    manifest = read_manifest(bundle)
    assert (manifest.target_name, manifest.chat is not None) == (name, bool(family.chats))
    ask = ["--chat", "a cat sees the dog"] if family.chats else ["a cat sees the dog"]
    with local_target("--target", str(target), "--bundle", str(bundle), "--threads", "1") as served:
        words = ("--target", served.address, "--json", "--seed", "3", "--max-tokens", "24", *ask)
        told = {mode: json.loads(run(edge, "--mode", mode, *words)) for mode in ("exact", "cloud", "sprint")}
    assert told["exact"]["text"] == told["cloud"]["text"] != ""
    assert told["sprint"]["text"]


@needs_optimum
def test_what_no_device_could_run_is_told_before_anything_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, draft = NO_DRAFT.write(tmp_path / "olmo"), tmp_path / "draft"
    assert cloud(["distil", "--target", str(target), "--out", str(draft), "--chat", *_DISTIL.split()]) == 2
    assert capsys.readouterr().err == (
        "1/5 the models\n"
        "cloud-target: optimum cannot export a olmo3 as a causal language model; give a smaller model of another kind "
        "that has the target's tokens, with --from\n"
    )
    assert not draft.exists()
    assert not (tmp_path / "draft.work" / "run.json").exists()  # another command may begin there
    assert cloud(["export", "--draft", str(target), "--out", str(tmp_path / "bundle")]) == 2
    told = "optimum cannot export a olmo3 as a causal language model; take another draft\n"
    assert capsys.readouterr().err.endswith(told)


def _sentences(count: int) -> list[str]:
    draw, words = (
        random.Random(0),
        ["the", "cat", "a", "dog", "sees", "likes", "one", "bird", "and", "my", "old", "ship"],
    )
    return [" ".join(draw.choices(words, k=draw.randint(8, 24))) + "." for _ in range(count)]
