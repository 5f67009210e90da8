"""From a conversation to the text that the model reads, as its template writes it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from jinja2 import Template, TemplateError, nodes

from shared.chat.account import Account, account
from shared.chat.nested import texts
from shared.chat.sandbox import Sandbox
from shared.chat.template import ChatTemplate, Message, Tool
from shared.errors import BundleError, InputError, first_line

_WORD = re.compile(r"\w[\w-]*")


def render(
    template: ChatTemplate,
    messages: Sequence[Message],
    *,
    tools: Sequence[Tool] = (),
    goes_on: bool = True,
    marked: tuple[str, str] = ("", ""),
) -> str:
    """A conversation as its template writes it: what transformers' `apply_chat_template` gives.

    Args:
        messages: as `shared.chat.template.check_messages` gives them.
        tools: functions that the template is told of.
        goes_on: the assistant's next turn is begun.
        marked: characters, and what stands for each in `messages`; so it does then where the template compares with a
            string of its own, splits at it, or looks for it.

    Raises:
        InputError: the template refuses these turns.
        BundleError: it is broken, or wants more than it may have.
    """
    characters = sum(map(len, texts([*map(dict, messages), *map(dict, tools)])))
    token = account.set(Account(characters))
    try:
        return _compiled(template.source, *marked).render(
            messages=messages,
            tools=list(tools) or None,
            documents=None,
            add_generation_prompt=goes_on,
            **template.tokens,
        )
    except Exception as error:  # a program from elsewhere: anything can come of it
        if type(error) is TemplateError:  # by its `raise_exception`
            raise InputError(f"the chat template refuses these turns ({error.message}); give others") from None
        raise BundleError(
            f"the chat template cannot be used ({first_line(error)}); give a plain prompt, or make the bundle again "
            "from a checkpoint whose template is sound"
        ) from None
    finally:
        account.reset(token)


@lru_cache(maxsize=8)
def _compiled(source: str, characters: str, marks: str) -> Template:
    sandbox = Sandbox()
    tree = sandbox.parse(source)
    _mark_operands(tree, str.maketrans(characters, marks))
    return sandbox.from_string(tree)


def _mark_operands(tree: nodes.Template, table: dict[int, int]) -> None:
    for operand in _operands(tree):
        constants = [operand] if isinstance(operand, nodes.Const) else []
        if isinstance(operand, nodes.Call) and isinstance(operand.node, nodes.EnvironmentAttribute):
            constants = list(operand.find_all(nodes.Const))  # of a list, as in `role in ['a', 'b']`
        for constant in constants:
            # A word names a field, a test or a role, which keep their characters.
            if isinstance(constant.value, str) and not _WORD.fullmatch(constant.value):
                constant.value = constant.value.translate(table)


def _operands(tree: nodes.Template) -> Iterator[nodes.Node]:
    """What is compared, and the arguments of filters, tests and methods."""
    for comparison in tree.find_all(nodes.Compare):
        yield comparison.expr
        yield from (operand.expr for operand in comparison.ops)
    methods = [call for call in tree.find_all(nodes.Call) if isinstance(call.node, nodes.Getattr)]
    called: list[nodes.Filter | nodes.Test | nodes.Call]
    called = [*tree.find_all(nodes.Filter), *tree.find_all(nodes.Test), *methods]
    for node in called:
        yield from node.args
        yield from (pair.value for pair in node.kwargs)
