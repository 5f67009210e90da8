"""Templates are rendered as transformers renders them, and one that means harm gets nowhere."""

from __future__ import annotations

import json
from pathlib import Path
from time import perf_counter

import pytest

from shared.chat.pocket import POCKET_CHAT, POCKET_TURNS
from shared.chat.rendering import render
from shared.chat.template import ChatTemplate
from shared.errors import BundleError, InputError
from tests.shared.chat.families import FAMILIES, template_of, write

HI = [{"role": "user", "content": "Hi <b>"}]
CHAT = [
    {"role": "system", "content": " Be brief.\n"},
    {"role": "user", "content": "\n a < b & 'c'  "},
    {"role": "assistant", "content": "<think>\nHm\n</think>\n\nYes 😀"},
    {"role": "user", "content": "Why?"},
]
EXPRESSIONS = [
    "{{ messages | tojson }} {{ messages | tojson(indent=2) }} {{ messages[0] | tojson(sort_keys=true) }}",
    "{{ messages | map(attribute='role') | join(', ') }} {{ messages | map(attribute='content') | list }}",
    "{{ messages | rejectattr('role', 'equalto', 'system') | map(attribute='role') | unique | list | length }}",
    "{{ 'a\\nb\\n\\nc' | indent(3) }}|{{ 'a\\nb' | indent('> ', first=true) }}|{{ '' | indent(2) }}",
    "{{ 'aXbX' | replace('X', 'y', 1) }} {{ 'aXbX'.replace('X', '') }} {{ 'a-b-c'.split('-')[1:] }}",
    "{{ '%s is %d' % ('a', 3) }} {{ '{} {b}'.format(1, b='x') }} {{ 'ab'.ljust(4) }}| {{ 7 // 2 }} {{ 2 ** 10 }}",
    "{% set ns = namespace(n=0, l=[]) %}{% for m in messages %}"
    "{% set ns.n = ns.n + 1 %}{% set ns.l = ns.l + [m.role] %}"
    "{% endfor %}{{ ns.n }} {{ ns.l }} {{ ns.l == ['system', 'user', 'assistant', 'user'] }}",
    "{% for m in messages %}{% if loop.index > 2 %}{% break %}{% endif %}"
    "{{ loop.index0 }}{{ m.content ~ 1 ~ none }}{% endfor %}",
    "{% macro turn(m, sign='>') %}{{ sign }}{{ m.role }}{{ caller() if caller }}{% endmacro %}{{ turn(messages[0]) }}"
    "{% call turn(messages[1], sign='!') %}inner{% endcall %}",
    "{% set text %}a {{ messages[0].role }}\n b{% endset %}[{{ text | trim }}]{% filter upper %}x{% endfilter %}",
    "{% for k, v in messages[0].items() %}{{ k }}={{ v }};{% endfor %}{{ messages[0] | dictsort }} "
    "{{ {'a': [1, (2, 3)]} }}",
    "    {% if tools %}x{% elif tools is none %}none{% endif %}\n   {# a comment #}\n"
    "  {%- if undefined_name is not defined %} y{% endif %}\n",
    "{{ messages[1].content | trim | upper | e }} {{ 'x' in messages[0] }} "
    "{{ 'role' in messages[0] }} {{ messages[-1].content[:2] }}",
    "{{ missing | default('d') }} {{ missing }} {{ messages[0].missing }} "
    "{{ 3 | string + '4' }} {{ '5' | int + 1 }} {{ 1.5 }}",
    "{{ [3, 4] | sum }} {{ 2.567 | round(1) }} {{ 'a' | center(5) }}| {{ '%s!' | format('a') }} "
    "{{ 'a b c' | truncate(3) }} {{ [{'n': 2}, {'n': 3}] | sum(attribute='n') }}",
    "{{ range(5) | batch(2, 'x') | list }} {{ range(5) | slice(2) | list }} {{ messages | groupby('role') | length }}",
    "{% generation %}{{ messages[0].role }}{% endgeneration %} "
    "{{ range(3) | list }} {{ cycler('a', 'b').next() }} {{ dict(a=1).a }}",
]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """transformers' rendering of a template."""
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(write("gpt2", tmp_path_factory.mktemp("gpt2")))

    def rendered(source: str, turns: list[dict[str, str]], goes_on: bool = True) -> str:
        return loaded.apply_chat_template(
            turns, chat_template=source, tokenize=False, add_generation_prompt=goes_on, return_dict=False
        )

    return rendered


