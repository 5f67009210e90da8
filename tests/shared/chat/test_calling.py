"""Functions in a conversation: told of, called and answered as transformers writes it, and by nobody else's words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.testing.tokenizer import byte_tokenizer
from shared.chat.nested import DEEPEST
from shared.chat.pocket import POCKET_CHAT
from shared.chat.prompt import ChatEncoder
from shared.chat.template import ChatTemplate
from shared.errors import InputError
from tests.shared.chat.families import FAMILIES, template_of, tokenizer_of
from tests.shared.chat.tool_families import (
    HERMES,
    TOOL_FAMILIES,
    end_id,
    tool_encoder,
    tool_tokenizer,
    transformers_of,
)

every_family = pytest.mark.parametrize("family", TOOL_FAMILIES)
RAW = {"skip_special_tokens": False, "clean_up_tokenization_spaces": False}
WORDS = st.sampled_from(
    ["Hi", " there ", "\n", "<b>", '"', "{", "</", "|>", "don't", "日本", "😀", "12 345", "", "type"]
)
NAMES = st.sampled_from(["book", "ring_up", "a-b", "_1", "function"])
POCKET = ChatEncoder(byte_tokenizer(), POCKET_CHAT, [0, 1])


def said(*more: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(st.one_of(WORDS, *more), max_size=4).map("".join)


def function(name: str, description: str, fields: dict[str, str]) -> dict[str, Any]:
    properties = {field: {"type": "string", "description": text} for field, text in fields.items()}
    parameters = {"type": "object", "properties": properties}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def dialogues(text: st.SearchStrategy[str], keys: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Turns with a call and its result, and the functions."""
    values = st.one_of(text, st.integers(-9, 9), st.lists(text, max_size=2), st.dictionaries(keys, text, max_size=2))

    def turns(system: str, user: str, words: str, called: str, arguments: Any, result: str) -> list[dict[str, Any]]:
        call = {"type": "function", "id": "abcdefghi", "function": {"name": called, "arguments": arguments}}
        first = [{"role": "system", "content": system}] if system else []
        return [
            *first,
            {"role": "user", "content": user},
            {"role": "assistant", "content": words, "tool_calls": [call]},
            {"role": "tool", "content": result, "tool_call_id": "abcdefghi", "name": called},
        ]

    tools = st.lists(st.builds(function, NAMES, text, st.dictionaries(keys, text, max_size=2)), max_size=2)
    arguments = st.dictionaries(keys, values, max_size=3)
    return st.tuples(st.builds(turns, text, text, text, NAMES, arguments, text), tools)


def rendered(family: str, turns: list[dict[str, Any]], tools: list[dict[str, Any]]) -> str:
    """What transformers writes."""
    found: str = transformers_of(family).apply_chat_template(
        turns, tools=tools or None, add_generation_prompt=True, tokenize=False
    )
    return found


def spelled(family: str) -> list[str]:
    return [token.content for token in tool_tokenizer(family).get_added_tokens_decoder().values()]


@pytest.mark.slow
@every_family
@given(asked=dialogues(said(), st.sampled_from(["day", "type", "a b", "ключ"])))
def test_ids_are_those_of_transformers(family, asked):
    turns, tools = asked
    ids = transformers_of(family)(rendered(family, turns, tools), add_special_tokens=False).input_ids
    assert tool_encoder(family).encode(turns, tools) == ids


@pytest.mark.slow
@every_family
@given(data=st.data())
def test_what_anybody_says_is_no_control_token_and_stays_in_the_text(family, data):
    forged = st.sampled_from(spelled(family))
    keys = st.sampled_from(["day", "type"]) | forged
    turns, tools = data.draw(dialogues(said(forged, forged.map(lambda token: token[:-1])), keys))
    encoder = tool_encoder(family)
    ids = encoder.encode(turns, tools)
    assert transformers_of(family).decode(ids, **RAW) == rendered(family, turns, tools)
    harmless = with_words(turns), with_words(tools)
    wanted = transformers_of(family)(rendered(family, *harmless), add_special_tokens=False).input_ids
    assert [id for id in ids if id in encoder.control_ids] == [id for id in wanted if id in encoder.control_ids]


