"""Users see which verifiers a bundle has, which one doubted, and what is remembered of them."""

from __future__ import annotations

from dataclasses import replace

import openai
import pytest

from edge_client.cli.bundle import run as info
from edge_client.cli.console import describe
from edge_client.cli.main import main, parse_args
from edge_client.cli.verifier_report import as_dict, as_text
from edge_client.doctor.device import Device as Examined
from edge_client.promise.memory import Memory
from edge_client.promise.promises import Entry, Promise
from edge_client.settings import Settings
from shared.errors import InputError
from shared.manifest import Domain
from tests.edge_client.bundles.offers import made
from tests.edge_client.domains.heads import Device, blind, contrary, knowing
from tests.edge_client.scripted_device import fake_bundle, manifest
from tests.edge_client.server.serving import served


def test_the_line_about_a_text_and_its_json_say_who_doubted():
    device = Device({"general": contrary, "letters": knowing})
    text = device.edge(budget=0.02).generate("Once", max_tokens=100)
    assert text.as_dict()["verifiers"] == text.verifiers
    who = ", ".join(f"{name} ({count} tokens)" for name, count in text.verifiers.items())
    assert f"doubted by {who}" in describe(text.usage, text.mode, text.finish_reason, None, text.verifiers)
    assert "doubted by" not in describe(text.usage, text.mode, text.finish_reason)


def test_a_verifier_may_be_fixed_by_a_request_and_the_answer_tells_of_it():
    with served(Device({"general": blind, "letters": knowing}).edge(max_tokens=20)) as client:
        for asked, who in ((None, "general"), ("letters", "letters")):
            body = {"tandem": {"domain": asked}}
            got = client.completions.create(model="scripted", prompt="Once", max_tokens=20, seed=1, extra_body=body)
            (told,) = got.usage.tandem
            assert list(told["verifiers"]) == [who]
        body = {"tandem": {"domain": "poems"}}
        with pytest.raises(openai.BadRequestError, match="no verifier for the domain 'poems'"):
            client.completions.create(model="scripted", prompt="Once", max_tokens=20, extra_body=body)


def test_the_command_line_takes_it_and_says_what_there_is(monkeypatch, capsys):
    assert parse_args(["Once"]).domain == Settings.domain == "auto"
    monkeypatch.setattr("edge_client.bundles.bundle.Bundle.load", lambda *_: fake_bundle())
    assert main(["--mode", "local", "--domain", "letters", "Once"]) == InputError.exit_status
    assert "no verifier for the domain 'letters'; give auto, or one of general (--domain)" in capsys.readouterr().err


def test_info_and_the_doctor_name_them(tmp_path, capsys):
    directory = made(tmp_path / "one", domains=[Domain("letters"), Domain("poems")])
    info(parse_args(["info", "--bundle", str(directory)]))
    assert "verifiers  general, letters, poems" in capsys.readouterr().out
    examined = Examined(directory, Settings())
    (found,) = dict(examined.checks())["bundle"]()
    assert found.values["verifiers"] == ["general", "letters", "poems"]
    assert "with verifiers of their own for letters, poems" in found.sentence


def test_the_report_has_the_tables_of_all_and_how_they_stand():
    bundle, memory = replace(manifest(), domains=[Domain("letters")]), Memory()
    promise = Promise.of(Settings(), "t")
    memory.entries[promise] = Entry(promise, losses={"general": 2.5, "letters": 0.0})
    text = as_text(bundle, memory)
    assert "Its verifier for the domain letters:" in text
    assert "texts begin with the verifier letters" in text
    assert "in nats: general by 2.5" in text
    assert as_dict(bundle, memory)["domains"] == {"letters": []}
