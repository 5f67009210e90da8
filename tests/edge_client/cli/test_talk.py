"""The loop of a chat, with scripted turns over scripted models."""

from __future__ import annotations

import io
import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from edge_client.cli.answering import Answering
from edge_client.cli.console import Console
from edge_client.cli.conversation import Answer, Conversation
from edge_client.cli.notes import Notes
from edge_client.cli.process import signals_end_it
from edge_client.cli.talk import Talk
from edge_client.decoding.text import Event, Token
from edge_client.edge import Edge
from edge_client.testing import LoopbackTransport, byte_tokenizer, random_script, scripted_bundle, scripted_edge
from shared.chat.template import ChatTemplate
from shared.errors import TargetUnavailable
from tests.edge_client.cli.test_process import skip_if_ignored

SETTINGS: dict[str, Any] = {"mode": "exact", "max_tokens": 12, "temperature": 0.8}


class Script:
    """Turns that a test has written down; an exception is what happens at the prompt."""

    def __init__(self, *turns: str | BaseException, is_typed: bool = True) -> None:
        self.is_typed = is_typed
        self.offered: list[str] = []
        self.left = list(turns)

    def read(self, offered: str = "") -> str:
        self.offered.append(offered)
        if not self.left:
            raise EOFError
        turn = self.left.pop(0)
        if isinstance(turn, BaseException):
            raise turn
        return turn


class Shown(Console):
    """A console that remembers what is shown, and may do something at a token."""

    def __init__(self, shown: list[str], at: Callable[[int], None]) -> None:
        super().__init__(io.StringIO(), "never", sys.stderr)
        self._shown, self._at, self._count = shown, at, 0
        shown.append("")

    def show(self, event: Event) -> None:
        assert isinstance(event, Token)
        self._shown[-1] += event.text
        self._count += 1
        self._at(self._count)

    def stop(self) -> None:
        self._at(-1)
        super().stop()


@dataclass
class Chat:
    """A talk that has been led, and what was shown of each answer."""

    talk: Talk
    turns: Script
    shown: list[str] = field(default_factory=list)

    @property
    def conversation(self) -> Conversation:
        return self.talk.conversation

    @property
    def answers(self) -> list[Answer]:
        return self.conversation.answers


Lead = Callable[..., Chat]


@pytest.fixture
def lead(monkeypatch) -> Iterator[Lead]:
    """Leads a talk by these turns."""
    opened: list[Edge] = []

    def begin(
        *turns: str | BaseException,
        at: Callable[[int], None] = lambda _: None,
        system: str = "",
        seed: int | None = None,
        is_typed: bool = True,
        **options: Any,
    ) -> Chat:
        edge = scripted_edge(**{**SETTINGS, **options})
        opened.append(edge)
        shown: list[str] = []

        def output() -> Console:
            return Shown(shown, at)

        notes = Notes(output(), quiet=False)
        shown.clear()
        answering = Answering(edge, notes, output)
        script = Script(*turns, is_typed=is_typed)
        talk = Talk(edge, answering, script, Conversation(system), edge.settings, seed)
        talk.lead()
        return Chat(talk, script, shown)

    yield begin
    for edge in opened:
        edge.close()


def expected(messages: list[dict[str, str]], seed: int, **options: Any) -> str:
    with scripted_edge(**{**SETTINGS, **options}) as fresh:
        return fresh.chat(messages, seed=seed).text


def check_answers(conversation: Conversation) -> None:
    """Each answer is what a fresh edge says to the turns before it."""
    messages = conversation.messages
    places = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
    for place, answer in zip(places, conversation.answers, strict=True):
        assert answer.seed is not None
        assert answer.text == expected(messages[:place], answer.seed)


