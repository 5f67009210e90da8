"""How a checkpoint calls functions: whether its template tells of them, and in which form an answer holds a call.

The form is the template's own, found by letting it write a call: so the model writes what it was trained on, and what
it wrote stands in the next prompt as it was. Where the template writes none, or none that can be followed, it is that
of Hermes, a name and arguments as JSON within <tool_call>, which is the most common one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from shared.chat.conversation import Conversation
from shared.chat.rendering import render
from shared.chat.template import CALLS, ChatTemplate
from shared.errors import InputError, TandemError

# Text, and ids of tokens that are not made of text.
Pieces = tuple[str | int, ...]

_NAME, _RESULT, _ID = "zqxjname", "zqxjresult", "zqxj00000"
_ARGUMENTS = {"zqxjkey": "zqxjvalue"}
_FUNCTION = {
    "name": _NAME,
    "description": "",
    "parameters": {"type": "object", "properties": {"zqxjkey": {"type": "string", "description": ""}}},
}
_TOOLS = [{"type": "function", "function": _FUNCTION}]
_CALL = {"type": "function", "id": _ID, "function": {"name": _NAME, "arguments": _ARGUMENTS}}
_ASKED = {"role": "user", "content": "zqxj"}
_CALLED = {"role": "assistant", "content": "", CALLS: [_CALL]}
_ANSWERED = {"role": "tool", "content": _RESULT, "tool_call_id": _ID, "name": _NAME}
# Behind them nothing is the last turn any more, to which some templates add what was thought.
_LATER = [{"role": "assistant", "content": "zqxj"}, _ASKED]

_OWN = ('<tool_call>\n{"name": "', '", "arguments": ', "}\n</tool_call>")
_TOLD = """You can call one of these functions:
{functions}
To call one, write nothing but this, with arguments that keep to its parameters:
{example}
Where none is of use, answer in words."""


@dataclass(frozen=True)
class CallForm:
    """A call as an answer holds it: `before`, the name, `between`, the arguments as JSON, `behind`.

    Attributes:
        opening, closing: what is seen of `before` and `behind`.
        tag: begins the opening, and is a token that no other text spells, so that words may stand before the call;
            where it is "", an answer that begins with the opening is a call.
        others: tokens that are not made of text, but are shown: words may hold them.
    """

    before: Pieces
    between: str
    behind: Pieces
    opening: str
    closing: str
    tag: str
    others: tuple[int, ...]

    @property
    def is_like_json(self) -> bool:
        """Whether an answer in JSON might begin as a call does."""
        return not self.tag and self.opening.lstrip()[:1] in ("{", "[")

    def written(self, name: str, arguments: str) -> str:
        """One call, as it is seen."""
        return f"{self.opening}{name}{self.between}{arguments}{self.closing}"


@dataclass(frozen=True)
class Calling:
    """What a template makes of functions.

    Attributes:
        form: of a call in an answer.
        is_told: the template tells the model of functions and of this form; otherwise a system turn does.
        has_calls, has_results: whether it writes turns that call, and those that tell what came of it.
    """

    form: CallForm
    is_told: bool
    has_calls: bool
    has_results: bool

    @classmethod
    def of(cls, tokenizer: Tokenizer, template: ChatTemplate, end_ids: Collection[int]) -> Calling:
        """Find out, by letting the template write.

        Args:
            end_ids: tokens that end a text.
        """
        tokens = _Tokens(tokenizer)
        ends = [content for id, (content, _) in tokens.added.items() if id in end_ids]
        whole = _rendered(template, [_ASKED, _CALLED, _ANSWERED, *_LATER])
        called = whole if _NAME in whole else _rendered(template, [_ASKED, _CALLED])
        form = _form_of(tokens, _rendered(template, [_ASKED], goes_on=True), called, ends)
        is_told = form is not None and _NAME in _rendered(template, [_ASKED], tools=_TOOLS)
        # Some write every turn that they do not know as one of the assistant's.
        own_words = _rendered(template, [_ASKED, _CALLED, _ANSWERED | {"role": "assistant"}, *_LATER])
        return cls(form or tokens.form(*_OWN), is_told, _NAME in called, _RESULT in whole and whole != own_words)

    def prepared(self, conversation: Conversation) -> Conversation:
        """The conversation as the template can take it: functions that it does not tell of stand in a system turn.

        Raises:
            InputError: a turn calls a function, or tells what came of it, and the template writes no such turns.
        """
        roles = conversation.roles()
        for has, there, what in (
            (self.has_calls, any(CALLS in turn for turn in conversation.turns), "turns that call functions"),
            (self.has_results, "tool" in roles, "turns of the role tool"),
        ):
            if there and not has:
                raise InputError(
                    f"the chat template of this bundle writes no {what}: say in plain turns what was called and what "
                    "came of it, or use a model that was made for calling functions"
                )
        if self.is_told or not conversation.tools:
            return conversation
        functions = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in conversation.tools)
        told = _TOLD.format(functions=functions, example=self.form.written("NAME", "ARGUMENTS"))
        first, *rest = conversation.turns
        if first["role"] == "system":
            return Conversation([first | {"content": f"{first['content']}\n\n{told}".lstrip()}, *rest], [])
        return Conversation([{"role": "system", "content": told}, first, *rest], [])


class _Tokens:
    """The tokens of a tokenizer that are not made of text, as grammars see them.

    Attributes:
        added: of each id how it is spelled, and whether it is shown.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.added = {
            id: (token.content, not token.special)
            for id, token in tokenizer.get_added_tokens_decoder().items()
            # As llguidance has it: what is written as a tag is no text, whatever the tokenizer calls it.
            if token.special or re.fullmatch("<.*>", token.content, re.DOTALL)
        }
        self._ids = {content: id for id, (content, _) in self.added.items()}
        longest_first = sorted(self._ids, key=len, reverse=True)
        self._spelled = re.compile(f"({'|'.join(map(re.escape, longest_first))})" if longest_first else "((?!))")

    def split(self, text: str) -> Pieces:
        """A text as the model writes it."""
        pieces: list[str] = [piece for piece in self._spelled.split(text) if piece]
        return tuple(self._ids.get(piece, piece) for piece in pieces)

    def form(self, before: str, between: str, behind: str) -> CallForm:
        """The form that is spelled so."""
        start, end = self.split(before), self.split(behind)
        tag = self._shown(start[:1]) if isinstance(start[0], int) else ""
        others = [id for id, (_, shown) in self.added.items() if shown and id not in (*start, *end)]
        return CallForm(start, between, end, self._shown(start), self._shown(end), tag, tuple(others))

    def _shown(self, pieces: Pieces) -> str:
        seen = (self.added[piece] if isinstance(piece, int) else (piece, True) for piece in pieces)
        return "".join(text for text, shown in seen if shown)


