"""What the answer to a request must keep to: a schema, and calls of functions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from edge_client.bundles.bundle import Bundle
from edge_client.server.errors import ApiError
from edge_client.server.tools import Tools
from edge_client.settings import Options, Settings
from shared.chat.calling import CallForm
from shared.errors import InputError
from shared.grammar.calls import calls, calls_or_json, calls_or_words
from shared.grammar.source import OBJECT, canonical_schema

_FORMATS = "text, json_object or json_schema"
_UNTOLD = (
    "the chat template of this bundle does not tell the model of functions; a system turn in plain words does, and how "
    "well the model understands it is not known"
)


@dataclass(frozen=True)
class Structure:
    """What is asked of the form of an answer.

    Attributes:
        schema: of an answer in JSON.
        tools: what it may call.
        param: the field that asks for it; None where none does.
        form: of a call; known once a bundle is.
        warnings: what whoever asks should know.
    """

    schema: str | None = None
    tools: Tools | None = None
    param: str | None = None
    form: CallForm | None = None
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, schema: str | None, tools: Tools | None, schema_field: str) -> Structure:
        """What a request asks for.

        Args:
            schema_field: by which the schema was given.

        Raises:
            ApiError: it asks for both at once.
        """
        if tools is None:
            return cls(schema, param=None if schema is None else schema_field)
        if tools.must and schema is not None:
            raise ApiError(
                400,
                f"an answer that calls a function has the form of its parameters: leave `{schema_field}` out, or give "
                '"auto" or "none" as `tool_choice`',
                param=schema_field,
            )
        return cls(schema, tools, "tools")

    def settled(self, bundle: Bundle) -> Structure:
        """The same, for answers of a bundle.

        Raises:
            InputError: no answer can have this form.
            BundleError: the bundle writes no conversations.
        """
        if self.tools is None:
            return self
        calling = bundle.calling
        return replace(self, form=calling.form, warnings=() if calling.is_told else (_UNTOLD,))

    def compile(self, bundle: Bundle, settings: Settings) -> None:
        """Make ready what answers of a bundle are kept to, which may take a moment.

        Raises:
            InputError: no answer can be kept to it.
            BundleError: the bundle's texts can be kept to nothing.
        """
        try:
            bundle.compile(settings.override(**self.options))
        except InputError:
            for name, parameters in (self.tools.parameters if self.tools else {}).items():
                # All functions together are a grammar that nobody has seen; by itself, what is wrong has a name.
                try:
                    bundle.compile(settings.override(json_schema=canonical_schema(parameters)))
                except InputError as error:
                    raise InputError(f"the parameters of the function {name}: {error}") from None
            raise

    @property
    def options(self) -> Options:
        """Of the text, which see to it.

        Raises:
            InputError: an answer that may be a call or JSON could be either.
        """
        if self.tools is None or self.form is None:
            return {} if self.schema is None else {"json_schema": self.schema}
        if self.tools.must:
            return {"lark": calls(self.form, self.tools.parameters)}
        if self.schema is None:
            return {"lark": calls_or_words(self.form, self.tools.parameters)}
        return {"lark": calls_or_json(self.form, self.tools.parameters, self.schema)}


def read_format(name: str, value: Any, is_flat: bool = False) -> str | None:
    """The schema of an answer; None where it is a text.

    Args:
        is_flat: the schema stands in the format itself, and not in its field `json_schema`.

    Raises:
        InputError: it is no format.
    """
    match value:
        case {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return canonical_schema(OBJECT)
        case {"type": "json_schema"}:
            place, named = (name, value) if is_flat else (f"{name}.json_schema", value.get("json_schema"))
            if isinstance(named, dict):
                # `strict` or not, it is kept to; name and description are for people.
                if (schema := named.get("schema")) is None:
                    raise InputError(f"{place}.schema is missing: give the schema that the answer keeps to")
                if not isinstance(schema, dict):
                    raise InputError(f"{place}.schema must be an object")
                return canonical_schema(schema)
    raise InputError(f"{name} must be an object whose type is {_FORMATS}, the last with its schema")