@pytest.mark.slow
@pytest.mark.parametrize("source", EXPRESSIONS)
def test_what_templates_use_is_as_in_transformers(original, source):
    tokens = template_of("gpt2").tokens
    assert render(ChatTemplate(source, tokens), CHAT) == original(source, CHAT)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("goes_on", [True, False])
@pytest.mark.parametrize("turns", [HI, CHAT], ids=["one", "four"])
def test_every_family_is_rendered_as_in_transformers(tmp_path: Path, family, goes_on, turns):
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(write(family, tmp_path))
    wanted = loaded.apply_chat_template(turns, tokenize=False, add_generation_prompt=goes_on)
    assert render(template_of(family), turns, goes_on=goes_on) == wanted


def test_the_pocket_models_write_their_turns():
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    written = "<|user|>Hi<|end|><|assistant|>Hello<|end|>"
    assert render(POCKET_CHAT, turns) == f"<|endoftext|>{written}<|assistant|>"
    assert render(POCKET_TURNS, turns, goes_on=False) == written
    with pytest.raises(InputError, match="the roles are system, user, assistant, not robot"):
        render(POCKET_CHAT, [{"role": "robot", "content": "Hi"}])


def test_what_a_template_refuses_is_told_in_its_words():
    with pytest.raises(InputError, match=r"refuses these turns \(roles must take turns\)"):
        render(template_of("llama2"), [{"role": "assistant", "content": "Hi"}])