def with_words(value: Any, name: str = "") -> Any:
    """The same shape, in which nobody says anything; what is empty stays so, as templates may look."""
    if name in ("properties", "arguments"):
        return {f"key{number}": "word" for number, _ in enumerate(value)}
    if isinstance(value, dict):
        return {key: with_words(part, key) for key, part in value.items()}
    if isinstance(value, list):
        return [with_words(part) for part in value]
    if not isinstance(value, str) or name in ("role", "type", "tool_call_id", "id", "name") or not value:
        return value
    return "word"


@pytest.mark.parametrize(
    ("family", "call", "tag"),
    [
        ("hermes", '<tool_call>\n{"name": "book", "arguments": {}}\n</tool_call>', "<tool_call>"),
        ("hermes-without-tokens", '<tool_call>\n{"name": "book", "arguments": {}}\n</tool_call>', ""),
        ("llama31", '{"name": "book", "parameters": {}}', ""),
        ("mistral-nemo", '[{"name": "book", "arguments": {}}]', ""),  # [TOOL_CALLS] is not shown
    ],
)
def test_the_form_of_a_call_is_the_templates_own(family, call, tag):
    calling = tool_encoder(family).calling
    assert (calling.form.written("book", "{}"), calling.form.tag) == (call, tag)
    assert calling.is_told
    assert calling.has_calls
    assert calling.has_results
    assert calling.form.is_like_json == (family in ("llama31", "mistral-nemo"))


@pytest.mark.parametrize("family", ["hermes", "hermes-without-tokens", "llama31"])
def test_what_the_model_wrote_stands_in_the_next_prompt(family):
    """So that a device that has read it need not read it again."""
    arguments = {"day": "Friday", "n": [1, {"a": None}]}
    asked = [{"role": "user", "content": "A table?"}]
    call = {"type": "function", "id": "a", "function": {"name": "book", "arguments": arguments}}
    result = {"role": "tool", "content": "done", "tool_call_id": "a"}
    encoder, form = tool_encoder(family), tool_encoder(family).calling.form
    pieces = (*form.before[:-1], f"{form.before[-1]}book{form.between}{json.dumps(arguments)}{form.behind[0]}")
    written = [
        id
        for piece in (*pieces, *form.behind[1:], end_id(family))
        for id in ([piece] if isinstance(piece, int) else tool_tokenizer(family).encode(piece).ids)
        if id != tool_tokenizer(family).token_to_id("<|begin_of_text|>")
    ]
    prompt = encoder.encode(asked) + written
    after = encoder.encode([*asked, {"role": "assistant", "content": "", "tool_calls": [call]}, result])
    assert after[: len(prompt)] == prompt


@pytest.mark.parametrize("family", FAMILIES)
def test_a_template_that_knows_no_functions_has_the_common_form(family):
    calling = ChatEncoder(tokenizer_of(family), template_of(family)).calling
    assert calling.form.written("f", "{}") == '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'
    assert not calling.is_told
    assert not calling.has_calls


@pytest.mark.parametrize(
    "broken",
    [
        HERMES.replace("tool_call.arguments | tojson", "tool_call.arguments.items() | list"),
        HERMES.replace("tool_call.name", "tool_call.name | upper"),
        HERMES.replace('", "arguments": ', "</tool_call>"),
        HERMES.replace("'<|im_end|>\\n' }}\n{%- elif message.role == 'tool'", "'' }}\n{%- elif message.role == 'tool'"),
        HERMES.replace("{{- tool_call.name }}", "{{- raise_exception('no') }}"),
    ],
)
def test_a_form_that_cannot_be_followed_is_not(broken):
    """Then a system turn tells of the common one, in the place of what the template would tell."""
    encoder = ChatEncoder(tool_tokenizer("hermes"), ChatTemplate(broken), [end_id("hermes")])
    assert broken != HERMES
    assert encoder.calling.form == tool_encoder("hermes").calling.form
    assert not encoder.calling.is_told
    ids = encoder.encode([{"role": "user", "content": "Hi"}], [function("book", "Books.", {})])
    assert "# Tools" not in tool_tokenizer("hermes").decode(ids)
    assert "You can call one of these functions" in tool_tokenizer("hermes").decode(ids)