def _rendered(template: ChatTemplate, turns: Sequence[dict[str, Any]], **how: Any) -> str:
    """What the template makes of it; nothing if it refuses."""
    try:
        return render(template, turns, **{"goes_on": False} | how)
    except TandemError:
        return ""


def _form_of(tokens: _Tokens, begun: str, called: str, ends: Sequence[str]) -> CallForm | None:
    """The form in which a template has written a call; None where it has not, or not with arguments in JSON.

    Args:
        begun: the prompt of the turn that calls.
        ends: the tokens that end a text.
    """
    if not begun or not called.startswith(begun):
        return None
    before, named, rest = called.removeprefix(begun).partition(_NAME)
    between, given, rest = rest.partition(json.dumps(_ARGUMENTS))
    # Of some forms an id is part, which only who reads the call gives it.
    behind = rest.replace(f', "id": "{_ID}"', "")
    end = min((place for one in ends if (place := behind.find(one)) >= 0), default=None)
    behind = behind[:end].rstrip()
    if not (named and given and end is not None and before) or tokens.split(between) != (between,):
        return None
    if any(word in text for word in (_NAME, _RESULT, _ID, _ASKED["content"]) for text in (before, between, behind)):
        return None  # there is more in it than can be foretold, or than belongs to it
    found = tokens.form(before, between, behind)
    # Words must not begin like a call by accident, and what is sought is text.
    if not isinstance(found.before[-1], str) or not (found.tag or found.is_like_json or "<" in found.opening):
        return None
    return found
