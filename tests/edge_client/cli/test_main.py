"""The command line: what it writes where, and that everything that can go wrong is one sentence."""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edge_client.bundles.bundle import Bundle
from edge_client.cli import main as cli
from edge_client.cli.arguments import parse_args
from edge_client.settings import Settings
from edge_client.target.client import TargetClient
from edge_client.testing import LoopbackTransport
from shared.errors import TargetUnavailable
from shared.manifest import read_manifest, write_manifest
from tests.edge_client.clients import client_of
from tests.edge_client.made_bundles import made_bundle
from tests.edge_client.scripted_device import fake_bundle, fake_cloud

DEVICE = "tests.edge_client.scripted_device"
ROOT = Path(__file__).resolve().parents[3]


# What it understands.


def test_generate_is_what_it_does_if_not_told_otherwise():
    assert parse_args(["Tom", "--seed", "3"]) == parse_args(["generate", "--seed", "3", "Tom"])
    assert parse_args(["info"]).command == "info"
    assert parse_args(["generate", "info"]).prompt == "info"
    assert parse_args(["--stop", "a", "--stop", "b"]).stop == ["a", "b"]


def test_its_defaults_are_those_of_the_settings(monkeypatch):
    monkeypatch.delenv("TANDEM_TARGET", raising=False)
    options, defaults = parse_args([]), Settings()
    for name in ("mode", "budget", "criterion", "coupling", "max_tokens", "window", "learn"):
        assert getattr(options, name) == getattr(defaults, name)
    for name in ("temperature", "top_k", "top_p"):
        assert getattr(options, name) == getattr(defaults, name)
    assert (tuple(options.stop), not options.no_audit) == (defaults.stop, defaults.audit)
    assert options.target == "127.0.0.1:50051"


def test_target_and_bundle_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("TANDEM_TARGET", "elsewhere:1")
    monkeypatch.setenv("TANDEM_BUNDLE", "/some/bundle")
    assert (parse_args([]).target, parse_args(["info"]).bundle) == ("elsewhere:1", Path("/some/bundle"))
    assert parse_args(["--target", "here:2"]).target == "here:2"


@pytest.mark.slow
def test_help_is_quick_and_its_examples_parse():
    program = (
        "import sys\nfrom edge_client.cli.main import main\n"
        "try: main(['--help'])\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    late = {
        "numpy",
        "grpc",
        "onnxruntime",
        "tokenizers",
        "google.protobuf",
        "tomllib",
        "difflib",
        "json",
        "edge_client.doctor",
    }
    assert not late & set(run.stderr.split())
    examples = re.findall(r"^  (?:echo .* \| )?(edge-client .*?)(?:  +.*| \|.*)?$", run.stdout, re.MULTILINE)
    assert len(examples) >= 8
    for example in examples:
        assert parse_args(shlex.split(example)[1:])


# What it writes.


def test_the_text_goes_to_stdout_and_one_line_about_it_to_stderr(edge, transport):
    status, out, err = edge("Once upon a time", "--max-tokens", "40")
    assert status == 0
    assert len(out) > 40
    assert out.endswith("\n")
    assert re.fullmatch(
        r"sprint: 40 tokens; cut at the length limit; \d+ tokens/s; 0\.\d+ calls/token; off-target \d+\.\d % typical, "
        r"\d+\.\d % strict \(audited: 40 tokens\); unlikely words \d+\.\d %; \d+\.\d bytes/token; seed \d+\n",
        err,
    )
    assert len(transport.released) == 1
    assert transport.closed


def test_every_text_has_a_seed_of_its_own_unless_one_is_given(edge, monkeypatch):
    """And is told, so that the text can be written again."""
    monkeypatch.delenv("TANDEM_SEED")
    arguments = ("Once upon a time", "--max-tokens", "40", "--mode", "exact")
    first, second = (json.loads(edge("--json", *arguments)[1]) for _ in range(2))
    assert first["seed"] != second["seed"]
    assert first["text"] != second["text"]
    _, again, err = edge(*arguments, "--seed", str(first["seed"]))
    assert again.removeprefix("Once upon a time").rstrip("\n") == first["text"].rstrip("\n")
    assert err.endswith(f"; seed {first['seed']}\n")


@pytest.mark.parametrize("mode", ["sprint", "exact", "local", "cloud"])
def test_json_is_one_line_with_everything(edge, mode):
    arguments = ("Once upon a time", "--max-tokens", "50", "--mode", mode, "--seed", "5", "--no-memory")
    status, out, err = edge("--json", *arguments)
    assert (status, err, out.count("\n")) == (0, "", 1)
    report = json.loads(out)
    assert (report["mode"], report["finish_reason"]) == (mode, "length")
    assert len(report["token_ids"]) == len(report["origins"]) == report["tokens"] == 50
    assert set(report["origins"]) <= {"accepted", "confirmed", "target"}
    wanted = {"accepted", "confirmed", "target", "asked", "calls", "audited", "divergence_strict"}
    wanted |= {
        "divergence_typical",
        "unlikely",
        "unlikely_share",
        "repeated",
        "bytes_up",
        "bytes_down",
        "total_ms",
        "draft_ms",
        "verifier_ms",
    }
    wanted |= {"network_ms", "target_ms", "target_nll"}
    assert wanted <= report.keys()
    assert edge(*arguments)[1] in (report["text"] + "\n", report["text"])


