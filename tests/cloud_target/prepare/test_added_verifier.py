"""Verifiers of domains, added to a bundle by the command and used by an edge."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cloud_target.cli import main
from cloud_target.export import domain as domains
from cloud_target.prepare import heads, labels, measure, pipeline, texts
from edge_client.bundles.bundle import Bundle
from edge_client.edge import Edge
from shared.config import Sampling
from shared.contents import Contents
from shared.domains import MOST_DOMAINS
from shared.errors import InputError
from shared.features import SCALARS
from shared.manifest import Domain, read_manifest, write_manifest
from shared.sampling import Sampler
from tests.cloud_target.prepare.conftest import OWN_TOKENS, ROWS, Finished, Pair
from tests.cloud_target.prepare.test_resume import refuse

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]

BEFORE = ("draft.onnx", "verifier.onnx", "tokenizer.json", "report.json", "report.html")


@pytest.fixture
def bundle(finished: Finished, tmp_path: Path) -> Path:
    """A copy of the finished bundle."""
    return Path(shutil.copytree(finished.out, tmp_path / "bundle"))


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents of another kind, in the words of the pairs."""
    random = np.random.default_rng(7)
    path = tmp_path_factory.mktemp("letters") / "letters.txt"
    documents = [" ".join(f"w{i}" for i in random.integers(1, 9, random.integers(6, 30))) for _ in range(40)]
    path.write_text("\n<|endoftext|>\n".join(documents), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def added(finished: Finished, letters: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy to which the command has added a verifier; the finished stages lie beside it."""
    bundle = Path(shutil.copytree(finished.out, tmp_path_factory.mktemp("added") / "bundle"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cloud_target.training.process.prepare", lambda threads: None)
        patch.setattr(pipeline, "page", lambda report: f"<title>{report['name']}</title>")
        rates = finished.report["steered"][0]["rates"][0]
        patch.setattr(measure, "steered", lambda *_: rates)  # which takes most of the time
        assert main(line(finished, letters, bundle)) == 0
    return bundle


def line(finished: Finished, corpus: Path, out: Path, name: str = "letters") -> list[str]:
    words = ["prepare", "--target", finished.settings.target, "--domain", name, "--corpus", str(corpus)]
    return [*words, "--out", str(out), "--rows", str(ROWS), "--own-tokens", str(OWN_TOKENS)]


@pytest.fixture(autouse=True)
def untouched_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud_target.training.process.prepare", lambda threads: None)


def test_the_command_adds_a_verifier_and_leaves_the_rest_alone(
    finished: Finished, added: Path, letters: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    assert all((added / name).read_bytes() == (finished.out / name).read_bytes() for name in BEFORE)
    general, made = read_manifest(finished.out), read_manifest(added)
    assert replace(made, domains=[], digests=general.digests) == general
    assert made.verifiers == ("general", "letters")
    own = made.seen_by("letters")
    assert len(own.calibration) == len(general.calibration)
    assert own.calibration != general.calibration
    assert own.doubts != general.doubts
    assert own.calibrated_draft == general.digests["draft.onnx"]
    assert {file.name for file in Contents.of(added, made).files} >= {"verifier-letters.onnx", "verifier.onnx"}

    # What an interrupted run has done is not done again, and whatever the verifier was, the same is written anew.
    for module, name in ((texts, "write_own_text"), (labels, "label"), (heads, "fit")):
        monkeypatch.setattr(module, name, refuse)
    report = (added / "report-letters.json").read_text()
    monkeypatch.setattr(pipeline, "_report", lambda *_: json.loads(report))
    first = {path.name: path.read_bytes() for path in added.iterdir()}
    shutil.copy(added / "verifier.onnx", added / "verifier-letters.onnx")
    write_manifest(added, replace(made, domains=[Domain("letters")]))
    assert main(line(finished, letters, added)) == 0
    assert str(added / "report-letters.html") in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in added.iterdir()} == first

    edge = Edge(bundle=added)
    for domain, who in (("letters", "letters"), ("general", "general"), ("auto", "general")):
        assert list(edge.generate([5, 6], max_tokens=4, domain=domain).verifiers or {}) == [who]
    with pytest.raises(InputError, match="no verifier for the domain 'poems'; give auto, or one of general, letters"):
        edge.generate([5, 6], domain="poems")


def test_both_heads_doubt_one_row_or_several_alike(added: Path):
    """To the bit where it is one: else what has come of a token would hang on when answers come."""
    loaded, sampler = Bundle.load(added), Sampler(Sampling(temperature=0.7))
    with loaded.models.lend() as models:
        for token in range(5, 15):
            step = models.draft.feed([token])
            draw = sampler.draw(step.ids, step.logits, token)
            doubts = {name: head.doubt(step, draw, 0.7, 0) for name, head in models.verifiers.items()}
            row = models.verifiers["general"].features
            for name, head in models.verifiers.items():
                assert tuple(head.doubts(row[None].copy(), 0.7)[0].tolist()) == doubts[name]
        rows = np.random.default_rng(0).normal(size=(7, SCALARS + loaded.manifest.draft.hidden)).astype(np.float32)
        found = {name: head.doubts(rows.copy(), 0.7) for name, head in models.verifiers.items()}
        for name, head in models.verifiers.items():
            assert head.doubts(rows[3:4].copy(), 0.7)[0] == pytest.approx(found[name][3], abs=1e-6)
    assert found["letters"].shape == (7, 2)
    assert not np.allclose(found["letters"], found["general"])


REFUSALS = {
    "Letters": "a domain's name is 1 to 32 lower-case letters",
    "../x": "'../x' is none",
    "auto": "'auto' is none",
    "a" * 33: "is none, so give --domain another one",
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_bad_name_is_refused_before_anything_is_done(
    finished: Finished, bundle: Path, letters: Path, capsys: pytest.CaptureFixture[str], name: str
):
    before = sorted(bundle.parent.rglob("*"))
    assert main(line(finished, letters, bundle, name)) == InputError.exit_status
    assert REFUSALS[name] in capsys.readouterr().err
    assert sorted(bundle.parent.rglob("*")) == before


def test_what_cannot_have_the_domain_is_refused(
    finished: Finished, pairs: dict[str, Pair], bundle: Path, letters: Path, capsys: pytest.CaptureFixture[str]
):
    def refused(words: list[str], sentence: str) -> None:
        assert main(words) == InputError.exit_status
        assert sentence in capsys.readouterr().err

    good = line(finished, letters, bundle)
    other = [str(pairs["gpt2"].target) if word == finished.settings.target else word for word in good]
    refused(other, "was made for llama-target")
    refused(line(finished, letters, bundle.with_name("none")), "there is no bundle at")
    refused([*good, "--draft", finished.settings.draft], "there is no bundle at")
    refused([*good, "--name", "x"], "leave --name out")
    refused([*good, "--dtype", "int8"], "--dtype cannot be given")
    refused([word for word in good if word not in ("--domain", "letters")], "--draft is missing")

    full = [Domain(f"d{number}") for number in range(MOST_DOMAINS)]
    for one in full:
        shutil.copy(bundle / "verifier.onnx", bundle / f"verifier-{one.name}.onnx")
    write_manifest(bundle, replace(read_manifest(bundle), domains=full))
    refused(good, "no room for more than 8")
    domains.check_domain(bundle, "d3")  # which is there, may be renewed


def test_a_bundle_goes_elsewhere_with_its_domain_and_a_full_disk_leaves_all_as_it_was(
    bundle: Path, added: Path, monkeypatch: pytest.MonkeyPatch
):
    head, out = bundle / "verifier.onnx", bundle.with_name("more")
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    made = domains.add_verifier(bundle, out, Domain("poems"), head, {"report-poems.json": "{}"})
    assert made.verifiers == ("general", "poems")
    assert (out / "report-poems.json").read_text() == "{}"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(domains, "write_manifest", full)
    with pytest.raises(InputError, match="what was there is as it was"):
        domains.add_verifier(bundle, bundle, Domain("poems"), head, {})
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before
    assert not list(bundle.parent.glob(".*.new"))
