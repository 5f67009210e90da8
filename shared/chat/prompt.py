"""A conversation as token ids, in which only the template writes control tokens.

A turn may hold the string of a special token, or a part that the template completes, by accident or to pretend that
another turn begins. Where one does, the conversation is rendered with other characters in the place of those that such
strings are made of: what then still spells a control token comes from the template. These are given names that nobody
can know, and a copy of the tokenizer that has the control tokens under these names only encodes the whole; so what the
turns spell stays ordinary text.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import islice
from reprlib import repr as short

from tokenizers import Tokenizer

from shared.chat.calling import Calling
from shared.chat.conversation import Conversation
from shared.chat.guarded import Guarded
from shared.chat.rendering import render
from shared.chat.template import CALLS, ChatTemplate, Message, Tool, check_messages
from shared.errors import BundleError, InputError, TandemError, first_line

# Characters without meaning (a private plane of Unicode), to stand for others while a template runs.
_PRIVATE = range(0xF0000, 0xFFFFE)
_ASCII = "".join(map(chr, range(0x21, 0x7F)))
# Roles that templates put into their tokens without naming them, and a word that is in no token.
_ROLES = {"system", "developer", "user", "assistant", "model", "tool", "function", "ipython", "observation"}
_NO_ROLE = "zqxj"


class ChatEncoder:
    """Writes conversations for one checkpoint.

    Args:
        tokenizer: of the checkpoint.
        template: of the checkpoint.
        end_ids: tokens that end a text; they are control tokens too.

    Attributes:
        control_ids: of the control tokens: special ones, those that end a text, and others that the template names or
            puts together.
    """

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate, end_ids: Collection[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._end_ids = end_ids
        named = [template.source, *(str(value) for value in template.tokens.values())]
        added = {id: one for id, one in tokenizer.get_added_tokens_decoder().items() if not one.content.isspace()}
        self._control = {
            token.content: id
            for id, token in added.items()
            if token.special or id in end_ids or any(token.content in text for text in named)
        }
        rest = {token.content: id for id, token in added.items() if token.content not in self._control}
        if rest:
            written = _skeletons(template)
            self._control |= {token: id for token, id in rest.items() if any(token in text for text in written)}
        self.control_ids = frozenset(self._control.values())

    @cached_property
    def calling(self) -> Calling:
        """How functions are called."""
        return Calling.of(self._tokenizer, self._template, self._end_ids)

    def encode(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> list[int]:
        """The ids of a conversation and of the beginning of the assistant's turn.

        Of turns that spell no control token they are those that transformers' `apply_chat_template` gives.

        Args:
            tools: functions that the model is told of, with their names, descriptions and parameters.

        Raises:
            InputError: what is given is no conversation, or the template refuses it.
            BundleError: the template is broken.
        """
        chat = Conversation(check_messages(messages), [dict(tool) for tool in tools])
        calls = bool(chat.tools) or any(CALLS in turn or turn["role"] == "tool" for turn in chat.turns)
        try:
            if calls:
                chat = self.calling.prepared(chat)
            own = self._own_control(chat)
            self._refuse_forging_roles(chat, own)
            ids = self._encode(chat, own)
        except (TypeError, UnicodeError):
            raise InputError("the chat is not valid Unicode text; give it as UTF-8") from None
        except BundleError as error:
            if not calls:
                raise
            raise InputError(f"the functions, or calls of them, cannot be written: {first_line(error)}") from None
        if not ids:
            raise InputError("the chat template writes nothing for these turns; give others")
        return ids

    def _encode(self, chat: Conversation, own: list[int] | None) -> list[int]:
        """The ids of the way that changes least of those in which the control tokens are the template's own."""
        ids = self._ids(render(self._template, chat.turns, tools=chat.tools))
        if own == self._control_of(ids) and not self._may_forge(chat.said()):
            return ids
        ids = self._encode_guarded(chat, self._telling)
        return ids if own in (None, self._control_of(ids)) else self._encode_guarded(chat, self._every)

    def _own_control(self, chat: Conversation) -> list[int] | None:
        """The control tokens that the template writes whatever the turns say; None if it needs to read them.

        Raises:
            InputError: that cannot be found out.
        """
        hidden, marks = self._hidden(chat, self._every)
        try:
            return self._control_of(self._encode_hidden(chat, self._every, hidden, marks))
        except TandemError:
            return None

    def _control_of(self, ids: list[int]) -> list[int]:
        return [id for id in ids if id in self.control_ids and id != self._unknown_id]

    def _refuse_forging_roles(self, chat: Conversation, own: list[int] | None) -> None:
        """A template writes `<|role|>` of any word, and so a role that nobody foresaw can be another token.

        Args:
            own: the control tokens that the template writes of these turns, if that is known.

        Raises:
            InputError: one does that here.
        """
        source = self._template.source
        strange = sorted(chat.roles() - _ROLES)
        strange = [role for role in strange if f"'{role}'" not in source and f'"{role}"' not in source]
        if not strange or own is None:
            return
        others = chat.with_roles({role: f"{_NO_ROLE}{number}" for number, role in enumerate(strange)})
        if own != self._own_control(others):
            raise InputError(
                f"the chat role {' or '.join(map(short, strange[:5]))} would make another special token of what the "
                "template writes around it; give a role that the template knows, such as user or assistant"
            )

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _may_forge(self, contents: list[str]) -> bool:
        """Whether contents, or what they are one after the other, have a control token in them."""
        whole = "".join(contents)
        if any(token in whole for token in self._control):
            return True
        # A normalizer can make one of other characters. What is unknown is no forgery.
        suspects = self.control_ids - {self._unknown_id}
        return any(not suspects.isdisjoint(self._ids(text)) for text in {whole, *contents})

    @cached_property
    def _unknown_id(self) -> int | None:
        model = self._tokenizer.model
        if not hasattr(model, "unk_token"):  # Unigram says it in its file only
            unknown: int | None = json.loads(self._tokenizer.to_str())["model"].get("unk_id")
            return unknown
        return self._control.get(model.unk_token)

    @cached_property
    def _telling(self) -> str:
        """The characters by which control tokens are told from words."""
        return "".join(sorted({one for token in self._control for one in _telling(token)}))

    @cached_property
    def _every(self) -> str:
        """Those of which any control token could be made, in plain text and in the tokens' own writing."""
        return "".join(sorted({one for one in (*_ASCII, *"".join(self._control)) if not one.isspace()}))

    def _encode_guarded(self, chat: Conversation, characters: str) -> list[int]:
        """The ids when these characters of the turns are kept from the template; with `_every`, all but spaces are."""
        return self._encode_hidden(chat, characters, *self._hidden(chat, characters))

    def _hidden(self, chat: Conversation, characters: str) -> tuple[str, str]:
        """The characters that are kept from the template, `characters` first, and what stands for each.

        Raises:
            InputError: there are not enough that could.
        """
        said = "".join(chat.said())
        more: list[str] = []
        if characters is self._every:
            more = sorted({one for one in said if not one.isspace()} - {*characters})
        used = {*self._template.source, *said, *"".join(chat.roles())}
        hidden = characters + "".join(more)
        marks = "".join(islice((one for one in map(chr, _PRIVATE) if one not in used), len(hidden)))
        if len(marks) < len(hidden):
            raise InputError(
                "the chat has too many different characters: none of Unicode's private ones (from U+F0000 on) is left "
                "to tell its words from the template's; leave those out, or give a shorter chat"
            )
        return hidden, marks

    def _encode_hidden(self, chat: Conversation, characters: str, hidden: str, marks: str) -> list[int]:
        there, back = str.maketrans(hidden, marks), str.maketrans(marks, hidden)
        marked = chat.with_said(lambda text: text.translate(there), self._is_harmless)
        own = (characters, marks[: len(characters)])
        return self._guarded.encode(render(self._template, marked.turns, tools=marked.tools, marked=own), back)

    def _is_harmless(self, word: str) -> bool:
        """Whether no control token is in a word."""
        return not any(token in word for token in self._control)

    @cached_property
    def _guarded(self) -> Guarded:
        return Guarded(self._tokenizer, self._control)


def _skeletons(template: ChatTemplate) -> list[str]:
    """What a template writes around turns of each known role, such as `<|` and the role and `|>`."""
    written = []
    for role in sorted(_ROLES):
        for before in ((), ("user",), ("user", "assistant")):
            turns = [{"role": one, "content": _NO_ROLE} for one in (*before, role)]
            with suppress(TandemError):  # no template takes all roles, in any order
                written.append(render(template, turns))
    return written


def _telling(token: str) -> str:
    """The characters by which a token is told from words; of a token that is a word, its first.

    Words, such as roles, keep theirs, so that a template can still compare them.
    """
    return "".join(one for one in token if not (one.isalnum() or one.isspace() or one in "_-")) or token[0]
