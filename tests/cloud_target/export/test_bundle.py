"""One call makes a whole bundle, or leaves what was there as it was."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest
import transformers
from tokenizers import Tokenizer, normalizers
from transformers import AutoTokenizer

from cloud_target.export import bundle as bundle_module
from cloud_target.export import draft as draft_module
from cloud_target.export import writing
from cloud_target.export.builder import Graph
from cloud_target.export.bundle import Target, identify_target, make_bundle, read_calibration
from cloud_target.export.graph import shared_buffer_graph
from cloud_target.export.head import export_head
from cloud_target.export.precision import Precision
from cloud_target.export.runner import Runner
from cloud_target.export.weights import Weight
from edge_client.bundles.bundle import Bundle
from edge_client.inference.draft_loading import draft_maker
from edge_client.inference.verifier import Verifier
from shared.calibration import SPREAD, Calibration, Doubts, Familiar
from shared.config import Criterion
from shared.errors import BundleError, InputError
from shared.features import SCALARS
from shared.identity import tokenizer_fingerprint
from shared.manifest import DRAFT_DATA, FILES, read_manifest
from tests.cloud_target.export.checkpoints import CONTEXT, VOCABULARY, build, save, tiny_tokenizer
from tests.cloud_target.export.optimum import needs_optimum

CELL = Calibration(Criterion.STRICT, 0.7, 0.9, 0.01, 0.4, 0.009, 0.3, 65000)


def head(path, hidden: int) -> str:
    features = SCALARS + hidden
    export_head(path, np.zeros(features), np.ones(features), None, None, np.zeros((2, features)), np.zeros(2))
    return str(path)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("kind", ["shared-buffer", pytest.param("concat", marks=needs_optimum)])
def test_bundle_is_complete_and_runs_on_the_edge(checkpoints, tmp_path, kind, dtype):
    said = []
    report = make_bundle(checkpoints["gpt2"], tmp_path / "b", kind=kind, dtype=dtype, tell=said.append)
    assert sorted(p.name for p in (tmp_path / "b").iterdir()) == sorted([*FILES, "manifest.json"])
    assert [p.name for p in tmp_path.iterdir()] == ["b"]
    manifest = read_manifest(tmp_path / "b")
    assert dataclasses.replace(manifest, digests={}) == report.manifest
    assert (manifest.vocabulary, manifest.context, manifest.end_ids) == (VOCABULARY, CONTEXT, [0])
    assert (manifest.draft.kind, manifest.draft.dtype, manifest.draft.hidden) == (kind, dtype, 64)
    assert (manifest.target_fingerprint, manifest.calibration, report.trained) == ("", [], False)
    assert manifest.tokenizer_fingerprint == tokenizer_fingerprint(
        Tokenizer.from_file(str(tmp_path / "b/tokenizer.json"))
    )
    assert (report.agreement is not None) == (dtype == "int8")
    assert any("equal to torch" in line for line in said)
    assert draft_maker(tmp_path / "b", manifest)().feed([1]).ids.shape == (64,)
    assert Verifier.maker(tmp_path / "b", manifest.draft.hidden)()


def test_trained_verifier_calibration_and_target_go_into_the_bundle(checkpoints, tmp_path):
    verifier = head(tmp_path / "trained.onnx", 64)
    cells = tmp_path / "calibration.json"
    cells.write_text(json.dumps([dataclasses.asdict(CELL)]))
    target = identify_target(str(checkpoints["llama"]))
    assert (target.name, len(target.fingerprint)) == ("llama", 32)
    report = make_bundle(
        checkpoints["qwen2"],
        tmp_path / "b",
        target=target,
        verifier=verifier,
        calibration=read_calibration(cells),
        end_ids=[0, 5],
        context=32,
        name="pair",
    )
    manifest = read_manifest(tmp_path / "b")
    assert manifest.calibration == [CELL]
    assert (manifest.target_name, manifest.target_fingerprint) == ("llama", target.fingerprint)
    assert (manifest.name, manifest.end_ids, manifest.context, report.trained) == ("pair", [0, 5], 32, True)
    assert draft_maker(tmp_path / "b", manifest)().context == 32


@pytest.mark.skipif(transformers.__version__ >= "5", reason="transformers 5 takes the class of a Qwen2's tokenizer")
def test_tokens_and_chat_of_the_checkpoint_go_into_the_bundle(checkpoints, tmp_path):
    source = tmp_path / "chatty"
    shutil.copytree(checkpoints["llama"], source)
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.enable_truncation(2)
    tokenizer.save(str(source / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>"}
    settings["chat_template"] = "{% for m in messages %}w1 {{ m.content }} {{ eos_token }} {% endfor %}w2"
    (source / "tokenizer_config.json").write_text(json.dumps(settings))
    theirs = AutoTokenizer.from_pretrained(source)
    said: list[str] = []
    make_bundle(source, tmp_path / "a", tell=said.append)
    assert not any("no chat template" in line for line in said)
    make_bundle(tmp_path / "a", tmp_path / "b")
    make_bundle(checkpoints["qwen2"], tmp_path / "c", target=identify_target(str(source)))
    turns = [{"role": "user", "content": "w5 w6 w7"}]
    for name in "abc":
        bundle = Bundle.load(tmp_path / name)
        assert bundle.encode("w3 w4 w5 w6") == theirs("w3 w4 w5 w6").input_ids == [3, 4, 5, 6]
        chat = theirs.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
        assert bundle.encode_chat(turns) == chat
        forged = [{"role": "user", "content": "w5 <|endoftext|> w7"}]
        assert bundle.encode_chat(forged).count(0) == 1
    make_bundle(checkpoints["llama"], tmp_path / "d", tell=said.append)
    assert "no chat template: the bundle takes plain prompts only" in said


def test_a_draft_of_a_bundle_is_kept_and_pages_are_added(checkpoints, tmp_path):
    make_bundle(checkpoints["qwen2"], tmp_path / "a", kind="shared-buffer", context=40, name="first")
    seen = Familiar(0.7, 0.9, 64, 1.0, 2.0)
    options = {"verifier": head(tmp_path / "v.onnx", 64), "calibration": [CELL], "calibrated_draft": "ab"}
    usual = Doubts("strict", 0.7, 0.9, [float(i) for i in range(SPREAD)])
    told = {"familiar": [seen], "doubts": [usual]}
    report = make_bundle(tmp_path / "a", tmp_path / "b", **told, pages={"report.html": "<p>"}, **options)
    old, new = (read_manifest(tmp_path / name) for name in "ab")
    for name in ("draft.onnx", "tokenizer.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    made = {"calibration": [CELL], "calibrated_draft": "ab", "digests": new.digests} | told
    assert new == dataclasses.replace(old, **made)
    assert (tmp_path / "b" / "report.html").read_text() == "<p>"
    assert (report.differences, report.agreement, report.trained) == (None, None, True)
    for option in ({"dtype": "int8"}, {"block": 32}, {"head": "int4"}, {"kind": "auto"}, {"context": 16}):
        with pytest.raises(InputError, match=f"--{next(iter(option))} cannot be given"):
            make_bundle(tmp_path / "a", tmp_path / "c", **option)


def test_older_bundle_is_replaced_and_other_directories_are_left_alone(checkpoints, tmp_path):
    make_bundle(checkpoints["gpt2"], tmp_path / "b")
    (tmp_path / "b" / "stray").write_text("from an older bundle")
    make_bundle(checkpoints["llama"], tmp_path / "b")
    assert read_manifest(tmp_path / "b").name == "llama"
    assert not (tmp_path / "b" / "stray").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="not a bundle"):
        make_bundle(checkpoints["llama"], tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    with pytest.raises(InputError, match="is a file"):
        make_bundle(checkpoints["llama"], tmp_path / "mine" / "thesis.txt")


def test_nothing_is_left_half_written(checkpoints, tmp_path, monkeypatch):
    make_bundle(checkpoints["llama"], tmp_path / "b")
    before = {p.name: p.read_bytes() for p in (tmp_path / "b").iterdir()}

    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(bundle_module, "write_manifest", fail)
    with pytest.raises(InputError, match="no space left"):
        make_bundle(checkpoints["gpt2"], tmp_path / "b")
    assert {p.name: p.read_bytes() for p in (tmp_path / "b").iterdir()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "int4"])
def test_what_one_file_cannot_hold_lies_beside_it_and_runs_on_the_edge(checkpoints, tmp_path, monkeypatch, dtype):
    options = {} if dtype == "float32" else {"dtype": dtype, "block": 32, "head": "int8", "activations": "int8"}
    make_bundle(checkpoints["qwen2"], tmp_path / "one", **options)
    monkeypatch.setattr(writing, "LARGEST_MODEL", 20_000)
    report = make_bundle(checkpoints["qwen2"], tmp_path / "two", name="qwen2", **options)
    made = read_manifest(tmp_path / "two")
    assert made.draft.apart
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == sorted([*FILES, DRAFT_DATA, "manifest.json"])
    assert report.megabytes == sum((tmp_path / "two" / name).stat().st_size for name in (*FILES[:1], DRAFT_DATA)) / 1e6
    one, two = (Bundle.load(tmp_path / name) for name in ("one", "two"))
    with one.models.lend() as ours, two.models.lend() as theirs:
        for token in (3, 7, 11):
            np.testing.assert_array_equal(ours.draft.feed([token]).logits, theirs.draft.feed([token]).logits)
    make_bundle(tmp_path / "two", tmp_path / "three", verifier=head(tmp_path / "v.onnx", 64))
    for name in ("draft.onnx", DRAFT_DATA):
        assert (tmp_path / "three" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert Bundle.load(tmp_path / "three").manifest.draft == made.draft


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_of_a_large_draft_first_layers_are_compared_and_then_all_that_is_stored(
    checkpoints, tmp_path, monkeypatch, kind, dtype
):
    said = []
    monkeypatch.setattr(draft_module, "WHOLE", 100_000)
    make_bundle(checkpoints[kind], tmp_path / "b", dtype=dtype, tell=said.append)
    assert any(line.startswith("equal to torch") and line.endswith("(the first 1 layers)") for line in said)
    assert any(line.startswith("as it is stored, equal to torch with the same weights within") for line in said)
    manifest = read_manifest(tmp_path / "b")
    assert (manifest.draft.layers, manifest.draft.dtype) == (2, dtype)
    assert Bundle.load(tmp_path / "b").manifest.name == kind


@pytest.mark.parametrize("name", ["layer.0.middle.norm", "layer.1.middle.norm"])
def test_weights_that_are_wrong_are_not_shipped(checkpoints, tmp_path, monkeypatch, name):
    """Whether they are of the layers that are compared by themselves, or behind them."""

    def damaged(*arguments: object, **options: object) -> Graph:
        graph = shared_buffer_graph(*arguments, **options)
        if name in graph.weights:
            graph.weights[name] = Weight.of(1.1 * graph.weights[name].array())
        return graph

    monkeypatch.setattr(draft_module, "WHOLE", 100_000)
    monkeypatch.setattr(draft_module, "shared_buffer_graph", damaged)
    with pytest.raises(BundleError, match="does not compute what the checkpoint computes"):
        make_bundle(checkpoints["llama"], tmp_path / "b")
    assert not list(tmp_path.iterdir())


def test_too_little_agreement_is_a_warning_and_no_refusal(checkpoints, tmp_path):
    said = []
    report = make_bundle(checkpoints["llama"], tmp_path / "b", dtype="int4", block=128, head="int4", tell=said.append)
    assert report.precision == Precision("int4", 128, head="int4")
    assert report.agreement.sampled < 0.97
    assert any(line.startswith("warning: that is less than 97%") for line in said)
    assert read_manifest(tmp_path / "b").draft.dtype == "int4"


def test_graph_that_differs_from_torch_is_not_shipped(checkpoints, tmp_path, monkeypatch):
    monkeypatch.setattr(draft_module, "shared_buffer_graph", lambda model, context, **_: _other_graph(context))
    with pytest.raises(BundleError, match="does not compute"):
        make_bundle(checkpoints["llama"], tmp_path / "b")
    assert not list(tmp_path.iterdir())


def _other_graph(context):
    return shared_buffer_graph(build("llama", rope_theta=10000.0), context)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"calibration": [CELL]}, "one trained verifier"),
        ({"context": CONTEXT + 1}, "context must be between"),
        ({"context": 1}, "context must be between"),
        ({"dtype": "int2"}, "int2"),
        ({"block": 32}, "--block is about weights in 8 or 4 bits"),
        ({"kind": "tree"}, "tree"),
        ({"target": Target("other", "", tiny_tokenizer(changed=3))}, "token 3 is 'w3' for the draft"),
        ({"verifier": "missing.onnx"}, "cannot read a verifier's head"),
    ],
)
def test_bad_requests_are_refused_before_anything_is_written(checkpoints, tmp_path, options, sentence):
    with pytest.raises(InputError, match=sentence):
        make_bundle(checkpoints["llama"], tmp_path / "b", **options)
    assert not list(tmp_path.iterdir())


def test_verifier_of_another_draft_is_refused(checkpoints, tmp_path):
    with pytest.raises(InputError, match="train it for this draft"):
        make_bundle(checkpoints["llama"], tmp_path / "b", verifier=head(tmp_path / "v.onnx", 32))
    assert not (tmp_path / "b").exists()


def test_draft_without_an_end_token_still_makes_a_bundle(tmp_path):
    model = build("gpt2", eos_token_id=None, bos_token_id=None)
    words = tiny_tokenizer().get_vocab()
    renamed = {("w0" if token == "<|endoftext|>" else token): id for token, id in words.items()}
    tokenizer = tiny_tokenizer()
    tokenizer.model = type(tokenizer.model)(renamed, unk_token="w1")
    make_bundle(save(model, tmp_path / "draft", tokenizer), tmp_path / "b", dtype="int8")
    assert read_manifest(tmp_path / "b").end_ids == []


@pytest.mark.parametrize("text", ["{", "[1]", '[{"criterion": "loose"}]', '[{"budget": 1}]'])
def test_damaged_calibrations_are_refused(tmp_path, text):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(InputError, match="cannot read a calibration"):
        read_calibration(tmp_path / "c.json")


def test_probe_is_what_the_graph_says(checkpoints, tmp_path):
    import onnx

    make_bundle(checkpoints["qwen2"], tmp_path / "b")
    probe = read_manifest(tmp_path / "b").probe
    step = Runner(onnx.load(tmp_path / "b" / "draft.onnx"), CONTEXT).feed(probe.ids, [len(probe.ids) - 1])
    assert step["top_ids"][0, : len(probe.top_ids)].tolist() == probe.top_ids
    np.testing.assert_allclose(step["top_logits"][0, : len(probe.top_ids)], probe.top_logits, atol=1e-5)
    assert 0 < probe.tolerance < 0.1


@pytest.mark.skipif(transformers.__version__ >= "5", reason="transformers 5 takes the class of a Qwen2's tokenizer")
def test_a_pair_ends_its_texts_where_either_does_and_reads_them_as_the_target_does(checkpoints, tmp_path):
    draft, source = tmp_path / "draft", tmp_path / "target"
    for path, kind in ((draft, "qwen2"), (source, "llama")):
        shutil.copytree(checkpoints[kind], path)
        (path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps(config | {"eos_token_id": [5, VOCABULARY + 1]}))
    (source / "generation_config.json").write_text(json.dumps({"eos_token_id": [6, 7]}))
    tokenizer = tiny_tokenizer()
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.save(str(source / "tokenizer.json"))
    said: list[str] = []
    target = identify_target(str(source))
    assert target.end_ids == (0, 5, 6, 7)
    make_bundle(draft, tmp_path / "a", target=target, tell=said.append)
    make_bundle(draft, tmp_path / "b")
    make_bundle(tmp_path / "b", tmp_path / "c", target=target)
    make_bundle(tmp_path / "b", tmp_path / "d", target=target, end_ids=[3])
    ends = [read_manifest(tmp_path / name).end_ids for name in "abcd"]
    assert ends == [[0, 5, 6, 7], [0], [0, 5, 6, 7], [3]]
    ids = AutoTokenizer.from_pretrained(source)("W3 w4").input_ids
    prints = [read_manifest(tmp_path / name).tokenizer_fingerprint for name in "abcd"]
    assert [Bundle.load(tmp_path / name).encode("W3 w4") == ids for name in "abcd"] == [True, False, True, True]
    assert prints[0] == tokenizer_fingerprint(target.tokenizer) != prints[1]
    assert prints[2:] == [prints[0]] * 2
    assert any("target's with <|endoftext|>, w5, w6, w7; the bundle's" in line for line in said)
    assert any("the bundle reads them as the target does" in line for line in said)