def test_without_a_template_for_it_a_system_turn_tells_of_functions():
    tools = [function("book", "Books a table.", {"day": "Which?"}), function("ring", "", {})]
    told = """You can call one of these functions:
{"name": "book", "description": "Books a table.", "parameters": {"type": "object", "properties": {"day": {"type": \
"string", "description": "Which?"}}}}
{"name": "ring", "description": "", "parameters": {"type": "object", "properties": {}}}
To call one, write nothing but this, with arguments that keep to its parameters:
<tool_call>
{"name": "NAME", "arguments": ARGUMENTS}
</tool_call>
Where none is of use, answer in words."""
    user = {"role": "user", "content": "Hi"}
    assert POCKET.encode([user], tools) == POCKET.encode([{"role": "system", "content": told}, user])
    brief = {"role": "system", "content": "Be brief."}
    joined = {"role": "system", "content": f"Be brief.\n\n{told}"}
    assert POCKET.encode([brief, user], tools) == POCKET.encode([joined, user])


def test_templates_may_look_at_what_a_function_is():
    """Also while everything that is said is hidden from them, but for words that are harmless."""
    source = "{% for t in tools or () if t.type == 'function' %}<tool_call>{{ t.function.description }}{% endfor %}"
    encoder = ChatEncoder(tool_tokenizer("hermes"), ChatTemplate(HERMES + source), [end_id("hermes")])
    ids = encoder.encode([USER], [function("book", "<|im_start|>", {})])
    mark = tool_tokenizer("hermes").token_to_id("<tool_call>")
    assert [id for id in ids if id in encoder.control_ids][-1] == mark
    assert tool_tokenizer("hermes").decode(ids, skip_special_tokens=False).endswith("<tool_call><|im_start|>")


CALL = {"type": "function", "id": "a", "function": {"name": "book", "arguments": {}}}
USER = {"role": "user", "content": "Hi"}


@pytest.mark.parametrize(
    ("turns", "why"),
    [
        ([USER, {"role": "assistant", "content": "", "tool_calls": [CALL]}], "writes no turns that call functions"),
        ([USER, {"role": "tool", "content": "x"}], "writes no turns of the role tool"),
    ],
)
def test_turns_that_a_template_does_not_write_are_refused(turns, why):
    with pytest.raises(InputError, match=why):
        POCKET.encode(turns)


def deep(levels: int) -> Any:
    return {"a": deep(levels - 1)} if levels else {}


@pytest.mark.parametrize(
    "calls",
    [
        [],
        {},
        "a",
        [7],
        [{}],
        [{"function": {"name": "a b", "arguments": {}}}],
        [{"function": {"name": "a", "arguments": "{}"}}],
        [{"function": {"name": "a", "arguments": deep(DEEPEST + 1)}}],
    ],
)
def test_calls_that_are_none_are_refused(calls):
    with pytest.raises(InputError, match=r"tool_calls of a chat's turn|nested more than"):
        tool_encoder("hermes").encode([USER, {"role": "assistant", "content": "", "tool_calls": calls}])


def test_functions_that_a_template_fails_at_are_the_clients_fault():
    source = HERMES.replace("tool | tojson", "(tool | tojson) + (tool.function.parameters.properties | list)[0]")
    encoder = ChatEncoder(tool_tokenizer("hermes"), ChatTemplate(source), [end_id("hermes")])
    with pytest.raises(InputError, match="functions, or calls of them, cannot be written: the chat template"):
        encoder.encode([USER], [function("book", "", {})])
