"""Every benchmark that takes a bundle takes its target too, and documents where it needs prompts."""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path

import pytest

from benchmarks.pair import add_models, add_pair, prompts_of
from benchmarks.prompts import EVERY
from edge_client.bundles.pocket import POCKET
from shared.tokenizer import load_tokenizer

DIRECTORY = Path(__file__).resolve().parents[2] / "benchmarks"
TAKES_A_PAIR = ("add_pair(parser", "add_models(parser", '"--bundle"')
PROGRAMS = sorted(
    path.stem
    for path in DIRECTORY.glob("*.py")
    if path.stem != "pair" and any(sign in path.read_text(encoding="utf-8") for sign in TAKES_A_PAIR)
)


# It asks questions that have right answers, and makes them itself.
ASKS = "answers"
# It looks at the graph of a draft alone.
GRAPH = "step_nodes"


def test_there_are_such_programs():
    assert {"answers", "promise", "shifts", "exactness", "agreement", "modes", "quality", "edge_step"} <= set(PROGRAMS)


def test_models_may_lie_in_the_users_home():
    parser = argparse.ArgumentParser()
    add_models(parser)
    options = parser.parse_args(["--bundle", "~/bundle", "--target=~/target"])
    assert (options.bundle, options.target) == (Path.home() / "bundle", str(Path.home() / "target"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize("program", PROGRAMS)
def test_any_pair_can_be_tried(program, capsys, monkeypatch):
    """In this process, for a process of its own would read all libraries again."""
    monkeypatch.setattr(sys, "argv", [program, "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module(f"benchmarks.{program}", run_name="__main__")
    assert not end.value.code
    said = capsys.readouterr().out
    for option in ("--bundle", "--target", "--documents")[: {ASKS: 2, GRAPH: 1}.get(program, 3)]:
        assert option in said


def test_prompts_are_of_every_file_or_built_in(tmp_path):
    parser = argparse.ArgumentParser()
    add_pair(parser)
    tokenizer = load_tokenizer(POCKET / "tokenizer.json")
    assert len(prompts_of(parser.parse_args([]), tokenizer, 3)) == len(EVERY)
    for name in ("a", "b"):
        texts = [f"{name} {i} " + "the dog went to the park. " * 9 for i in range(8)]
        (tmp_path / f"{name}.txt").write_text("\n<|endoftext|>\n".join(texts), encoding="utf-8")
    options = parser.parse_args(["--documents", str(tmp_path / "a.txt"), str(tmp_path / "b.txt"), "--from", "0.25"])
    found = [tokenizer.decode(prompt).strip() for prompt in prompts_of(options, tokenizer, 5)]
    assert [text[:3] for text in found] == ["a 2", "a 3", "a 4", "b 2", "b 3", "b 4"]