@pytest.mark.parametrize("prefer", ["speed", "cost", "energy"])
def test_auto_says_who_led_and_why(edge, prefer):
    arguments = ("Tom", "--mode", "auto", "--prefer", prefer, "--max-tokens", "60", "--no-memory")
    status, out, err = edge(*arguments, "--explain")
    assert (status, bool(out)) == (0, True)
    assert err.splitlines()[-1].startswith("edge-client: the ")
    assert "expected of a token" in err
    assert "60 tokens" in err
    report = json.loads(edge(*arguments, "--json")[1])
    assert (report["mode"], report["tokens"]) == ("auto", 60)
    assert "expected of a token" in report["explanation"]
    assert "expected of a token" not in edge(*arguments)[2]


def test_auto_without_a_budget_writes_what_the_target_does(edge):
    auto = edge("Tom", "--mode", "auto", "--budget", "0", "--max-tokens", "60", "-q")
    assert auto[1] == edge("Tom", "--mode", "cloud", "--max-tokens", "60", "-q")[1]


def test_exact_is_cloud(edge):
    texts = {
        edge("Tom", "--mode", mode, "--window", window, "--max-tokens", "60", "-q")[1]
        for mode, window in [("cloud", "8"), ("exact", "8"), ("exact", "3"), ("sprint", "8")]
        if mode != "sprint"
    }
    assert len(texts) == 1
    assert edge("Tom", "--budget", "0", "--max-tokens", "60", "-q")[1] in texts


@pytest.mark.parametrize("mode", ["sprint", "exact", "local", "cloud"])
def test_a_stop_string_ends_the_text_and_is_not_shown(edge, mode):
    arguments = ("Tom", "--json", "--max-tokens", "60", "--mode", mode, "--no-memory")
    whole = json.loads(edge(*arguments)[1])
    stop = whole["text"][30:34]
    report = json.loads(edge(*arguments, "--stop", stop, "--stop", "never")[1])
    assert report["text"] == whole["text"][: whole["text"].index(stop)]
    assert report["finish_reason"] == "stop"
    assert report["tokens"] < 60
    assert report["token_ids"] == whole["token_ids"][: report["tokens"]]


def test_a_text_that_the_context_cuts_says_so(edge):
    status, _, err = edge("Tom", "--max-tokens", "5000", "--mode", "local")
    assert status == 0
    assert re.match(r"edge-client: warning: only 5\d\d tokens fit into the context after the \d of the prompt", err)
    assert "tokens fit" not in edge("Tom", "--max-tokens", "5000", "--mode", "local", "-q")[2]


@pytest.mark.parametrize("arguments", [("--mode", "exact"), ("--budget", "0")])
def test_the_papers_coupling_does_not_give_the_text_of_cloud_and_says_so(edge, arguments):
    err = edge("Tom", "--coupling", "residual", "--max-tokens", "9", *arguments)[2]
    assert "is not the text that mode cloud writes with the same seed" in err
    assert "same seed" not in edge("Tom", "--max-tokens", "9", *arguments)[2]


def test_the_prompt_may_come_from_stdin(edge, monkeypatch):
    expected = edge("Tom 😀", "-q", "--no-memory", "--max-tokens", "20")[1]
    for arguments in ((), ("-",)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("Tom 😀\n".encode())))
        assert edge(*arguments, "-q", "--no-memory", "--max-tokens", "20") == (0, expected, "")


def test_chat_renders_the_prompt_as_a_user_says_it(edge):
    plain = edge("<|user|>Hello<|end|><|assistant|>", "-q", "--no-memory", "--max-tokens", "20")
    assert edge("--chat", "Hello", "-q", "--no-memory", "--max-tokens", "20") == plain


def test_local_never_connects(edge, monkeypatch):
    def fail(*_):
        raise AssertionError

    monkeypatch.setattr(TargetClient, "connect", fail)
    status, out, err = edge("Tom", "--mode", "local", "--max-tokens", "20")
    assert (status, bool(out)) == (0, True)
    assert "target was not asked" in err


def test_without_an_audit_it_says_so(edge):
    line = edge("Tom", "--no-audit", "--max-tokens", "40", "--budget", "1")[2]
    assert re.search(r"\d+ accepted tokens not audited", line)