def test_each_answer_is_that_of_a_fresh_edge(lead):
    chat = lead("Hello", "How are\nyou?", "//x", "", "  ", system="Be short.")
    assert [exchange.question for exchange in chat.conversation.exchanges] == ["Hello", "How are\nyou?", "/x"]
    assert chat.conversation.messages[0] == {"role": "system", "content": "Be short."}
    check_answers(chat.conversation)
    assert chat.shown == [answer.text for answer in chat.answers]
    assert len({answer.seed for answer in chat.answers}) == 3


def test_a_given_seed_is_that_of_every_answer(lead):
    chat = lead("Hello", "And?", seed=5)
    assert [answer.seed for answer in chat.answers] == [5, 5]
    check_answers(chat.conversation)


@pytest.mark.parametrize(("seed", "after"), [(5, 6), ((1 << 64) - 1, 0), (None, None)])
def test_retry_is_another_answer_with_another_seed(lead, seed, after):
    chat = lead("Hello", "/retry", seed=seed)
    check_answers(chat.conversation)
    [old], [new] = chat.conversation.taken_back, chat.answers
    assert old.seed != new.seed
    assert after in (None, new.seed)
    assert chat.shown == [old.text, new.text]


def test_undo_edit_and_clear(lead, capsys):
    chat = lead("one", "two", "three", "/undo", "/edit", "two, changed", system="s")
    assert [exchange.question for exchange in chat.conversation.exchanges] == ["one", "two, changed"]
    assert chat.turns.offered == ["", "", "", "", "", "two", ""]
    assert "taken back: three" in capsys.readouterr().err
    check_answers(chat.conversation)
    assert lead("one", "/clear", system="s").conversation == Conversation("s")


@pytest.mark.parametrize("instead", ["", KeyboardInterrupt(), EOFError()])
def test_an_edit_that_is_given_up_changes_nothing(lead, instead):
    chat = lead("one", "/edit", instead)
    assert [exchange.question for exchange in chat.conversation.exchanges] == ["one"]
    assert (len(chat.answers), chat.conversation.taken_back) == (1, [])


def test_a_command_may_come_before_the_edited_text(lead):
    chat = lead("one", "/edit", "/temperature 0", "two")
    assert [exchange.question for exchange in chat.conversation.exchanges] == ["two"]
    assert chat.talk.settings.temperature == 0


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("/mode cloud", "mode", "cloud"),
        ("/budget 2%", "budget", 0.02),
        ("/budget 0.03", "budget", 0.03),
        ("/temperature 0", "temperature", 0.0),
    ],
)
def test_settings_hold_from_the_next_answer_on(lead, capsys, line, name, value):
    chat = lead("one", line, "two", line.split()[0], seed=3)
    assert getattr(chat.talk.settings, name) == value
    assert [answer.record["settings"][name] == value for answer in chat.answers] == [False, True]
    assert capsys.readouterr().err.splitlines()[-2] == f"edge-client: {name} {value}"
    assert chat.answers[1].text == expected(chat.conversation.messages[:-1], 3, **{name: value})


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/mode warp", "mode must be one of sprint, exact, local, cloud, auto, not 'warp'"),
        ("/budget much", "budget must be a number, or per cent such as 1%, not 'much'"),
        ("/budget 2", "budget must be a share of the tokens shown"),
        ("/budget nan", "budget must be"),
        ("/temperature hot", "temperature must be a number, not 'hot'"),
        ("/temperature -1", "temperature must be"),
        ("/frobnicate", "there is no command /frobnicate; the nearest is /"),
        ("/load /nowhere/talk.json", "cannot read /nowhere/talk.json"),
        ("/save /nowhere/talk.json", "cannot write /nowhere/talk.json"),
        ("/save! /nowhere/talk.json", "cannot write /nowhere/talk.json"),
    ],
)
def test_what_is_wrong_is_a_sentence_and_changes_nothing(lead, capsys, line, sentence):
    before, after = lead("one", seed=1), lead("one", line, seed=1)
    assert after.conversation.messages == before.conversation.messages
    assert after.talk.settings == before.talk.settings
    assert [said for said in capsys.readouterr().err.splitlines() if said.startswith(f"edge-client: {sentence}")]


