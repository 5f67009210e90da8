"""From a target and a corpus to a draft that `export` and `prepare` take, whatever comes between."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.architectures import save
from cloud_target.distil import checkpoint, pipeline, texts
from cloud_target.distil.held_out import SAMPLINGS, HeldOut
from cloud_target.distil.pipeline import distil
from cloud_target.distil.settings import Settings
from cloud_target.engine.hf.reading import read_model
from cloud_target.export.bundle import identify_target, make_bundle
from cloud_target.export.checkpoint import check_same_tokens, load_checkpoint
from cloud_target.prepare.pair import Pair
from cloud_target.prepare.settings import Settings as PrepareSettings
from cloud_target.training.work import Stage
from shared.errors import InputError
from tests.cloud_target.chatting import AFTER, BEFORE, with_template
from tests.cloud_target.distil.conftest import LAYERS, build
from tests.cloud_target.distil.test_training import full_disk

pytestmark = pytest.mark.slow


def weights(directory: Path) -> dict[str, torch.Tensor]:
    return read_model(directory, torch.float32, "eager").state_dict()


def interrupt_call(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, number: int) -> None:
    function: Callable[..., Any] = getattr(module, name)
    calls = 0

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            raise KeyboardInterrupt
        return function(*arguments, **options)

    monkeypatch.setattr(module, name, counted)


def test_what_comes_out_is_a_checkpoint_for_export_and_prepare(settings: Settings, tmp_path: Path) -> None:
    told: list[str] = []
    table = distil(settings, told.append)
    out = settings.out
    draft, target = load_checkpoint(out), load_checkpoint(settings.target)
    assert draft.model.config.num_hidden_layers == 2
    assert draft.end_ids == target.end_ids
    check_same_tokens(draft.tokenizer, target.tokenizer)
    report = make_bundle(out, tmp_path / "bundle", target=identify_target(settings.target))
    assert report.manifest.vocabulary == 300
    prepared = PrepareSettings(settings.target, str(out), settings.corpus, tmp_path / "prepared")
    assert Pair(prepared).vocabulary == 300
    card = (out / "README.md").read_text()
    assert table in card
    assert table == (out / "agreement.md").read_text()
    assert "cloud-target distil --target target --out draft corpus.txt --layers 2 --tokens 1000" in card
    assert str(tmp_path) not in card
    lines = json.loads((out / "agreement.json").read_text())["lines"]
    assert len(lines) == 3
    assert sum(line["kept"] for line in lines) == 1
    assert len([line for line in told if re.search(r"about \d", line)]) >= 3  # layers, text, training
    assert sorted(path.name for path in tmp_path.glob(".*")) == []


def test_a_run_that_is_cut_anywhere_goes_on_and_ends_the_same(settings: Settings, tmp_path: Path) -> None:
    whole = replace(settings, out=tmp_path / "whole")
    distil(whole)
    for module, name in (
        (pipeline, "choose_layers"),
        (texts, "ask_teacher"),
        (pipeline, "step_seconds"),
        (pipeline, "write"),
    ):
        told: list[str] = []
        with pytest.MonkeyPatch.context() as patch:
            interrupt_call(patch, module, name, 1)
            with pytest.raises(KeyboardInterrupt):
                distil(settings, told.append)
        assert told[-1].endswith(settings.command())
    for number in (2, 3):
        with pytest.MonkeyPatch.context() as patch:
            interrupt_call(patch, pipeline.Training, "_measure_if_due", number)
            patch.setattr(pipeline, "choose_layers", None)  # this was done
            with pytest.raises(KeyboardInterrupt):
                distil(settings)
    distil(settings)
    ours, theirs = weights(settings.out), weights(whole.out)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    before = {path.name: path.read_bytes() for path in settings.out.iterdir()}
    distil(settings)
    assert {path.name: path.read_bytes() for path in settings.out.iterdir()} == before


def test_a_narrower_draft_is_a_checkpoint_too_and_its_run_goes_on(settings: Settings, tmp_path: Path) -> None:
    whole = replace(settings, layers=None, hidden=32, out=tmp_path / "whole")
    distil(whole)
    config = load_checkpoint(whole.out).model.config
    assert (config.hidden_size, config.num_hidden_layers, config.head_dim) == (32, LAYERS, 64)
    bundle = make_bundle(whole.out, tmp_path / "bundle", target=identify_target(settings.target))
    assert bundle.manifest.draft.hidden == 32
    assert "narrowed to the 32 directions that carried most" in (whole.out / "README.md").read_text()
    cut = replace(whole, out=tmp_path / "cut")
    for module, name in ((pipeline, "find_width"), (texts, "ask_teacher"), (pipeline, "step_seconds")):
        with pytest.MonkeyPatch.context() as patch:
            interrupt_call(patch, module, name, 1)
            if module is texts:
                patch.setattr(pipeline, "choose_layers", None)  # all are kept
            with pytest.raises(KeyboardInterrupt):
                distil(cut)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "find_width", None)  # this was done
        distil(cut)
    ours, theirs = weights(cut.out), weights(whole.out)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    with pytest.raises(InputError, match="begun with --hidden 32, not 48"):
        distil(replace(cut, hidden=48))
    both = replace(settings, hidden=32, tokens=300, evaluations=1, out=tmp_path / "both")
    distil(both)
    config = load_checkpoint(both.out).model.config
    assert (config.hidden_size, config.num_hidden_layers) == (32, 2)


def test_a_target_that_chats_needs_no_corpus(settings: Settings, checkpoints: Path, tmp_path: Path) -> None:
    target = with_template(checkpoints / "target", tmp_path / "chatting")
    whole = replace(settings, target=str(target), corpus=(), chat=True, out=tmp_path / "whole")
    distil(whole)
    card = (whole.out / "README.md").read_text()
    assert "distilled on what the target wrote in conversations that it made up (300 tokens), by KL" in card
    assert "--chat" in card
    work = whole.workplace
    learned = texts.load([Stage(path.name, path, "") for path in sorted(work.glob("own-*"))])
    held = [HeldOut.load(work / f"held-out-t{s.temperature:g}" / "held.npz", s) for s in SAMPLINGS]
    rows = [*np.split(learned.ids, learned.lengths.cumsum()[:-1]), *(text for one in held for text in one.texts)]
    assert all(row[: len(BEFORE)].tolist() == BEFORE and str(AFTER)[1:-1] in str(row.tolist()) for row in rows)
    cut = replace(whole, out=tmp_path / "cut")
    with pytest.MonkeyPatch.context() as patch:
        interrupt_call(patch, texts, "ask_teacher", 1)
        with pytest.raises(KeyboardInterrupt):
            distil(cut)
    distil(cut)
    ours, theirs = weights(cut.out), weights(whole.out)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    with pytest.raises(InputError, match="has no chat template"):
        distil(replace(whole, target=settings.target, out=tmp_path / "mute"))


def test_it_can_begin_as_a_smaller_model(settings: Settings, checkpoints: Path) -> None:
    small = replace(settings, start=str(checkpoints / "small"), layers=None, tokens=300, evaluations=1)
    distil(small)
    assert load_checkpoint(small.out).model.config.num_hidden_layers == 2
    assert "`small`" in (small.out / "README.md").read_text()


def test_weights_are_kept_in_the_type_of_the_target(settings: Settings, checkpoints: Path, tmp_path: Path) -> None:
    model = read_model(checkpoints / "target", torch.bfloat16, "eager")
    place = tmp_path / "narrow"
    model.save_pretrained(place)
    (place / "tokenizer.json").write_bytes((checkpoints / "target" / "tokenizer.json").read_bytes())
    distil(replace(settings, target=str(place), tokens=300, evaluations=1))
    assert json.loads((settings.out / "config.json").read_text())["dtype"] == "bfloat16"
    for weight in weights(settings.out).values():
        assert torch.equal(weight, weight.to(torch.bfloat16).float())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"layers": LAYERS}, f"has {LAYERS} layers, of which a draft can keep from 1 to {LAYERS - 1}, not {LAYERS}"),
        ({"layers": 99}, "not 99"),
        ({"hidden": 64}, "is 64 numbers wide, of which a draft can keep from 1 to 63, not 64"),
        ({"target": "nowhere/at/all"}, "there is no directory"),
        ({"corpus": (Path("nowhere.txt"),)}, "cannot read the corpus nowhere.txt"),
        ({"device": "cuda:99"}, "there is no device cuda:99 here"),
        ({"dev": (Path("nowhere.txt"),)}, "cannot read the corpus nowhere.txt"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(settings: Settings, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(InputError, match=why) as refusal:
        distil(replace(settings, **changes))
    assert "\n" not in str(refusal.value)
    assert not settings.out.exists()


def test_a_small_corpus_and_a_foreign_tokenizer_are_refused(
    settings: Settings, checkpoints: Path, tmp_path: Path
) -> None:
    (tmp_path / "few.txt").write_text("w5 w6 w7 w8\n<|endoftext|>\nw7 w8 w9 w10", encoding="utf-8")
    with pytest.raises(InputError, match="the corpus holds 2 documents of more than 2 tokens"):
        distil(replace(settings, corpus=(tmp_path / "few.txt",)))
    (tmp_path / "short.txt").write_text("w5 w6\n<|endoftext|>\nw7 w8", encoding="utf-8")
    with pytest.raises(InputError, match=r"the held-out files hold 0 documents"):
        distil(replace(settings, dev=(tmp_path / "short.txt",), out=tmp_path / "other"))
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for path in (checkpoints / "small").iterdir():
        (foreign / path.name).write_bytes(path.read_bytes().replace(b'"w17"', b'"other"'))
    with pytest.raises(InputError, match="different tokenizers: token 17"):
        distil(replace(settings, start=str(foreign), out=tmp_path / "third"))
    short = build(2)
    short.resize_token_embeddings(290)
    save(short, tmp_path / "short")
    with pytest.raises(InputError, match="knows 290 tokens, and its tokenizer has 300"):
        distil(replace(settings, start=str(tmp_path / "short"), layers=None, out=tmp_path / "fourth"))


def test_a_directory_of_another_run_is_refused_by_name(settings: Settings, tmp_path: Path) -> None:
    distil(replace(settings, tokens=300, evaluations=1))
    for changes, why in (
        ({"layers": 1}, "begun with --layers 2, not 1"),
        ({"seed": 1}, "begun with --seed 0, not 1"),
        ({"own_tokens": 700}, "begun with --own-tokens 300, not 700"),
        ({"work": tmp_path / "elsewhere"}, "draft of an earlier run, which .*elsewhere does not know"),
    ):
        with pytest.raises(InputError, match=why):
            distil(replace(settings, tokens=300, evaluations=1, **changes))
    other = replace(settings, out=tmp_path / "taken")
    other.out.mkdir()
    (other.out / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="no draft of this command"):
        distil(other)


def test_a_full_disk_is_told_of_and_the_run_goes_on_when_there_is_room(settings: Settings) -> None:
    with full_disk(), pytest.raises(InputError, match="make room there"):
        distil(settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "_STATE_BYTES", 10**15)
        with pytest.raises(InputError, match=r"GB are needed there; make room"):
            distil(settings)
    distil(settings)
    assert load_checkpoint(settings.out).vocabulary == 300


def test_a_checkpoint_that_is_read_as_another_model_is_not_kept(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*arguments: Any) -> Any:
        model = read_model(*arguments)
        with torch.no_grad():
            model.get_input_embeddings().weight.mul_(1.5)
        return model

    monkeypatch.setattr(checkpoint, "read_model", read)
    with pytest.raises(InputError, match="read as another model than was written"):
        distil(settings)
    assert not settings.out.exists()


def test_ctrl_c_at_the_command_line_keeps_the_work(settings: Settings, tmp_path: Path) -> None:
    settings = replace(settings, tokens=None, minutes=50.0, work=tmp_path / "w")
    line = [sys.executable, "-m", *settings.command().replace("cloud-target", "cloud_target", 1).split()]
    with open(tmp_path / "told", "w+", encoding="utf-8") as told:
        process = subprocess.Popen([sys.executable, "-c", _OBEYING, *line], stderr=told, stdout=subprocess.PIPE)
        try:
            until = time.monotonic() + 120
            while "training:" not in (tmp_path / "told").read_text("utf-8") and time.monotonic() < until:
                time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
        finally:
            process.kill()
            process.communicate()
    text = (tmp_path / "told").read_text("utf-8")
    assert "Traceback" not in text
    assert text.rstrip().endswith(settings.command())
    assert (tmp_path / "w" / "state.pt").is_file()
    assert np.isfinite(json.loads((settings.out / "agreement.json").read_text())["lines"][0]["greedy"])


# A test that runs in the background of a script may have been told to ignore Ctrl-C; its child must not be.
_OBEYING = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