def test_a_bundle_for_another_target_is_worth_a_warning(edge, monkeypatch):
    monkeypatch.setattr(Bundle, "load", lambda *_: fake_bundle(target_fingerprint="another"))
    status, _, err = edge("Tom", "--max-tokens", "5")
    assert status == 0
    assert err.startswith("edge-client: warning: the verifier of the bundle fake was trained for scripted")
    assert "warning" not in edge("Tom", "--max-tokens", "5", "-q")[2]


def test_a_targets_name_does_not_command_the_terminal(edge, transport):
    engine = transport.service.engine
    engine.description = replace(engine.description, name="\033]0;mine\007", fingerprint="another")
    _, _, err = edge("Tom", "--max-tokens", "5")
    assert "this target is \ufffd]0;mine\ufffd (another)" in err
    assert "\033" not in err


# What goes wrong.


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--temperature", "-1", "x"], "temperature"),
        (["--temperature", "nan", "x"], "temperature"),
        (["--top-p", "0", "x"], "top-p"),
        (["--top-k", "-1", "x"], "top-k"),
        (["--top-k", "4294967296", "x"], "top-k"),
        (["--seed", "-1", "x"], "seed"),
        (["--budget", "2", "x"], "budget"),
        (["--max-tokens", "0", "x"], "max-tokens"),
        (["--window", "0", "x"], "window"),
        ([""], "prompt is empty"),
        (["--chat", ""], "prompt is empty"),
        (["\udcff"], "not valid Unicode"),
        (["word " * 600], "the context"),
        (["info", "--bundle", "/nowhere"], "no bundle at /nowhere"),
    ],
)
def test_bad_input_is_one_sentence(edge, arguments, sentence):
    status, out, err = edge(*arguments)
    assert (status, out) == (2, "")
    assert re.fullmatch(rf"edge-client: .*{sentence}.*\n", err)


@pytest.mark.parametrize(
    "arguments",
    [["--mode", "warp"], ["--frobnicate"], ["--seed", "x"], ["a", "b"], ["--max", "3"], ["--stop", "", "x"]],
)
def test_what_it_does_not_understand_is_one_sentence(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    assert re.fullmatch(r"edge-client: .*; see `edge-client --help`\n", capsys.readouterr().err)


def test_no_prompt_at_a_terminal(edge, monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    status, _, err = edge()
    assert status == 2
    assert "there is no prompt" in err


def test_another_models_bundle(edge, monkeypatch):
    monkeypatch.setattr(Bundle, "load", lambda *_: fake_bundle(tokenizer_fingerprint="another"))
    status, out, err = edge("Tom")
    assert (status, out, err.count("\n")) == (3, "", 1)
    assert "has another tokenizer" in err


def test_a_target_that_dies_in_the_middle(edge, monkeypatch):
    death = TargetUnavailable("cannot reach the target")

    class Mortal(LoopbackTransport):
        def open(self):
            link = super().open()
            receive, left = link.receive, iter(range(4))

            def until_death(timeout):
                if next(left, None) is None:
                    raise death
                return receive(timeout)

            link.receive = until_death
            return link

    monkeypatch.setattr(TargetClient, "connect", lambda *_: client_of(Mortal(fake_cloud())))
    status, out, err = edge("Tom", "--max-tokens", "100")
    assert (status, err) == (3, "edge-client: cannot reach the target\n")
    assert out.endswith("\n")  # what there was stays, on a line of its own
    status, out, err = edge("Tom", "--max-tokens", "100", "--json")
    report = json.loads(out)
    assert (status, report["finish_reason"]) == (3, "error")
    assert report["error"] == "cannot reach the target" == err.strip().removeprefix("edge-client: ")
    assert "request_id" not in report
    assert 0 < len(report["token_ids"]) == report["tokens"] < 100
    death.request_id = "5f0c"
    _, out, err = edge("Tom", "--max-tokens", "100", "--json")
    assert json.loads(out)["request_id"] == "5f0c"
    assert err == "edge-client: cannot reach the target; the target's log knows it as 5f0c\n"


# info.


def test_info(tmp_path, capsys):
    bundle = made_bundle(tmp_path)
    assert cli.main(["info", "--bundle", bundle]) == 0
    out = capsys.readouterr().out
    for fact in (
        "fake",
        "scripted",
        "512 tokens",
        "1 layer, hidden size",
        "1.5 MB",
        "chat       by the template of its checkpoint",
    ):
        assert fact in out
    assert cli.main(["info", "--json", "--bundle", bundle]) == 0
    assert json.loads(capsys.readouterr().out)["calibration"][0]["criterion"] == "typical"
    write_manifest(bundle, replace(read_manifest(bundle), chat=None))
    assert cli.main(["info", "--bundle", bundle]) == 0
    assert "chat       none: it takes plain prompts only" in capsys.readouterr().out