_GROW = "{%% set ns = namespace(x=%s) %%}{%% for i in range(100) %%}%s{%% endfor %%}{{ ns.x }}"
HARMFUL = [
    # Ways out.
    "{{ ''.__class__.__mro__ }}",
    "{{ messages.__init__.__globals__ }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ self._TemplateReference__context.environment }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    # Changes.
    "{{ messages.append(1) }}",
    "{{ messages[0].update({}) }}",
    "{% set messages[0] = 1 %}",
    # Loops.
    "{% for i in range(1000000) %}{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) if false %}{% endfor %}{% endfor %}",
    "{% for i in range(99999) %}{% set x = ('b' * 1000000)[1:] %}{% endfor %}",
    "{% for i in range(99999) %}{{ 'a' * 10000 }}{% endfor %}",
    "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
    "{{ ['b' * 1000000] * 1000 | map('upper') | list | length }}",
    # Size.
    "{{ 'a' * 1000000000 }}",
    "{{ 1000000000 * 'a' }}",
    "{{ ('a' * 100000).replace('a', 'a' * 100000) }}",
    "{{ ('a' * 100000) | replace('a', 'a' * 100000) }}",
    "{{ 'a'.ljust(1000000000) }}",
    "{{ 'a'.__mul__(1000000000) }}",
    "{{ 'a' | center(1000000000) }}",
    "{{ 'a' | indent(1000000000, first=true) }}",
    "{{ ('%s' * 10000) | format(*(('a' * 10000,) * 10000)) }}",
    "{{ 'a' | center(width=1000000000) }}",
    "{{ [1] | batch(1000000000, 'x') | list }}",
    "{{ [[1]] * 100000 | sum(start=[]) }}",
    "{{ ([[1]] * 100000) | sum(start=[]) }}",
    "{{ 'a' | xmlattr }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '%*d' % (1000000000, 1) }}",
    "{{ ('%s' * 10000) % (('a' * 10000,) * 10000) }}",
    "{{ '{:1000000000}'.format(1) }}",
    "{{ '{:{}}'.format(1, 1000000000) }}",
    "{{ strftime_now('%1000000d') }}",
    "{{ ('{' ~ ':' * 200000) % {} }}",
    "{{ ('%(' * 200000) % {} }}",
    "{{ ('a' * 500000).strip('b' * 400000 ~ 'a') }}",
    "{{ ('a' * 500000).rstrip('b' * 400000 ~ 'a') }}",
    "{{ ('a' * 500000) | trim('b' * 400000 ~ 'a') }}",
    "{{ ('a' * 500000) | trim(chars='b' * 400000 ~ 'a') }}",
    "{{ ('a' * 500000).rfind('ab' ~ 'a' * 250000) }}",
    "{{ ('a' * 500000).rsplit('ab' ~ 'a' * 250000) }}",
    "{{ ('a' * 500000).rsplit(sep='ab' ~ 'a' * 250000) }}",
    "{{ ('a' * 500000).rpartition('ab' ~ 'a' * 250000) }}",
    "{{ messages | tojson(indent=1000000000) }}",
    "{{ ('a' * 1000000).join(range(100000) | map('string')) }}",
    "{{ range(100000) | join('a' * 100000) }}",
    "{{ range(100000) | map('replace', '', 'a' * 100000) | list | length }}",
    "{{ [['a' * 1000000] * 1000] * 1000 }}",
    "{{ ([['a' * 1000000] * 1000] * 1000) | string | length }}",
    "{{ (range(100000) | list) * 100000 }}",
    "{{ 'a'.translate({97: 'x' * 1000000}) }}",
    "{{ (1).to_bytes(1000000000, 'big') }}",
    "{{ lipsum(1000000) }}",
    "{{ 9 ** (9 ** (9 ** 9)) }}",
    _GROW % ("'aaaa'", "{% set ns.x = ns.x + ns.x %}"),
    _GROW % ("'aaaa'", "{% set ns.x = ns.x ~ ns.x %}"),
    _GROW % ("'aaaa'", "{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}"),
    _GROW % ("'aaaa'", "{% set ns.x = '%s%s' % (ns.x, ns.x) %}"),
    _GROW % ("'aaaa'", "{% set ns.x = '{0}{0}'.format(ns.x) %}"),
    _GROW % ("'aaaa'", "{% set ns.x = [ns.x, ns.x] | join %}"),
    _GROW % ("[1]", "{% set ns.x = [ns.x, ns.x] %}"),
    _GROW % ("[1]", "{% set ns.x = {'a': ns.x, 'b': ns.x} %}"),
    _GROW % ("[1]", "{% set ns.x = dict(a=ns.x, b=ns.x) %}"),
    _GROW % ("[1]", "{% set ns.x = namespace(a=ns.x, b=ns.x) %}"),
    _GROW % ("[1]", "{% set ns.x = ns.x + ns.x %}"),
    _GROW % ("3", "{% set ns.x = ns.x * ns.x %}"),
    # What is no template, or too much of one.
    "{% if %}",
    "{{ nothing.x }}",
    "{{ 1 / 0 }}",
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
]


@pytest.mark.parametrize(
    "source",
    [
        "{{ raise_exception.__globals__ }}",
        "{{ '{0.__class__}'.format(messages) }}",
        "{{ messages | map(attribute='__class__') | first }}",
        "{{ strftime_now.__code__ }}",
    ],
)
def test_what_is_behind_an_underscore_is_nothing(source):
    assert render(ChatTemplate(source), HI) == ""


@pytest.mark.slow
@pytest.mark.parametrize("source", HARMFUL, ids=lambda source: source[:60])
def test_harm_ends_in_a_sentence(source):
    begin = perf_counter()
    with pytest.raises(BundleError, match="the chat template cannot be used") as caught:
        render(ChatTemplate(source), HI)
    assert perf_counter() - begin < 20  # seconds; most take thousandths, and the patience of an account is 5
    assert len(str(caught.value)) < 500


def test_a_long_conversation_may_cost_more():
    turns = [{"role": role, "content": "word " * 2000} for role in ("user", "assistant")] * 100
    assert len(render(POCKET_CHAT, turns)) > 2_000_000
    assert len(render(ChatTemplate("{{ messages | tojson }}"), turns)) > len(json.dumps(turns)) - 10


def test_the_sandbox_sees_nothing_but_its_conversation():
    seen = render(ChatTemplate("{{ messages is defined }} {{ os is defined }} {{ bos_token }}", {"bos_token": "B"}), HI)
    assert seen == "True False B"
