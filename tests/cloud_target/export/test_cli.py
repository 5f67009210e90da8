"""The command line of the export."""

from __future__ import annotations

import argparse
import subprocess
import sys

import pytest

from cloud_target.export.cli import add_commands
from shared.errors import InputError
from shared.manifest import read_manifest
from tests.cloud_target.export.checkpoints import build, save, tiny_tokenizer


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser("cloud-target")
    add_commands(parser.add_subparsers(required=True))
    parsed = parser.parse_args(["export", *arguments])
    return parsed.run(parsed)


@pytest.mark.slow
def test_export_makes_a_bundle_and_says_what_is_in_it(checkpoints, tmp_path, capsys):
    pair = ["--draft", str(checkpoints["gpt2"]), "--target", str(checkpoints["llama"])]
    assert run(*pair, "--out", str(tmp_path / "b"), "--dtype", "int8", "--context", "32") == 0
    shown = capsys.readouterr()
    assert "gpt2 for llama, 83 tokens, context 32, shared-buffer, int8" in shown.out
    assert "int8 draws the same token" in shown.err
    assert "no trained verifier" in shown.err
    assert read_manifest(tmp_path / "b").target_name == "llama"


def test_pair_with_different_tokenizers_is_refused(checkpoints, tmp_path):
    other = save(build("gpt2"), tmp_path / "other", tiny_tokenizer(changed=9))
    with pytest.raises(InputError, match="token 9 is 'w9' for the draft and 'other' for the target"):
        run("--draft", str(checkpoints["llama"]), "--target", str(other), "--out", str(tmp_path / "b"))
    assert not (tmp_path / "b").exists()


@pytest.mark.slow
def test_help_has_examples_and_needs_no_torch():
    code = (
        "import argparse, sys; from cloud_target.export.cli import add_commands; p = argparse.ArgumentParser('x'); "
        "add_commands(p.add_subparsers()); print(p.parse_args(['export', '--draft', 'a', '--out', 'b']).draft, "
        "'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["a", "False"]
    with pytest.raises(SystemExit) as stop:
        run("--help")
    assert stop.value.code == 0
