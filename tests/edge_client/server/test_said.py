"""Answers that may call a function: what grammars allow is what is read, however it comes, and wherever it is cut."""

from __future__ import annotations

import json
import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from edge_client.server.said import Said
from edge_client.server.structure import Structure
from edge_client.server.tools import Tools
from edge_client.testing.tokenizer import byte_tokenizer
from shared.chat.calling import CallForm
from shared.chat.pocket import POCKET_CHAT
from shared.chat.prompt import ChatEncoder
from shared.errors import InputError
from shared.grammar.engine import GrammarEngine
from shared.grammar.source import canonical_schema, of_lark
from shared.tokenizer import StreamDecoder
from tests.shared.chat.tool_families import TOOL_FAMILIES, end_id, tool_encoder, tool_tokenizer
from tests.shared.grammar.schemas import keeps_to

ORDER = {
    "type": "object",
    "properties": {"day": {"enum": ["Friday }", "Saturday"]}, "note": {"type": "string", "maxLength": 4}},
    "required": ["day"],
    "additionalProperties": False,
}
NOTHING = {"type": "object", "properties": {}, "additionalProperties": False}
PARAMETERS = {"book": ORDER, "booking": NOTHING, "ring": {"type": "object", "maxProperties": 1}}
FUNCTIONS = {name: {"name": name, "description": "", "parameters": schema} for name, schema in PARAMETERS.items()}
ANSWER = {"type": "object", "properties": {"name": {"enum": ["book", "other"]}}, "required": ["name"]}
POCKET = "pocket"
KINDS = (POCKET, *TOOL_FAMILIES)
LIKE_JSON = ("llama31", "mistral-nemo")


def tokenizer_of(kind: str) -> Tokenizer:
    return byte_tokenizer() if kind == POCKET else tool_tokenizer(kind)


@cache
def form_of(kind: str) -> CallForm:
    encoder = ChatEncoder(byte_tokenizer(), POCKET_CHAT, [0]) if kind == POCKET else tool_encoder(kind)
    return encoder.calling.form


@cache
def engine_of(kind: str) -> GrammarEngine:
    return GrammarEngine(tokenizer_of(kind), tokenizer_of(kind).get_vocab_size())


def structure(kind: str, must: bool = False, schema: object = None) -> Structure:
    kept = None if schema is None else canonical_schema(schema)
    return Structure(kept, Tools(FUNCTIONS, tuple(FUNCTIONS), must), "tools", form_of(kind))


def answer(kind: str, asked: Structure, aims: list[str], seed: int) -> tuple[list[str], bool]:
    """The pieces of an answer that keeps to its grammar and goes the way of each aim as far as it may, and whether it
    came to an end."""
    tokenizer, end = tokenizer_of(kind), 0 if kind == POCKET else end_id(kind)
    cursor = engine_of(kind).compile(of_lark(str(asked.options["lark"]))).cursor([end])
    chance, ids = random.Random(seed), list[int]()
    while len(ids) < 300:
        allowed = set(cursor.allowed(ids).ids().tolist())
        # At times letter by letter, so that text spells what is a token.
        parts = (aims[0] if seed % 2 else [aims[0]]) if aims else []
        wanted = [id for part in parts for id in tokenizer.encode(part, add_special_tokens=False).ids] or [end]
        taken = 0
        for token in wanted:
            if token not in allowed:
                break
            ids.append(token)
            taken += 1
            if token == end:
                break
            allowed = set(cursor.allowed(ids).ids().tolist())
        if ids and ids[-1] == end:
            break
        if aims:
            aims = aims[1:]
        if not taken:
            ids.append(chance.choice(sorted(allowed)))
            if ids[-1] == end:
                break
    is_ended = ids[-1] == end
    decoder = StreamDecoder(tokenizer, [end])
    pieces = [decoder.push(token) for token in (ids[:-1] if is_ended else ids)]
    return [*pieces, decoder.flush()], is_ended


def aims_of(kind: str) -> st.SearchStrategy[list[str]]:
    form = form_of(kind)
    calls = st.sampled_from(
        [
            form.written("book", '{"day": "Friday }"}'),
            form.written("booking", "{}"),
            form.written("ring", '{"a": {"b": "} "}}'),
            form.written("other", "{}"),
        ]
    )
    marks = st.sampled_from(
        [form.opening, form.closing, form.tag, "<tool_call>", "[TOOL_CALLS]", '{"name": "', "<think>"]
    )
    cut = st.builds(lambda text, at: text[: at % (len(text) + 1)], calls, st.integers(0, 60))
    words = st.sampled_from(["Hi", " 😀", "\n", "{", "<", "}", "a"])
    return st.lists(st.one_of(calls, calls, marks, cut, words), max_size=4)


