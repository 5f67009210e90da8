"""Tokens of ours beside those of llama.cpp: in turns, by CPU time, and without the package a sentence."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path

import pytest

from benchmarks.llamacpp import llama_cpp, measure, ours, table
from edge_client.bundles.pocket import POCKET
from shared.errors import InputError

PROMPTS = [[5, 6, 7], [8, 9]]
IS_INSTALLED = importlib.util.find_spec("xllamacpp") is not None


def test_all_take_turns_and_the_first_round_does_not_count():
    calls: list[tuple[str, list[int]]] = []

    def spending(name: str, seconds: float):
        def write(ids, tokens: int) -> int:
            calls.append((name, list(ids)))
            end = time.process_time() + (seconds if len(calls) > 2 else 20 * seconds)
            while time.process_time() < end:
                pass
            return tokens

        return write

    rows = measure({"ours": spending("ours", 0.002), "theirs": spending("theirs", 0.004)}, PROMPTS, 4)
    assert calls == [(name, ids) for ids in [PROMPTS[0], *PROMPTS] for name in ("ours", "theirs")]
    assert [row.name for row in rows] == ["ours", "theirs"]
    assert 0.5 <= rows[0].cpu_ms < 2
    assert 1 <= rows[1].cpu_ms < 4
    cells = [cell.strip() for cell in table(rows).splitlines()[-1].split("|")[1:-1]]
    assert (cells[0], cells[-1]) == ("theirs", "1.00")


def test_ours_writes_however_a_text_would_end():
    write = ours(POCKET, 1)
    assert write([5, 6, 7], 9) == 9
    assert write([5, 6, 7], 400) == 400


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(InputError, match="pip install xllamacpp"):
        llama_cpp(Path("model.gguf"), 64, 1)


@pytest.mark.skipif(not IS_INSTALLED, reason="pip install xllamacpp")
def test_a_file_that_is_none_is_a_sentence(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot read"):
        llama_cpp(tmp_path / "model.gguf", 64, 1)
