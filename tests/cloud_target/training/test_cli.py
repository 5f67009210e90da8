"""The training commands: every example in the help can be typed, and the card says what was measured."""

from __future__ import annotations

import argparse
import json
import platform
import re
import shlex
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from cloud_target.cli import parse_args
from cloud_target.training import commands
from cloud_target.training.card import POCKET_CORPORA, write_card
from cloud_target.training.cli import _EXAMPLES, add_commands
from cloud_target.training.pretrain import save
from cloud_target.training.process import keep_memory
from cloud_target.training.settings import DraftSettings, RunSettings, Sizes, read_settings
from shared.errors import InputError


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("cloud-target")
    add_commands(parser.add_subparsers(required=True))
    return parser


def leaves(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    actions = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [leaf for action in actions for child in action.choices.values() for leaf in leaves(child)] or [parser]


def test_examples_are_taken_by_the_parser(parser: argparse.ArgumentParser) -> None:
    texts = [_EXAMPLES, *(leaf.epilog for leaf in leaves(parser))]
    lines = [line for text in texts for line in re.findall(r"cloud-target .*", text.replace("\\\n", ""))]
    assert len(lines) == 13
    for line in lines:
        assert callable(parse_args(shlex.split(line)[1:]).run)


def test_every_step_has_a_command_and_help(parser: argparse.ArgumentParser) -> None:
    for leaf in leaves(parser):
        help_text = leaf.format_help()
        assert "example:" in help_text
        undocumented = [action for action in leaf._actions if not action.help]
        assert not undocumented
    names = [name for name in vars(commands) if name.endswith("_command")]
    assert len(names) == len(leaves(parser)) == 7


def test_a_command_is_told_what_its_line_says_and_else_the_defaults(parser: argparse.ArgumentParser) -> None:
    line = (
        "train draft a.txt b.txt --target runs/target --dev dev.txt --layers 3 --minutes 30 --seed 7 --out runs/draft"
    )
    assert read_settings(DraftSettings, parser.parse_args(line.split())) == DraftSettings(
        corpus=("a.txt", "b.txt"),
        dev=("dev.txt",),
        target="runs/target",
        own_text=(),
        out="runs/draft",
        corpus_tokens=2_500_000,
        sizes=Sizes(hidden=None, layers=3, feed_forward=None, kv_heads=None),
        training=RunSettings(tokens=50_000_000, minutes=30.0, batch_tokens=4096, seed=7),
    )


def test_a_tokenizer_is_trained_from_the_command_line(
    parser: argparse.ArgumentParser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    (tmp_path / "corpus.txt").write_text("A fox lost its hat.\n<|endoftext|>\nIt was red.\n", encoding="utf-8")
    line = ["train", "tokenizer", f"{tmp_path / 'corpus.txt'}", "--out", f"{tmp_path / 'out'}", "--vocabulary", "270"]
    arguments = parser.parse_args(line)
    assert arguments.run(arguments) == 0
    assert Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json")).get_vocab_size() == 270


def test_the_card_names_corpora_licences_and_numbers(
    target: LlamaForCausalLM, draft: LlamaForCausalLM, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    for name, model in (("target", target), ("draft", draft)):
        save(model, tokenizer, tmp_path / name)
    line = {"file": "dev.txt", "kind": "own text", "temperature": 0.7, "top_p": 0.9, "tokens": 1234}
    line |= {"agreement": 0.8765, "typical": 0.03, "unlikely": 0.05, "tv": 0.2, "nll": 1.5, "own_nll": 1.25}
    evaluation = {"bits_per_byte": {"dev.txt": {"target": 0.7021, "draft": 0.8}}, "agreement": [line]}
    asks = {"never asking": 0.04, "budgets": [0.01], "asks": {"our head": [0.123]}}
    where = {"kind": "own text", "temperature": 0.7, "top_p": 0.9, "tokens": 1234}
    rates = [{"budget": 0.01, "divergence": 0.0091, "ask_rate": 0.131}]
    report = {
        "doubts": [where | {"typical": asks, "strict": asks}],
        "doubts on documents": [where | {"kind": "documents", "typical": asks, "strict": asks}],
        "checks": [where | {"criterion": "typical", "rates": rates}],
    }
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluation))
    (tmp_path / "report.json").write_text(json.dumps(report))
    places = [tmp_path / name for name in ("target", "draft", "evaluation.json", "report.json")]
    write_card(tmp_path / "card.md", "pocket", *places)
    text = (tmp_path / "card.md").read_text()
    for corpus in POCKET_CORPORA:
        assert corpus.name in text
        assert corpus.licence in text
    for number in ("0.702", "0.876", "0.123", "0.0091"):
        assert number in text
    with pytest.raises(InputError, match="cannot write the card"):
        write_card(tmp_path / "card.md", "pocket", *places[:2], tmp_path / "nowhere.json", places[3])


def test_memory_is_kept_where_the_c_library_can() -> None:
    assert keep_memory() is (platform.libc_ver()[0] == "glibc")