def read(asked: Structure, pieces: list[str], is_complete: bool) -> Said:
    """As it streams; what is told is what there is in the end."""
    said, words, arguments, names = Said(asked), "", "", 0
    for piece in (*pieces, None):
        news = said.end(is_complete) if piece is None else said.write(piece)
        words, arguments, names = words + news.words, arguments + news.arguments, names + news.is_called
        assert names or not news.arguments
    assert (words, arguments, names) == (said.words, said.arguments, 0 if said.name is None else 1)
    return said


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(data=st.data(), must=st.booleans(), seed=st.integers(0, 99))
def test_an_answer_is_words_or_a_call_that_keeps_to_its_parameters(kind, data, must, seed):
    asked = structure(kind, must)
    pieces, is_ended = answer(kind, asked, data.draw(aims_of(kind)), seed)
    text, form = "".join(pieces), form_of(kind)
    said = read(asked, pieces, is_ended)
    if not is_ended:
        return
    if said.name is None:
        assert not must
        assert said.words == text
        assert not (form.tag in text if form.tag else text.startswith(form.opening))
    else:
        assert said.is_whole
        assert keeps_to(said.arguments, PARAMETERS[said.name])
        assert text == said.words + form.written(said.name, said.arguments)
        assert not said.words or (form.tag and not must)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in LIKE_JSON])
@settings(deadline=None)
@given(data=st.data(), seed=st.integers(0, 99))
def test_an_answer_is_json_or_a_call(kind, data, seed):
    asked = structure(kind, schema=ANSWER)
    aims = data.draw(aims_of(kind) | st.just(['{"name": "book", "arguments": ', "{}}"]))
    pieces, is_ended = answer(kind, asked, aims, seed)
    said = read(asked, pieces, is_ended)
    if is_ended and said.name is None:
        assert keeps_to("".join(pieces), ANSWER)
    elif is_ended:
        assert keeps_to(said.arguments, PARAMETERS[said.name])
        assert said.words == ""


@pytest.mark.parametrize("kind", LIKE_JSON)
def test_calls_that_look_like_json_are_not_mixed_with_it(kind):
    with pytest.raises(InputError, match="could not be told from an answer in JSON"):
        _ = structure(kind, schema=ANSWER).options


def pieces_of(text: str, lengths: list[int]) -> list[str]:
    found, rest = [], text
    for length in lengths:
        found.append(rest[:length])
        rest = rest[length:]
    return [*found, rest]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("must", [False, True])
@given(
    before=st.sampled_from(["", "Well, <tool_", "{", "<"]),
    cut=st.integers(0, 120),
    lengths=st.lists(st.integers(1, 9), max_size=90),
    name=st.sampled_from([*FUNCTIONS]),
)
def test_whatever_the_pieces_and_wherever_it_is_cut_nothing_is_lost(kind, must, before, cut, lengths, name):
    form, arguments = form_of(kind), '{"day": "Friday }", "n": {"all": 4}}'
    if must or not form.tag:
        before = ""
    whole = before + form.written(name, arguments)
    text, is_complete = whole[:cut], cut >= len(whole)
    said = read(structure(kind, must), pieces_of(text, lengths), is_complete)
    head = len(before) + len(form.opening) + len(name) + len(form.between)
    assert said.is_whole == is_complete
    assert (said.name is not None) == (len(text) >= head)
    assert said.arguments == (text[head:] if len(text) < head + len(arguments) else arguments)
    if said.name is not None:
        assert (said.name, said.words) == (name, before)
    elif not must and len(text) < len(before) + len(form.tag or form.opening):
        assert said.words == text, "it was not yet a call"


@given(text=st.text(), lengths=st.lists(st.integers(1, 9), max_size=20))
def test_an_answer_that_may_not_call_anything_is_all_words(text, lengths):
    said = read(Structure(), pieces_of(text, lengths), True)
    assert (said.words, said.name) == (text, None)
    assert json.dumps(said.arguments) == '""'