@pytest.mark.parametrize("line", ["/undo", "/edit", "/retry"])
def test_nothing_was_asked_yet(lead, capsys, line):
    assert lead(line).conversation == Conversation()
    assert "edge-client: nothing was asked yet\n" in capsys.readouterr().err


def test_what_the_model_is_told(lead, capsys):
    chat = lead("/system Be short.", "/system", "one", '/system ""', "two", seed=1)
    assert capsys.readouterr().err.count("the model is told: Be short.\n") == 2
    first, second = chat.answers
    told = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "one"}]
    assert first.text == expected(told, 1)
    assert second.text == expected(chat.conversation.messages[:-1], 1)
    assert chat.conversation.messages[0]["role"] == "user"


def test_a_template_without_a_system(lead, capsys):
    refusing = "{% if messages[0].role == 'system' %}{{ raise_exception('no system here') }}{% endif %}"
    script = random_script(byte_tokenizer().get_vocab_size())
    bundle = scripted_bundle(script, chat=ChatTemplate(refusing + "{{ messages[-1].content }}"))
    chat = lead("/system Be short.", "one", bundle=bundle)
    assert "no system here" in capsys.readouterr().err
    assert chat.conversation.system == ""
    assert len(chat.answers) == 1


def test_a_file_keeps_a_conversation_that_goes_on(lead, tmp_path, capsys):
    path = tmp_path / "my talk.json"
    first = lead("one", "two", f"/save {path}", f"/save {path}", system="s", seed=4)
    assert f"there is a file {path} already; give another name, or /save! {path}" in capsys.readouterr().err
    kept = json.loads(path.read_text())
    assert kept["messages"] == first.conversation.messages
    assert [answer["seed"] for answer in kept["answers"]] == [4, 4]
    assert all(answer["figures"]["calls"] > 0 for answer in kept["answers"])
    assert (kept["settings"]["mode"], kept["settings"]["temperature"]) == ("exact", 0.8)
    assert "seed" not in kept["settings"]
    assert path.stat().st_mode & 0o077 == 0
    again = lead("elsewhere", f"/load {path}", "/mode cloud", "three", f"/save! {path}")
    assert again.conversation.messages[:5] == kept["messages"]
    assert [exchange.question for exchange in again.conversation.exchanges] == ["one", "two", "three"]
    check_answers(again.conversation)
    assert json.loads(path.read_text())["messages"] == again.conversation.messages


def test_a_file_that_holds_no_conversation(lead, tmp_path, capsys):
    path = tmp_path / "talk.json"
    for data, sentence in ((b"{", "not JSON"), (b"[" * 100_000, "not JSON"), (b"{}", "no conversation in it")):
        path.write_bytes(data)
        chat = lead("one", f"/load {path}")
        assert len(chat.answers) == 1
        assert sentence in capsys.readouterr().err


def test_a_conversation_that_does_not_fit_any_more(lead, capsys):
    chat = lead("word " * 50, "word " * 500, "/undo", "short")
    said = capsys.readouterr().err
    assert "tokens, too many for the context; shorten the question with /edit, take turns back with /undo" in said
    assert "/clear" in said
    assert [len(exchange.question) for exchange in chat.conversation.exchanges] == [250, 5]
    check_answers(chat.conversation)


def test_an_answer_that_the_context_cuts(lead, capsys):
    def endless(_: Sequence[int]) -> np.ndarray:
        return np.eye(byte_tokenizer().get_vocab_size(), dtype=np.float32)[100] * 50

    sentence = "the answer ends where the context is full"
    lead("word " * 90, target=endless, max_tokens=None)
    assert sentence in capsys.readouterr().err
    lead("Hello", target=endless)
    assert sentence not in capsys.readouterr().err


