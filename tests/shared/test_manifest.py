"""A manifest that was tampered with is one sentence, never a crash later on."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from edge_client.bundles.pocket import POCKET
from shared.calibration import SPREAD, Wording
from shared.chat.template import ChatTemplate
from shared.config import CRITERIA_REVISION
from shared.errors import BundleError
from shared.manifest import DRAFT_DATA, FILES, Domain, Manifest, read_manifest, write_manifest
from tests.edge_client.made_bundles import made_bundle

# What a field is changed to, and what is then said about it.
CHANGES = {
    "name": (7, "`name` must be text, not 7"),
    "target_fingerprint": ([], "`target_fingerprint` must be text, not []"),
    "calibrated_draft": (None, "`calibrated_draft` must be text, not null"),
    "digests": (["draft.onnx"], '`digests` must be an object, not ["draft.onnx"]'),
    "vocabulary": (0, "`vocabulary` must be a whole number above 0, not 0"),
    "context": (-1, "`context` must be a whole number above 0, not -1"),
    "end_ids": ([-1], "`end_ids[0]` must be a whole number from 0 to "),
    "doubts": (
        [{"criterion": "strict", "temperature": 0.7, "top_p": 0.9, "log_odds": [0.0]}],
        "`doubts[0].log_odds` must be a list of 64 numbers, not of 1",
    ),
    "familiar": (
        [{"temperature": "warm", "top_p": 0.9, "window": 8, "low": 1.0, "high": 2.0}],
        '`familiar[0].temperature` must be a number from 0 to 10, not "warm"',
    ),
    "wording": ({"window": 8, "low": 3.0, "high": 2.0}, "`wording.low` must be a number from 0 to 2, not 3.0"),
    "calibration": ([{"criterion": "loose"}], "`calibration[0].temperature` is missing"),
    "draft": ({}, "`draft.kind` is missing"),
    "chat": ({"source": "x", "tokens": {"bos_token": 3}}, "`chat.tokens.bos_token` must be a list, not 3"),
    "format": (99, "has the format 99, and this version of Tandem reads 1"),
    "colour": ("red", "`colour` is a field that there should not be"),
}


@pytest.mark.parametrize("field", CHANGES)
def test_a_field_that_cannot_be_used_is_named_with_its_value(tmp_path, field):
    path = Path(made_bundle(tmp_path)) / "manifest.json"
    assert read_manifest(tmp_path).name
    value, said = CHANGES[field]
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(BundleError, match="make the bundle again") as caught:
        read_manifest(tmp_path)
    assert said in str(caught.value)


def test_without_domains_a_manifest_is_written_as_it_ever_was(tmp_path):
    """The embedded one is older than they are."""
    shutil.copytree(POCKET, tmp_path / "pocket")
    before = (POCKET / "manifest.json").read_bytes()
    assert b"domains" not in before
    write_manifest(tmp_path / "pocket", read_manifest(tmp_path / "pocket"))
    assert (tmp_path / "pocket" / "manifest.json").read_bytes() == before


def test_weights_that_lie_apart_are_one_of_the_files(tmp_path):
    made_bundle(tmp_path)
    whole = read_manifest(tmp_path)
    assert b"apart" not in (tmp_path / "manifest.json").read_bytes()
    (tmp_path / DRAFT_DATA).write_bytes(b"weights")
    assert read_manifest(tmp_path).files == FILES
    write_manifest(tmp_path, replace(whole, draft=replace(whole.draft, apart=True)))
    apart = read_manifest(tmp_path)
    assert apart.files == (*FILES, DRAFT_DATA)
    assert apart.identity != whole.identity
    (tmp_path / DRAFT_DATA).write_bytes(b"others.")
    with pytest.raises(BundleError, match=r"draft\.onnx\.data is not the file that the manifest describes"):
        read_manifest(tmp_path)
    (tmp_path / DRAFT_DATA).unlink()
    with pytest.raises(BundleError, match=r"lacks draft\.onnx\.data; copy it again, whole"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("value", [1, "yes", None, []])
def test_whether_weights_lie_apart_is_true_or_false(tmp_path, value):
    path = Path(made_bundle(tmp_path)) / "manifest.json"
    data = json.loads(path.read_text())
    data["draft"]["apart"] = value
    path.write_text(json.dumps(data))
    with pytest.raises(BundleError, match=r"`draft\.apart` must be true or false, not .*; make the bundle again"):
        read_manifest(tmp_path)


def with_domains(directory: Path, *names: str) -> Manifest:
    """A bundle with verifiers for domains, each with tables of its own."""
    made_bundle(directory)
    general = read_manifest(directory)
    cells = [[replace(general.calibration[0], threshold=(1 + i) / 16)] for i, _ in enumerate(names)]
    domains = [Domain(name, cell, "d", wording=Wording(8, 1.0, 2.0)) for name, cell in zip(names, cells, strict=True)]
    for name in names:
        (directory / f"verifier-{name}.onnx").write_bytes(name.encode())
    write_manifest(directory, replace(general, domains=domains))
    return read_manifest(directory)


def test_domains_come_back_with_their_tables(tmp_path):
    made = with_domains(tmp_path, "letters", "poems")
    assert made.verifiers == ("general", "letters", "poems")
    assert [made.seen_by(name).calibration[0].threshold for name in made.verifiers] == [0.25, 1 / 16, 2 / 16]
    assert made.seen_by("poems").wording == Wording(8, 1.0, 2.0)
    assert made.seen_by("poems").calibrated_draft == "d"
    for name in made.verifiers:  # all else is the bundle's
        own = {
            part: getattr(made, part) for part in ("calibration", "calibrated_draft", "doubts", "familiar", "wording")
        }
        assert replace(made.seen_by(name), **own) == made
    assert made.identity != replace(made, digests={name: made.digests[name] for name in FILES}).identity


@pytest.mark.parametrize(
    "name", ["", "A", "a b", "../a", "a/b", "a.b", "-a", "auto", "general", "a" * 33, "é", "a\n", 7]
)
def test_what_is_no_name_of_a_domain_is_refused(tmp_path, name):
    with_domains(tmp_path, "letters")
    path = tmp_path / "manifest.json"
    data = json.loads(path.read_text())
    data["domains"][0]["name"] = name
    path.write_text(json.dumps(data))
    with pytest.raises(BundleError, match=r"`domains\[0\]\.name` must be 1 to 32 .*; make the bundle again"):
        read_manifest(tmp_path)


def test_domains_that_cannot_be_used_are_named(tmp_path):
    with_domains(tmp_path, "letters")
    path = tmp_path / "manifest.json"
    whole = json.loads(path.read_text())
    (one,) = whole["domains"]
    for domains, said in (
        ([one, one], "`domains` must be 8 or fewer, each of a name of its own"),
        ([one | {"name": f"n{i}"} for i in range(9)], "`domains` must be 8 or fewer"),
        ([one | {"calibration": [{}]}], "`domains[0].calibration[0].criterion` is missing"),
        (
            [one | {"wording": {"window": 8, "low": 3.0, "high": 2.0}}],
            "`domains[0].wording.low` must be",
        ),
        ([one | {"calibrated_draft": 3}], "`domains[0].calibrated_draft` must be text, not 3"),
        ([{}], "`domains[0].name` is missing"),
        ("letters", "`domains` must be a list"),
    ):
        path.write_text(json.dumps(whole | {"domains": domains}))
        with pytest.raises(BundleError, match="make the bundle again") as caught:
            read_manifest(tmp_path)
        assert said in str(caught.value)


def test_the_verifier_of_a_domain_must_be_there_and_be_the_one(tmp_path):
    with_domains(tmp_path, "letters")
    path = tmp_path / "verifier-letters.onnx"
    path.write_bytes(b"other")
    with pytest.raises(BundleError, match=r"verifier-letters\.onnx is not the file that the manifest describes"):
        read_manifest(tmp_path)
    path.unlink()
    with pytest.raises(BundleError, match=r"lacks verifier-letters\.onnx"):
        read_manifest(tmp_path)


def test_a_chat_template_is_kept_and_a_bundle_without_one_is_none(tmp_path):
    path = Path(made_bundle(tmp_path)) / "manifest.json"
    chat = ChatTemplate("{{ bos_token }}", {"bos_token": "<s>", "additional_special_tokens": ["a"]})
    write_manifest(tmp_path, replace(read_manifest(tmp_path), chat=chat))
    assert read_manifest(tmp_path).chat == chat
    older = {name: value for name, value in json.loads(path.read_text()).items() if name != "chat"}
    path.write_text(json.dumps(older))
    assert read_manifest(tmp_path).chat is None


def test_every_part_of_the_doubts_is_looked_at(tmp_path):
    path = Path(made_bundle(tmp_path)) / "manifest.json"
    whole = json.loads(path.read_text())
    rising = [float(i) for i in range(SPREAD)]
    good = {"criterion": "strict", "temperature": 0.7, "top_p": 0.9, "log_odds": rising, "errors": rising}
    for way in (good, good | {"errors": None}, good | {"log_odds": [1.0] * SPREAD}):
        path.write_text(json.dumps(whole | {"doubts": [way]}))
        assert asdict(read_manifest(tmp_path).doubts[0]) == way
    for name, value in {
        "criterion": "loose",
        "temperature": 11,
        "top_p": None,
        "log_odds": [*rising[1:], "high"],
        "errors": rising[1:],
    }.items():
        path.write_text(json.dumps(whole | {"doubts": [good | {name: value}]}))
        with pytest.raises(BundleError, match=rf"`doubts\[0\]\.{name}` must be .*; make the bundle again"):
            read_manifest(tmp_path)
    for name in ("log_odds", "errors"):
        path.write_text(json.dumps(whole | {"doubts": [good | {name: rising[::-1]}]}))
        with pytest.raises(BundleError, match=r"`doubts\[0\]` must rise: .*; make the bundle again"):
            read_manifest(tmp_path)


def test_every_number_of_the_calibration_is_looked_at(tmp_path):
    path = Path(made_bundle(tmp_path)) / "manifest.json"
    whole = json.loads(path.read_text())
    for name, value in {
        "budget": 0,
        "threshold": 1.5,
        "tokens": -1,
        "criteria": 0.5,
        "top_p": 2,
        "criterion": "loose",
    }.items():
        cells = [whole["calibration"][0] | {name: value}]
        path.write_text(json.dumps(whole | {"calibration": cells}))
        with pytest.raises(BundleError, match=rf"`calibration\[0\]\.{name}` must be .*; make the bundle again"):
            read_manifest(tmp_path)


def test_a_table_that_does_not_say_what_its_criteria_meant_is_of_the_first_revision(tmp_path):
    path = Path(made_bundle(tmp_path)) / "manifest.json"
    assert [cell.criteria for cell in read_manifest(tmp_path).calibration] == [CRITERIA_REVISION]
    whole = json.loads(path.read_text())
    for cell in whole["calibration"]:
        del cell["criteria"]
    path.write_text(json.dumps(whole))
    assert [cell.criteria for cell in read_manifest(tmp_path).calibration] == [1]


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", "[" * 100_000, '{"format": 1}'])
def test_no_manifest_at_all(tmp_path, text):
    (Path(made_bundle(tmp_path)) / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match="damaged"):
        read_manifest(tmp_path)
