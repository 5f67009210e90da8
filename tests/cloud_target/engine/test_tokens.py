"""The tokens of a checkpoint are those of transformers, whatever its files say and wherever they say it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, processors

from cloud_target.engine.files import POCKET_DIRECTORY
from cloud_target.engine.tokens import Tokens, read_tokens
from cloud_target.export.chat import usable_chat
from edge_client.bundles.pocket import POCKET
from shared.errors import InputError
from shared.identity import tokenizer_fingerprint
from shared.manifest import read_manifest
from shared.tokenizer import StreamDecoder, load_tokenizer
from tests.shared.chat.families import FAMILIES, tokenizer_of, write

pytestmark = pytest.mark.slow
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
TOKEN = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True}


def original(directory: Path) -> Any:
    """The oracle."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(directory)


@cache
def pair(family: str) -> tuple[Tokens, Any]:
    with TemporaryDirectory() as directory:
        path = write(family, Path(directory))
        return read_tokens(path), original(path)


@pytest.mark.parametrize("family", FAMILIES)
@given(TEXT, st.data())
def test_any_text_has_the_ids_of_transformers(family, text, data):
    ours, theirs = pair(family)
    special = [token.content for token in ours.tokenizer.get_added_tokens_decoder().values()]
    text += data.draw(st.sampled_from(["", *special])) + data.draw(TEXT)
    assert ours.tokenizer.encode(text).ids == theirs(text).input_ids


@pytest.mark.parametrize("family", FAMILIES)
@given(st.data())
def test_what_is_shown_token_by_token_is_what_transformers_decodes(family, data):
    ours, theirs = pair(family)
    ids = data.draw(st.lists(st.integers(0, ours.tokenizer.get_vocab_size() - 1), max_size=30))
    decoder = StreamDecoder(ours.tokenizer)
    streamed = "".join(map(decoder.push, ids)) + decoder.flush()
    assert streamed == theirs.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def changed(family: str, directory: Path, change: Any, **settings: Any) -> Path:
    write(family, directory, **settings)
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    change(tokenizer)
    tokenizer.save(str(directory / "tokenizer.json"))
    return directory


def begins_with_s(tokenizer: Tokenizer) -> None:
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])


MASK = TOKEN | {"__type": "AddedToken", "content": "[M]", "lstrip": True}
PLAIN = {"tokenizer_class": "PreTrainedTokenizerFast"}


@pytest.mark.parametrize(
    ("family", "change", "settings"),
    [
        ("gpt2", lambda t: t.enable_truncation(8), PLAIN),
        ("gpt2", lambda t: t.enable_padding(length=64, pad_id=1, pad_token="!"), PLAIN),
        ("llama2", lambda t: None, {"add_bos_token": True, "add_eos_token": True}),
        ("llama2", begins_with_s, {"add_bos_token": False}),
        ("llama2", lambda t: None, {"legacy": True}),
        ("llama2", begins_with_s, PLAIN),
        ("gpt2", lambda t: None, {"add_prefix_space": True}),
        ("qwen2", lambda t: None, {"add_prefix_space": True}),
        ("gpt2", lambda t: None, {"added_tokens_decoder": {"344": TOKEN | {"content": "<|tool|>"}}}),
        ("gpt2", lambda t: None, {"additional_special_tokens": ["<|one|>", "<|two|>"]}),
        ("gpt2", lambda t: None, {"pad_token": "<|pad|>", "mask_token": MASK}),
        ("gpt2", lambda t: None, {"model_max_length": 4}),
    ],
)
def test_what_the_files_say_is_done(tmp_path, family, change, settings):
    path = changed(family, tmp_path, change, **settings)
    theirs, ours = original(path), read_tokens(path).tokenizer
    for text in ("Once upon a time there was. " * 20, "Hi", " Hi", "a<|tool|>b <|one|>\n[M] <|pad|>x<s>", "", "\n"):
        assert ours.encode(text).ids == theirs(text).input_ids
    ours.save(str(tmp_path / "again.json"))
    assert load_tokenizer(tmp_path / "again.json").encode("Hi").ids == theirs("Hi").input_ids


def test_what_a_class_adds_by_itself_is_none_of_the_checkpoint(tmp_path):
    """transformers 4 gives every Llama an <s> and begins each text with it, even where no file has one."""
    tokenizer_of("gpt2").save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": 400}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ bos_token }}x"}))
    tokens = read_tokens(tmp_path)
    size = tokenizer_of("gpt2").get_vocab_size()
    assert tokens.tokenizer.get_vocab_size() == size
    assert tokens.tokenizer.encode("Hi").ids == [id for id in original(tmp_path)("Hi").input_ids if id < size]
    assert tokens.chat is not None
    assert tokens.chat.tokens.get("bos_token", "") == ""


