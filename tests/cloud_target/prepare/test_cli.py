"""The command line of `prepare`."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cloud_target.cli import main, parse_args
from cloud_target.prepare import pipeline
from cloud_target.prepare.cli import _EXAMPLES
from cloud_target.prepare.settings import Settings
from shared.errors import InputError
from tests.cloud_target.prepare.conftest import OWN_TOKENS, ROWS, Finished, Pair

LINE = ["prepare", "--target", "pocket", "--draft", "d", "--corpus", "a.txt", "--out", "b"]


@pytest.fixture
def untouched_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud_target.training.process.prepare", lambda threads: None)


def test_examples_are_taken_by_the_parser() -> None:
    lines = re.findall(r"^  (cloud-target .*)", _EXAMPLES.replace("\\\n", ""), re.M)
    assert len(lines) == 6
    for line in lines:
        assert callable(parse_args(shlex.split(line)[1:]).run)


@pytest.mark.slow
def test_help_needs_no_torch() -> None:
    code = f"from cloud_target.cli import parse_args; parse_args({LINE!r}); import sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    "options", [["--rows", "0"], ["--seed", "-1"], ["--own-tokens", "x"], ["--first-after", "-1"], ["--dtype", "int2"]]
)
def test_values_out_of_range_are_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert_refused([*LINE, *options], capsys)


@pytest.mark.usefixtures("untouched_process")
@pytest.mark.parametrize(
    ("options", "why"),
    [
        ([], "there is nothing to train on"),
        (["--chat", "--corpus", "a.txt"], "--chat takes the place of --corpus"),
        (["--chat", "--unseen"], "--chat takes the place of --corpus"),
    ],
)
def test_text_is_given_or_made_up(options: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["prepare", "--target", "pocket", "--draft", "d", "--out", "b"]
    assert main([*line, *options]) == InputError.exit_status
    assert why in capsys.readouterr().err


def assert_refused(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parse_args(line)
    assert stop.value.code == InputError.exit_status
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.usefixtures("untouched_process")
def test_an_interrupt_ends_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "prepare", interrupted)
    assert main([*LINE[:-1], str(tmp_path / "b")]) == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.usefixtures("untouched_process")
def test_a_whole_run_ends_with_a_summary(
    pairs: dict[str, Pair], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = pairs["gpt2"]
    line = ["--target", str(pair.target), "--draft", str(pair.draft), "--corpus", str(pair.corpus)]
    assert (
        main(["prepare", *line, "--out", str(tmp_path / "b"), "--rows", str(ROWS), "--own-tokens", str(OWN_TOKENS)])
        == 0
    )
    shown = capsys.readouterr()
    assert shown.out.startswith("On text like this, a device that promises 1 % asks about ")
    assert str(tmp_path / "b" / "report.html") in shown.out
    assert "7/7" in shown.err
    assert main(["prepare", *line, "--out", str(pair.corpus)]) == InputError.exit_status
    assert "is a file" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("untouched_process")
def test_a_bundle_may_be_made_where_one_stands(
    pairs: dict[str, Pair],
    finished: Finished,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    pair = pairs["llama"]
    line = ["prepare", "--target", str(pair.target), "--draft", str(pair.draft), "--corpus", str(pair.corpus)]
    line += ["--rows", str(ROWS), "--own-tokens", str(OWN_TOKENS), "--name", "tiny", "--out", "."]
    shutil.copytree(finished.settings.workplace, tmp_path / "here.work")  # so that it takes no time
    assert main(line) == 0
    assert f"report: {tmp_path / 'here' / 'report.html'}" in capsys.readouterr().out
    assert (tmp_path / "here" / "manifest.json").read_bytes() == (finished.out / "manifest.json").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "here.work"]


def test_the_shown_command_can_be_typed_and_keeps_places_to_itself() -> None:
    settings = Settings(
        "pocket", "runs/draft", (Path("/secret/place/a b.txt"),), Path("/secret/out"), rows=5, unseen=True
    )
    line = settings.command()
    assert "secret" not in line
    parsed = parse_args(shlex.split(line)[1:])
    assert (parsed.rows, parsed.unseen, parsed.corpus, parsed.draft) == (5, True, [Path("a b.txt")], "runs/draft")
