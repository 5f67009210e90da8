"""A bundle in memory: who it was made for, how its tokens are written, and models that write."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers import Tokenizer

from edge_client.bundles.pocket import POCKET
from edge_client.inference.pool import ModelPool
from edge_client.settings import GRAMMARS, Settings
from shared import values
from shared.chat.template import Message, Tool
from shared.domains import AUTO
from shared.errors import BundleError, InputError
from shared.grammar.engine import Grammar, GrammarEngine
from shared.manifest import Manifest, read_manifest
from shared.resident import give_back
from shared.tokenizer import encode_prompt, load_tokenizer, see_that_it_may_fit

if TYPE_CHECKING:
    from shared.chat.calling import Calling
    from shared.chat.prompt import ChatEncoder


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle; several edges may share one.

    Attributes:
        manifest: what it is.
        tokenizer: between text and ids.
        models: lends a draft and a verifier to each text that is being written.
    """

    manifest: Manifest
    tokenizer: Tokenizer
    models: ModelPool

    @classmethod
    def load(cls, directory: str | Path = POCKET, threads: int = 1) -> Bundle:
        """Load a bundle and check that it is what its manifest says.

        Args:
            directory: of the bundle; by default the one that ships with Tandem.
            threads: of each model.

        Raises:
            InputError: `directory` is no path, or `threads` no number of 0 or more; 0 is as many as there are cores.
            BundleError: it is missing or damaged, or its draft does not give the logits that its manifest says.
        """
        directory, threads = values.path("bundle", directory), values.whole("threads", threads)
        if threads < 0:
            raise InputError(f"threads must be 0 or more, not {threads}")
        manifest = read_manifest(directory)
        tokenizer = load_tokenizer(directory / "tokenizer.json")
        models = ModelPool.load(directory, manifest, threads)
        give_back()  # a vocabulary of 50,000 tokens leaves 30 MB behind where it was read
        return cls(manifest, tokenizer, models)

    def encode(self, prompt: str | Iterable[int]) -> list[int]:
        """The ids of a prompt, which the draft can go on from.

        Args:
            prompt: text, or ids.

        Raises:
            InputError: there is nothing in it, or something that is no token of this bundle.
            ContextLengthError: it is far too long.
        """
        if isinstance(prompt, str):
            see_that_it_may_fit(self.tokenizer, len(prompt), self.manifest.context)
            return encode_prompt(self.tokenizer, prompt)
        try:
            if isinstance(prompt, bytes | bytearray):
                raise TypeError
            ids = [operator.index(token) for token in prompt]
        except TypeError:
            raise InputError("a prompt is text, or a list of token ids, which are whole numbers") from None
        if not ids:
            raise InputError("the prompt is empty; give a few words to go on from")
        for token in ids:
            if not 0 <= token < self.manifest.vocabulary:
                raise InputError(f"token id {token} is not in the vocabulary of {self.manifest.vocabulary}")
        return ids

    def encode_chat(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> list[int]:
        """The ids of a conversation as the checkpoint's own template writes it, up to where the assistant answers.

        What the turns say stays text, whatever special tokens it spells.

        Args:
            messages: the turns so far, each with a role and its content.
            tools: functions that the model is told of, as Hugging Face's templates expect them.

        Raises:
            InputError: they are no conversation, or none that the template takes.
            ContextLengthError: they are far too long.
            BundleError: the bundle has no template, or one that cannot be used.
        """
        said = sum(len(turn["content"]) for turn in messages if isinstance(turn.get("content"), str))
        see_that_it_may_fit(self.tokenizer, said + len(messages), self.manifest.context)
        return self._chat.encode(messages, tools)

    @property
    def calling(self) -> Calling:
        """How the model calls functions.

        Raises:
            BundleError: the bundle has no chat template.
        """
        return self._chat.calling

    def compile(self, settings: Settings) -> Grammar | None:
        """What texts with these settings must keep to; None where that is nothing. Most take a millisecond, once.

        Raises:
            InputError: no text of this bundle can be kept to it.
            BundleError: none of its texts can be kept to anything.
        """
        if (source := settings.grammar) is None:
            return None
        if not self.manifest.end_ids:
            raise BundleError(
                f"the bundle {self.manifest.name} knows no token that ends a text, so none can end where a schema "
                "does; use another bundle, or no schema",
                options=("bundle",),
            )
        try:
            return self._grammars.compile(source)
        except InputError as error:
            given = tuple(name for name in GRAMMARS if getattr(settings, name) is not None)
            raise InputError(str(error), options=given) from None

    def verifiers(self, domain: str) -> tuple[str, ...]:
        """Those that may doubt a text, by name: the one that was asked for, or all of them.

        Raises:
            InputError: there is none of that name.
        """
        known = self.manifest.verifiers
        if domain == AUTO:
            return known
        if domain not in known:
            raise InputError(
                f"the bundle {self.manifest.name} has no verifier for the domain {domain!r}; give {AUTO}, or one of "
                f"{', '.join(known)}",
                options=("domain",),
            )
        return (domain,)

    @cached_property
    def _grammars(self) -> GrammarEngine:
        return GrammarEngine(self.tokenizer, self.manifest.vocabulary)

    @cached_property
    def _chat(self) -> ChatEncoder:
        if self.manifest.chat is None:
            raise BundleError(
                f"the bundle {self.manifest.name} has no chat template; give a plain prompt, or make the bundle again "
                "from a checkpoint that has one"
            )
        from shared.chat.prompt import ChatEncoder  # with it comes Jinja, which only a chat needs

        return ChatEncoder(self.tokenizer, self.manifest.chat, self.manifest.end_ids)
