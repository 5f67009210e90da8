"""The table of architectures: what it says of some, and that nothing wrong can hide in it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.architectures import ARCHITECTURES
from benchmarks.models import Outcome, chosen, examine, outcome
from benchmarks.models_page import table, write_page
from shared.errors import InputError

DRAFT = vars(Outcome(refusal="it is a llama"))
SAID = {"4.57.6": {"Llama": {"4.57.6": {"target": vars(Outcome(1e-7)), "draft": DRAFT}}}}


def test_each_row_has_a_name_and_a_directory_of_its_own():
    assert len(ARCHITECTURES) >= 60
    assert len({one.slug for one in ARCHITECTURES}) == len(ARCHITECTURES)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "Gemma 2, low soft cap",
        "GPT-2, scores not scaled",
        "Mistral, sliding window",
        "Phi-3, longrope",
        "gpt-oss (sinks)",
    ],
)
def test_a_target_of_the_table_is_exact(tmp_path, name):
    one = next(one for one in ARCHITECTURES if one.name == name)
    for found in examine(one, tmp_path).values():
        assert found["target"].distance < 1e-5
        assert not found["draft"].wrong


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["^Mamba$", "T5", "RecurrentGemma", "OpenAI GPT"])
def test_a_refusal_of_the_table_is_a_sentence(tmp_path, pattern):
    for found in examine(chosen(pattern)[0], tmp_path).values():
        for one in found.values():
            assert one.refusal
            assert "\n" not in one.refusal


def test_another_model_is_wrong_and_a_refusal_is_not(tmp_path):
    def refuse(*_: object) -> float:
        raise InputError("/a/path/model is none")

    assert outcome(refuse, tmp_path, {}) == Outcome(refusal="model is none")
    assert not Outcome(refusal="it is none").wrong
    assert not Outcome(1e-6).wrong
    assert Outcome(1e-4).wrong
    assert Outcome(np.nan).wrong
    with pytest.raises(FileNotFoundError):
        outcome(lambda *_: open(tmp_path / "none").close(), tmp_path, {})


def test_the_page_is_written_between_its_marks(tmp_path):
    (tmp_path / "4.57.6.json").write_text(json.dumps(SAID["4.57.6"]))
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- results -->\nold\n<!-- end of results -->\nafter\n")
    write_page(page, tmp_path)
    text = page.read_text()
    assert text.startswith("before\n<!-- results -->\n| architecture")
    assert text.endswith("<!-- end of results -->\nafter\n")
    assert "old" not in text
    assert "1. it is a llama" in text


def test_rows_that_are_refused_for_one_reason_share_it():
    reasons = [f"{name}Model cannot be a target: it keeps a state; choose a plain attention model" for name in "AB"]
    said = {name: {"5": {"target": vars(Outcome(refusal=reason))}} for name, reason in zip("AB", reasons, strict=True)}
    text = table({"5": said})
    assert text.count("refused (1)") == 2
    assert "1. it keeps a state\n" in text


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        ("optimum cannot export a x_y as a causal language model; take another draft", "optimum does not know it"),
        ("config.json of a-b says k, which t does not know of a c and would leave out; take another version, or take "
         "out what does nothing", "config.json says k, which t does not know and would leave out"),
        ("t reads k in config.json of a-b as something else than it is; take another version",
         "t reads k in config.json as something else than it is"),
        ("a-b lacks 3 of the model's weights; get it again, whole", "it lacks 3 of the model's weights"),
        ("a-b is an encoder-decoder model (t5), which does not go on; take a decoder",
         "it is an encoder-decoder model, which does not go on"),
        ("a-b is exported by way of optimum (it is a b), and optimum is not installed here; install it",
         "it needs optimum, which is not there"),
        ("the configuration of a-b does not say how long a text may be; give --context",
         "the configuration does not say how long a text may be"),
    ],
)  # fmt: skip
def test_a_reason_is_a_refusal_without_names_and_advice(refusal, reason):
    said = {"5": {"A": {"5": {"target": vars(Outcome(refusal=refusal))}}}}
    assert f"\n1. {reason}\n" in table(said)


def test_what_is_wrong_is_shouted_and_counted():
    said = {"5.24.0": {"Llama": {"5.24.0": {"target": vars(Outcome(0.3))}}}}
    assert "WRONG 3e-01" in table(said)
    assert "1 architectures, 1 wrong cells" in table(said)
