"""What a device remembers of its audits, and what the command line says of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edge_client.bundles import trials
from edge_client.cli import main as cli
from edge_client.promise.beginning import Beginning
from edge_client.promise.memory import FORMAT, Memory
from edge_client.promise.promises import Promise
from edge_client.settings import Settings
from edge_client.state import state_directory
from edge_client.usage.audit_counts import AuditCounts
from shared.config import Coupling, Criterion
from shared.domains import GENERAL
from shared.errors import InputError
from shared.features import SCALARS
from shared.steering.budget import Budget
from shared.steering.evidence import Evidence
from shared.steering.recalibration import UNKNOWN
from tests.edge_client.made_bundles import made_bundle
from tests.edge_client.scripted_device import fake_edge, manifest


def file_of(directory: Path) -> Path:
    """What the command line has remembered."""
    (file,) = (one for one in (directory / "state").glob("*.json") if one.name != trials.NAME)
    return file


def test_the_report_says_what_is_promised(tmp_path, capsys):
    bundle = made_bundle(tmp_path)
    assert cli.main(["verifier", "report", "--bundle", bundle]) == 0
    out = capsys.readouterr().out
    for fact in ("made for scripted", "280 or more", "90% confidence", "0.2500", "0.93 %", "0.98 %", "11.0 %"):
        assert fact in out
    assert "Nothing has been audited" in out
    assert cli.main(["verifier", "report", "--json", "--bundle", bundle]) == 0
    assert json.loads(capsys.readouterr().out)["calibration"][0]["documents"] == 280


def test_audits_are_remembered_until_they_are_reset(edge, monkeypatch, tmp_path, capsys):
    for known in (40, 80):
        edge("Tom", "--max-tokens", "40", "--budget", "0.05")
        file = file_of(tmp_path)
        (entry,) = json.loads(file.read_text())["entries"]
        assert (entry["promise"]["budget"], entry["known"]) == (0.05, known)
        assert "Tom" not in file.read_text()
    before = file.read_text()
    edge("Tom", "--max-tokens", "40", "--budget", "0.05", "--no-memory")
    edge("Tom", "--max-tokens", "40", "--mode", "exact")
    assert file.read_text() == before

    monkeypatch.setattr("edge_client.cli.verifier.read_manifest", lambda bundle: manifest())
    assert cli.main(["verifier", "report"]) == 0
    assert " 80 " in capsys.readouterr().out
    assert cli.main(["verifier", "reset"]) == 0
    assert {path.stem for path in (tmp_path / "state").iterdir()} == {"usage", "trials"}
    assert cli.main(["verifier", "reset"]) == 0
    assert "nothing to remove" in capsys.readouterr().out


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{}",
        '{"format": 2, "entries": [{}]}',
        '{"format": 2, "entries": [{"steering": {}, "domains": {"letters": 3}}, 5]}',
        '{"format": 3, "entries": [{}]}',
        '{"format": 7, "entries": []}',
        "target",
        "steering",
        "huge",
        "debt",
        "negative",
        "short",
        "heavy",
        "weights",
    ],
)
def test_a_damaged_memory_is_set_aside_and_does_not_keep_a_device_from_writing(edge, tmp_path, damage):
    edge("Tom", "--max-tokens", "20", "--criterion", "strict", "--budget", "0.2", "--learn")
    file = file_of(tmp_path)
    data = json.loads(file.read_text())
    (entry,) = data["entries"]
    match damage:
        case "target":
            entry["promise"]["target"] = []
        case "huge":
            entry["steering"]["account"]["debt"] = 10**400
        case "debt":
            entry["steering"]["account"]["debt"] = entry["steering"]["account"]["tokens"] + 1
        case "steering":
            entry["steering"] = {"log_odds": -3.0}
        case "negative":
            entry["steering"]["evidence"]["cells"][0][2] = -5.0
        case "short":
            entry["steering"]["evidence"]["cells"][0].pop()
        case "heavy":
            entry["steering"]["evidence"]["cells"][0][2] = 1e300
        case "weights":
            entry["correction"]["weights"] = [1.0]
    file.write_text(json.dumps(data) if damage.isalpha() else damage)
    status, out, err = edge("Tom", "--max-tokens", "2")
    assert (status, bool(out)) == (0, True)
    assert err.count("cannot be used") == err.count("set aside") == 1
    assert file.with_suffix(".damaged").exists()
    assert len(json.loads(file.read_text())["entries"]) == 1
    assert "warning" not in edge("Tom", "--max-tokens", "2")[2]


def test_what_an_earlier_version_remembered_is_set_aside_with_a_sentence(edge, tmp_path):
    edge("Tom", "--max-tokens", "5")
    file = file_of(tmp_path)
    old = json.dumps({"format": 1, "entries": [{"steering": {"log_odds": -3.0}}]})
    file.write_text(old)
    status, out, err = edge("Tom", "--max-tokens", "5")
    assert (status, bool(out)) == (0, True)
    assert "an earlier version of Tandem wrote it" in err
    assert file.with_suffix(".damaged").read_text() == old
    assert json.loads(file.read_text())["format"] == FORMAT


def test_no_debt_is_forgiven_with_the_version_that_kept_something_else_of_doubts(edge, tmp_path):
    edge("Tom", "--max-tokens", "20", "--criterion", "strict", "--budget", "0.2")
    file = file_of(tmp_path)
    data = json.loads(file.read_text()) | {"format": 2}
    steering = data["entries"][0]["steering"]
    steering["evidence"] = {"precision": [1.0] * 9, "pull": [0.5] * 3, "doubts": 20}
    data["entries"][0]["domains"] = {"letters": {"evidence": steering["evidence"], "correction": None}}
    file.write_text(json.dumps(data))
    memory = Memory(file)
    memory.begin(Promise.of(Settings(), "t"), {})
    (entry,) = memory.entries.values()
    assert vars(entry.steering.account) == steering["account"]
    assert entry.steering.evidence == entry.of("letters").evidence == Evidence()
    assert "set aside" not in edge("Tom", "--max-tokens", "5", "--criterion", "strict", "--budget", "0.2")[2]
    assert json.loads(file.read_text())["format"] == FORMAT


def test_what_is_written_is_what_is_read(tmp_path):
    with fake_edge(memory=tmp_path, max_tokens=40, learn=True, budget=0.05, criterion="strict") as edge:
        for prompt in ([1, 2, 3], [4, 5, 6]):
            edge.generate(prompt)
        kept = edge._kit.memory()[0].entries
    assert Memory.open(manifest(), tmp_path).entries == kept
    (entry,) = kept.values()
    assert entry.steering.evidence.doubts == entry.correction.tokens > 0


def test_two_edges_at_once_lose_nothing_of_each_other(tmp_path):
    for criterion in Criterion:
        with fake_edge(memory=tmp_path, max_tokens=9) as edge:
            for options in ({"criterion": criterion}, {"budget": 0.3}):
                assert edge.generate([1, 2, 3], **options).usage.tokens == 9
    entries = Memory.open(manifest(), tmp_path).entries.values()
    assert sorted((entry.promise.budget, entry.texts) for entry in entries) == [(0.01, 1), (0.01, 1), (0.3, 2)]


@pytest.mark.parametrize("kept", [True, False])
def test_what_two_texts_at_once_learn_of_one_promise_adds_up(tmp_path, kept):
    """A long good text must not wipe out the errors of the short bad ones that were written meanwhile."""
    promise = Promise.of(Settings(budget=0.05), "t")
    counts = AuditCounts(shown=10, known=10)
    memories = [Memory.open(manifest(), tmp_path) for _ in range(2)] if kept else [Memory()] * 2
    texts = [([0.2] * 10, [True] * 6 + [False] * 4)] * 2 + [([0.01] * 10, [False] * 10)]
    long = memories[0].begin(promise, {GENERAL: Beginning()})
    for doubts, errors in texts[:2]:
        short = memories[1].begin(promise, {GENERAL: Beginning()})
        short.feedbacks[GENERAL].budget.observe(sum(errors), 10, doubts, errors)
        assert memories[1].end(short, counts) == []
    long.feedbacks[GENERAL].budget.observe(0, 10, *texts[2])
    assert memories[0].end(long, counts) == []
    one = Budget(0.05, prior=UNKNOWN)
    for doubts, errors in texts:
        one.observe(sum(errors), 10, doubts, errors)
    found = (Memory.open(manifest(), tmp_path) if kept else memories[0]).entries[promise]
    assert (found.texts, found.counts.known, found.steering.account.tokens) == (3, 30, 30)
    assert found.steering.account.debt == pytest.approx(one.taught.account.debt)
    assert found.steering.evidence.doubts == 30
    assert found.steering.evidence.tokens == pytest.approx(one.taught.evidence.tokens, rel=0.01)
    assert found.steering.evidence.errors == pytest.approx(one.taught.evidence.errors, rel=0.01)
    assert bool(list(tmp_path.iterdir())) is kept


def test_a_file_that_cannot_be_read_is_left_alone(edge, tmp_path, monkeypatch):
    edge("Tom", "--max-tokens", "20")
    file = file_of(tmp_path)
    before = file.read_bytes()

    def refused(self: Path, **_: object) -> str:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_text", refused)
        status, out, err = edge("Tom", "--max-tokens", "2")
    assert (status, bool(out)) == (0, True)
    assert "ends with this program" in err
    assert [one.read_bytes() for one in file.parent.glob(f"{file.name}*")] == [before]
    assert not file.with_suffix(".damaged").exists()


def test_a_text_that_is_given_up_teaches_too(tmp_path):
    with fake_edge(memory=tmp_path, budget=0.05, max_tokens=100, window=8) as edge:
        with edge.stream([1, 2, 3]) as stream:
            for _ in zip(range(40), stream, strict=False):
                pass
        assert stream.completion.usage.tokens >= 40
        assert stream.completion.finish_reason == "cancelled"
    (entry,) = Memory.open(manifest(), tmp_path).entries.values()
    assert 0 < entry.steering.account.tokens == stream.completion.audit.tokens


@pytest.mark.parametrize("other", [{"top_k": 1}, {"top_p": 0.5}, {"temperature": 0.2}, {"seed": 7}])
def test_a_promise_is_the_same_however_freely_tokens_are_drawn(other):
    first = Promise.of(Settings(), "t")
    assert first == Promise.of(Settings(**other), "t")
    assert first != Promise.of(Settings(learn=True), "t")
    assert first != Promise.of(Settings(coupling=Coupling.RESIDUAL), "t")


def test_another_budget_goes_on_from_what_audits_said_of_doubts_and_owes_nothing():
    memory = Memory()
    lesson = memory.begin(Promise.of(Settings(budget=0.01), "t"), {GENERAL: Beginning()})
    lesson.feedbacks[GENERAL].budget.observe(20, 30, [0.3] * 30, [True] * 20 + [False] * 10)
    memory.end(lesson, AuditCounts(shown=30, known=30))
    fresh = Beginning().budget(0.05)
    other = memory.begin(Promise.of(Settings(budget=0.05), "t"), {GENERAL: Beginning()}).feedbacks[GENERAL].budget
    assert other.threshold < fresh.threshold
    assert not other.overdrawn
    elsewhere = memory.begin(Promise.of(Settings(budget=0.05, criterion=Criterion.STRICT), "t"), {GENERAL: Beginning()})
    assert elsewhere.feedbacks[GENERAL].budget.threshold == fresh.threshold


def test_without_a_home_the_state_directory_must_be_named(monkeypatch):
    monkeypatch.delenv("TANDEM_STATE")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(InputError, match="TANDEM_STATE"):
        state_directory()


def test_a_memory_that_cannot_be_kept_loses_no_text_and_is_told_of_even_quietly(edge, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TANDEM_STATE", str(tmp_path / "file" / "below"))
    status, out, err = edge("Tom", "--max-tokens", "5", "--quiet")
    assert (status, bool(out)) == (0, True)
    assert "could not be kept" in err
    assert "(--no-memory does without)\n" in err


@pytest.mark.parametrize("kept", [True, False])
def test_each_verifier_goes_on_from_what_was_said_of_its_own_doubts_and_all_from_one_account(tmp_path, kept):
    promise, counts = Promise.of(Settings(budget=0.05, learn=True), "t"), AuditCounts(shown=40, known=40)
    errors = {GENERAL: [False] * 40, "letters": [True, False] * 20}

    def taught(directory: Path, *names: str, first: str = GENERAL) -> Memory:
        """After a text in which the verifiers were right or wrong, under the names that they have there."""
        memory = Memory.open(manifest(), directory) if kept else Memory()
        lesson = memory.begin(promise, {name: Beginning() for name in names})
        for name in names:
            which = errors[first if len(names) == 1 else name]
            steering = lesson.feedbacks[name]
            doubts = [steering.learner.correct(np.full(SCALARS, 0.5), 0.2) for _ in which]
            steering.teach(1, 40, doubts, which)
        assert memory.end(lesson, counts) == []
        return Memory.open(manifest(), directory) if kept else memory

    both = taught(tmp_path / "both", GENERAL, "letters").begin(promise, {name: Beginning() for name in errors})
    for name in errors:
        alone = taught(tmp_path / name, GENERAL, first=name).begin(promise, {GENERAL: Beginning()}).feedbacks[GENERAL]
        assert both.feedbacks[name].budget.threshold == alone.budget.threshold
        assert both.feedbacks[name].learner.correction == alone.learner.correction
    thresholds = {name: one.budget.threshold for name, one in both.feedbacks.items()}
    assert thresholds[GENERAL] > thresholds["letters"]
    fixed = taught(tmp_path / "fixed", "letters", first="letters").begin(promise, {"letters": Beginning()})
    assert fixed.feedbacks["letters"].budget.threshold == thresholds["letters"]