class Mortal(LoopbackTransport):
    """A target that goes away after so many answers in all, and comes back when told."""

    def __init__(self, service: Any, answers: int) -> None:
        super().__init__(service)
        self.left = answers

    def open(self) -> Any:
        link = super().open()
        receive = link.receive

        def until_death(timeout: float) -> Any:
            self.left -= 1
            if self.left < 0:
                raise TargetUnavailable("cannot reach the target")
            return receive(timeout)

        link.receive = until_death
        return link


@pytest.mark.parametrize("answers", [0, 4])
def test_a_target_that_is_away_ends_the_answer_only(lead, capsys, answers):
    with scripted_edge() as edge:
        transport = Mortal(edge._connection._transport.service, answers)

    chat = lead("Hello", transport=transport, mode="cloud", seed=2)
    said = capsys.readouterr().err
    assert "edge-client: cannot reach the target; /retry asks again\n" in said
    assert [exchange.question for exchange in chat.conversation.exchanges] == ["Hello"]
    assert [answer.record["finish_reason"] for answer in chat.answers] == ["error"] * bool(answers)
    assert [answer.text for answer in chat.answers] == chat.shown * bool(answers)


def signals(*when: int, number: signal.Signals = signal.SIGINT) -> Callable[[int], None]:
    """Raised at so many tokens, or, at -1, where the answer has ended."""

    def raise_it(count: int) -> None:
        if count in when:
            signal.raise_signal(number)

    return raise_it


@pytest.mark.parametrize("when", [(5,), (5, -1)])
def test_ctrl_c_stops_the_answer_and_not_the_chat(lead, capsys, when):
    skip_if_ignored(signal.SIGINT)
    chat = lead("Hello", "/retry", seed=5, at=signals(*when))
    for answer, shown in zip((*chat.conversation.taken_back, *chat.answers), chat.shown, strict=True):
        assert answer.is_cut_off
        assert answer.record["finish_reason"] == "interrupted"
        assert answer.text == shown
        whole = expected([{"role": "user", "content": "Hello"}], answer.seed or 0)
        assert whole.startswith(answer.text)
        assert answer.text != whole
    assert "interrupted" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_after_a_stopped_answer_the_chat_goes_on(lead):
    skip_if_ignored(signal.SIGINT)
    presses = iter([True])

    def once(count: int) -> None:
        if count == 5 and next(presses, False):
            signal.raise_signal(signal.SIGINT)

    chat = lead("Hello", "Go on", at=once, seed=5)
    first, second = chat.answers
    assert first.is_cut_off
    assert not second.is_cut_off
    assert second.text == expected(chat.conversation.messages[:-1], second.seed or 0)


def test_where_nobody_types_ctrl_c_ends_it(lead):
    skip_if_ignored(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        lead("Hello", "never", is_typed=False, seed=5, at=signals(5))


def test_sigterm_ends_the_answer_and_the_chat(lead):
    with pytest.raises(KeyboardInterrupt), signals_end_it():
        lead("Hello", "never", seed=5, at=signals(5, number=signal.SIGTERM))


def test_ctrl_c_at_the_prompt_ends_it_at_the_second_time_in_a_row(lead, capsys):
    chat = lead(KeyboardInterrupt(), "Hello", KeyboardInterrupt(), KeyboardInterrupt(), "never")
    assert [exchange.question for exchange in chat.conversation.exchanges] == ["Hello"]
    assert capsys.readouterr().err.count("Ctrl-C again, or Ctrl-D, ends the chat") == 2


def test_quit(lead):
    assert lead("/quit", "never").turns.left == ["never"]


def test_help_and_figures(lead, capsys):
    lead("/help", "one", "/stats", seed=9)
    said = capsys.readouterr().err
    assert "/budget [SHARE]" in said
    assert "1 answer; 12 tokens: " in said
    assert "seed of the last: 9" in said
