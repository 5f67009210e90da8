"""From two checkpoints to a bundle that an edge runs, whatever the architecture."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from cloud_target.export.bundle import make_bundle
from cloud_target.prepare import pipeline
from cloud_target.prepare.documents import SPLITS, read_split
from cloud_target.prepare.heads import ExportedHead
from cloud_target.prepare.pipeline import prepare
from cloud_target.prepare.texts import TEXTS
from cloud_target.prepare.words import summary
from cloud_target.training.calibrate import BUDGETS
from cloud_target.training.card import write_card
from cloud_target.training.own_text import OwnText
from cloud_target.training.work import Stage
from edge_client.edge import Edge
from shared.config import Criterion, Sampling
from shared.errors import InputError
from shared.identity import file_digest
from shared.manifest import read_manifest
from tests.cloud_target.chatting import AFTER, BEFORE, with_template
from tests.cloud_target.export.checkpoints import VOCABULARY, build, save, tiny_tokenizer
from tests.cloud_target.prepare.conftest import Finished, Pair

WAYS = {(text.sampling.temperature, text.sampling.top_p) for text in TEXTS}


def different(count: int, last: str = "w5") -> list[str]:
    return [f"w{i + 1} w2 w3 w4 {last}" for i in range(count)]


def write(path: Path, documents: list[str]) -> Path:
    path.write_text("\n<|endoftext|>\n".join(documents), encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.usefixtures("unsteered")
@pytest.mark.parametrize(("kind", "dtype"), [("gpt2", "int8"), ("llama", "float32"), ("qwen2", "float32")])
def test_any_pair_becomes_a_bundle_that_the_edge_runs(pairs: dict[str, Pair], tmp_path: Path, kind: str, dtype: str):
    said: list[str] = []
    settings = pairs[kind].settings(tmp_path / "bundle", dtype=dtype)
    report = prepare(settings, said.append)
    assert [line[:3] for line in said if line[1:3] == "/7"] == [f"{step}/7" for step in range(1, 8)]
    assert len([line for line in said if re.search(r"about .* until all of it is there", line)]) == len(TEXTS)
    assert len([line for line in said if re.search(r"about \d.* until all rows are there", line)]) == len(TEXTS) + 2
    manifest = read_manifest(settings.out)
    assert (manifest.name, manifest.target_name) == (f"{kind}-draft", f"{kind}-target")
    assert (manifest.vocabulary, manifest.draft.dtype) == (VOCABULARY, dtype)
    assert manifest.calibrated_draft == file_digest(settings.out / "draft.onnx")
    assert {(cell.temperature, cell.top_p) for cell in manifest.calibration} == WAYS
    assert len(manifest.calibration) == len(WAYS) * 2 * len(BUDGETS)
    assert {(text.temperature, text.top_p) for text in manifest.familiar} == WAYS
    usual = {(way.criterion, way.temperature, way.top_p): way.log_odds for way in manifest.doubts}
    assert usual.keys() == {(criterion, *way) for criterion in Criterion for way in WAYS}
    assert all(log_odds == sorted(log_odds) for log_odds in usual.values())
    assert json.loads((settings.out / "report.json").read_text()) == report
    assert Edge(bundle=settings.out).generate([5, 6], max_tokens=4).usage.tokens > 0


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_target_that_chats_needs_no_corpus(pairs: dict[str, Pair], tmp_path: Path):
    target = with_template(pairs["llama"].target, tmp_path / "target")
    settings = pairs["llama"].settings(tmp_path / "bundle", target=str(target), corpus=(), chat=True, own_tokens=1200)
    report = prepare(settings)
    assert report["corpora"] == []
    assert "--chat" in report["command"]
    stage = Stage("documents", settings.workplace / "documents", "")
    documents = [document for split in SPLITS for document in read_split(stage, split)]
    texts = [OwnText.load(path) for path in settings.workplace.glob("own-*/own.npz")]
    assert len(texts) == len(TEXTS)
    for text in [*documents, *(document for own in texts for document in own.documents)]:
        assert text[: len(BEFORE)].tolist() == BEFORE
        assert str(AFTER)[1:-1] in str(text.tolist())
    assert sum(report["documents"].values()) == len({document.tobytes() for document in documents})
    assert Edge(bundle=settings.out).generate([5, 6], max_tokens=4).usage.tokens > 0
    prepare(replace(settings, out=tmp_path / "again", work=settings.workplace))
    with pytest.raises(InputError, match=r"made up \d+ different conversations, and at least 20 are needed"):
        prepare(replace(settings, own_tokens=2, out=tmp_path / "few"))


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_two_runs_give_the_same_bytes(pairs: dict[str, Pair], finished: Finished, tmp_path: Path):
    again = replace(finished.settings, out=tmp_path / "bundle")
    report = prepare(again)
    for name in ("verifier.onnx", "draft.onnx", "tokenizer.json", "manifest.json"):
        assert (again.out / name).read_bytes() == (finished.out / name).read_bytes()
    assert report | {"command": ""} == finished.report | {"command": ""}
    other = replace(again, out=tmp_path / "other", seed=1)
    assert prepare(other)["loss"] != report["loss"]


@pytest.mark.slow
def test_a_target_is_judged_by_in_the_arithmetic_that_it_is_served_in(pairs: dict[str, Pair], tmp_path: Path):
    said: list[str] = []
    settings = pairs["llama"].settings(tmp_path / "bundle", target_dtype="bfloat16")
    report = prepare(settings, said.append)
    manifest = read_manifest(settings.out)
    assert manifest.target_dtype == report["pair"]["target dtype"] == "bfloat16"
    assert {(way.temperature, way.top_p) for way in manifest.disagreement} == WAYS
    assert report["disagreement"] == [vars(way) for way in manifest.disagreement]
    assert "  how often the target disagrees with itself in bfloat16" in said
    assert "In bfloat16 the target disagrees with itself" in summary(report, settings.out)
    assert "In bfloat16 the target disagrees with itself" in (settings.out / "report.html").read_text()
    assert "--target-dtype bfloat16" in report["command"]
    more = replace(settings, domain="letters", draft=str(settings.out), target_dtype=None, work=tmp_path / "work")
    prepare(more)
    assert read_manifest(settings.out).disagreement == manifest.disagreement
    with pytest.raises(InputError, match="in bfloat16, and this verifier would be for float32"):
        prepare(replace(more, target_dtype="float32"))


@pytest.mark.slow
@pytest.mark.usefixtures("unsteered")
def test_a_bundle_as_draft_is_kept_byte_for_byte(pairs: dict[str, Pair], tmp_path: Path):
    pair = pairs["gpt2"]
    make_bundle(pair.draft, tmp_path / "old", context=12, name="kept", kind="shared-buffer")
    settings = replace(pair.settings(tmp_path / "new"), draft=str(tmp_path / "old"))
    prepare(settings)
    old, new = read_manifest(tmp_path / "old"), read_manifest(tmp_path / "new")
    for name in ("draft.onnx", "tokenizer.json"):
        assert (tmp_path / "new" / name).read_bytes() == (tmp_path / "old" / name).read_bytes()
    assert (new.probe, new.draft, new.name, new.context) == (old.probe, old.draft, "kept", 12)
    assert new.calibration
    assert new.digests["verifier.onnx"] != old.digests["verifier.onnx"]
    with pytest.raises(InputError, match="--dtype cannot be given with one"):
        prepare(replace(settings, dtype="int8"))


@pytest.mark.slow
@pytest.mark.usefixtures("unsteered")
def test_a_bundle_may_be_prepared_in_its_own_place(pairs: dict[str, Pair], tmp_path: Path):
    pair = pairs["gpt2"]
    make_bundle(pair.draft, tmp_path / "b")
    draft = (tmp_path / "b" / "draft.onnx").read_bytes()
    prepare(replace(pair.settings(tmp_path / "b"), draft=str(tmp_path / "b")))
    assert read_manifest(tmp_path / "b").calibration
    assert (tmp_path / "b" / "draft.onnx").read_bytes() == draft


@pytest.mark.slow
@pytest.mark.usefixtures("unsteered")
def test_held_out_files_are_halved_and_the_corpus_trains(pairs: dict[str, Pair], tmp_path: Path):
    dev = write(tmp_path / "dev.txt", different(20))
    report = prepare(pairs["gpt2"].settings(tmp_path / "bundle", dev=(dev,)))
    assert report["documents"] == {"train": 40, "calibrate": 10, "report": 10}
    assert [entry["role"] for entry in report["corpora"]] == ["corpus", "dev"]


def test_different_tokens_are_refused_before_any_model_is_read(
    pairs: dict[str, Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    other = save(build("llama"), tmp_path / "other", tiny_tokenizer(changed=9))
    monkeypatch.setattr("cloud_target.prepare.pair.load_checkpoint", None)
    monkeypatch.setattr("cloud_target.export.draft.load_checkpoint", None)
    with pytest.raises(InputError, match="token 9 is 'w9' for the draft and 'other' for the target"):
        prepare(pairs["llama"].settings(tmp_path / "bundle", target=str(other)))
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("documents", "dev", "sentence"), [(19, 0, "at least 20"), (3, 8, "at least 4"), (9, 7, "at least 8")]
)
def test_too_few_documents_are_refused(pairs: dict[str, Pair], tmp_path: Path, documents: int, dev: int, sentence: str):
    files = {}
    for name, texts in (("corpus", different(documents)), ("dev", different(dev, "w9"))):
        files[name] = (write(tmp_path / f"{name}.txt", texts),) if texts else ()
    with pytest.raises(InputError, match=sentence):
        prepare(pairs["llama"].settings(tmp_path / "bundle", **files))


def test_a_place_that_cannot_be_written_is_refused_at_once(pairs: dict[str, Pair], tmp_path: Path, monkeypatch):
    monkeypatch.setattr(pipeline, "Pair", None)
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file" / "bundle", tmp_path / "file"):
        with pytest.raises(InputError, match=r"cannot write to|is a file"):
            prepare(pairs["llama"].settings(out))
    with pytest.raises(InputError, match="another --work"):
        prepare(pairs["llama"].settings(tmp_path / "bundle", work=tmp_path / "file" / "work"))
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("option", ["corpus", "dev"])
def test_a_file_that_is_not_there_is_refused_at_once(pairs: dict[str, Pair], tmp_path: Path, option: str):
    with pytest.raises(InputError, match=r"cannot read the corpus .*nowhere.txt .No such file"):
        prepare(pairs["llama"].settings(tmp_path / "bundle", **{option: (tmp_path / "nowhere.txt",)}))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("device", ["tape", "cuda:99"])
def test_a_device_that_is_not_there_is_refused_at_once(pairs: dict[str, Pair], tmp_path: Path, device: str):
    with pytest.raises(InputError, match=f"there is no device {device} here"):
        prepare(pairs["llama"].settings(tmp_path / "bundle", device=device))


@pytest.mark.slow
def test_a_card_can_be_written_from_the_report(pairs: dict[str, Pair], finished: Finished, tmp_path: Path):
    evaluation = {"bits_per_byte": {}, "agreement": finished.report["agreement"]}
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluation))
    pair = pairs["llama"]
    places = pair.target, pair.draft, tmp_path / "evaluation.json", finished.out / "report.json"
    write_card(tmp_path / "card.md", "tiny", *places)
    assert "our head" in (tmp_path / "card.md").read_text()


@pytest.mark.slow
def test_the_exported_head_doubts_many_rows_as_it_does_one(finished: Finished):
    path = finished.out / "verifier.onnx"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    features = np.random.default_rng(0).normal(size=(20, session.get_inputs()[0].shape[1])).astype(np.float32)
    one_by_one = [session.run(None, {"features": row[None]})[0][0] for row in features]
    np.testing.assert_allclose(ExportedHead(path).doubt(features), one_by_one, atol=1e-6)


@pytest.mark.slow
def test_the_report_says_what_the_manifest_says(finished: Finished):
    manifest = read_manifest(finished.out)
    thresholds = [cell.threshold for cell in manifest.calibration]
    assert [cell["threshold"] for cell in finished.report["calibration"]] == thresholds
    for check in finished.report["checks"]:
        assert [rate["budget"] for rate in check["rates"]] == list(BUDGETS)
    assert Sampling().temperature in {entry["temperature"] for entry in finished.report["doubts"]}
    assert finished.report["pair"]["target fingerprint"] == manifest.target_fingerprint