def test_tokens_that_the_model_has_no_row_for_are_left_out(tmp_path):
    write("gpt2", tmp_path, pad_token="<|pad|>")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2", "vocab_size": 344}))
    tokens = read_tokens(tmp_path)
    assert tokens.tokenizer.token_to_id("<|pad|>") is None
    assert tokens.tokenizer.encode("a<|endoftext|>").ids == original(tmp_path)("a<|endoftext|>").input_ids


def test_a_file_that_stands_alone_is_read_as_it_is(tmp_path):
    tokenizer_of("qwen2").save(str(tmp_path / "tokenizer.json"))
    assert read_tokens(tmp_path).tokenizer.encode("Hi there").ids == tokenizer_of("qwen2").encode("Hi there").ids
    assert read_tokens(tmp_path).chat is None


def test_the_embedded_pair_has_one_tokenizer_and_one_chat():
    tokens, manifest = read_tokens(POCKET_DIRECTORY), read_manifest(POCKET)
    edge = load_tokenizer(POCKET / "tokenizer.json")
    assert tokenizer_fingerprint(tokens.tokenizer) == tokenizer_fingerprint(edge) == manifest.tokenizer_fingerprint
    assert tokens.tokenizer.encode("Tom <|end|> 😀").ids == edge.encode("Tom <|end|> 😀").ids
    assert tokens.chat == manifest.chat


@pytest.mark.parametrize(
    "place", ["tokenizer_config.json", "chat_template.jinja", "chat_template.json", "named", "more"]
)
def test_a_template_is_found_wherever_it_stands(tmp_path, place):
    source = "{{ bos_token }}{{ messages[0].content }}"
    if place == "named":
        write(
            "gpt2", tmp_path, chat_template=[{"name": n, "template": s} for n, s in (("default", source), ("rag", ""))]
        )
    else:
        write("gpt2", tmp_path, chat_template=source if place == "tokenizer_config.json" else None)
    if place == "chat_template.json":
        (tmp_path / place).write_text(json.dumps({"chat_template": source}))
    if place in ("chat_template.jinja", "more"):
        (tmp_path / "chat_template.jinja").write_text(source)
    if place == "more":
        (tmp_path / "additional_chat_templates").mkdir()
        (tmp_path / "additional_chat_templates" / "rag.jinja").write_text("rag")
    chat = read_tokens(tmp_path).chat
    wanted = original(tmp_path).chat_template
    wanted = wanted["default"] if isinstance(wanted, dict) else wanted
    assert (chat.source if chat else None) == wanted
    if chat:
        assert (chat.source, chat.tokens["bos_token"]) == (source, "<|endoftext|>")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"split_special_tokens": True}, "does more in transformers than a tokenizer.json can say"),
        ({"tokenizer_class": "MyTokenizer", "auto_map": {"AutoTokenizer": ["my.MyTokenizer", None]}}, "cannot load"),
    ],
)
def test_what_a_device_cannot_do_is_refused(tmp_path, settings, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        read_tokens(write("gpt2", tmp_path, **settings))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "settings", [{"tokenizer_class": "CTRLTokenizer"}, {"tokenizer_class": "LlamaTokenizer"}, {"model_type": "llama"}]
)
def test_no_fast_tokenizer_is_refused(tmp_path, settings):
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "ctrl"} | settings))
    if "CTRL" in str(settings):
        (tmp_path / "vocab.json").write_text(json.dumps({"<unk>": 0, "a</w>": 1}))
        (tmp_path / "merges.txt").write_text("#version: 0.2\n\n")
    with pytest.raises(InputError) as caught:
        read_tokens(tmp_path)
    assert "tokenizer.json" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("template", [" " * (1 << 19), 5, True, {"default": 4}, [1], ["a"], [{"name": "default"}]])
def test_a_template_that_cannot_be_carried_costs_the_chat_alone(tmp_path, template):
    path = write("gpt2", tmp_path) / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": template}))
    tokens = read_tokens(tmp_path)
    assert tokens.chat is None
    assert tokens.tokenizer.encode("Hi").ids
    said: list[str] = []
    assert usable_chat(tokens, tell=said.append) is None
    assert all(sentence.startswith("the chat template is left out: it is not one text") for sentence in said)


def test_a_broken_configuration_is_named_before_a_missing_tokenizer(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json cannot be read"):
        read_tokens(tmp_path)
