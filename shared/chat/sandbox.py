"""The sandbox of chat templates: what transformers gives them, and nothing by which one could do harm.

A template is a program from elsewhere. It sees its conversation and the strings of special tokens; attributes behind an
underscore and changes of what it is given are forbidden by Jinja's own sandbox, and everything that grows is charged to
an `Account` before it is made.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sized
from datetime import datetime
from functools import wraps
from types import BuiltinMethodType
from typing import Any

from jinja2 import TemplateError, filters, nodes, pass_eval_context
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import EvalContext
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment, SecurityError
from jinja2.visitor import NodeTransformer

from shared.chat.account import account

# Whole numbers beyond this many bits are no business of a template.
_LARGEST_BITS = 4096
# Fields of a format that are 100 and more wide, or as wide as something else says.
_WIDE = re.compile(r"%(\([^)]*\))?[^a-zA-Z%]*(\*|\d{3})|\{[^{}]*(\{|:[^{}]*\d{3})")


class Generation(Extension):
    """``{% generation %}``, by which templates tell training what the assistant wrote: here, what is inside."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> nodes.Node:
        """See `Extension.parse`."""
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)


class Sandbox(ImmutableSandboxedEnvironment):
    """transformers' environment for chat templates, in which everything that grows is watched."""

    intercepted_binops = frozenset(["+", "*", "**", "%"])

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols], finalize=_weighed)
        known: dict[str, Callable[..., Any]] = {name: self.filters[name] for name in _FILTERS}
        texts = {name: _of_text(self.filters[name]) for name in _TEXT_FILTERS}
        known |= {"replace": _replace, "join": _join, "indent": _indent, "tojson": _of_text(_to_json)}
        self.filters = {name: _watched(function) for name, function in (known | texts).items()}
        self.tests = {name: _watched(function) for name, function in self.tests.items()}
        self.globals = {name: self.globals[name] for name in ("range", "dict", "namespace", "cycler", "joiner")}
        self.globals |= {"raise_exception": _raise_exception, "strftime_now": _strftime_now}

    def parse(self, source: str, name: str | None = None, filename: str | None = None) -> nodes.Template:
        """The template as a tree, in which loops count their steps and what is put together is charged for."""
        tree: nodes.Template = _Watch().visit(super().parse(source, name, filename))
        return tree

    @staticmethod
    def step() -> None:
        """A loop goes round, or a macro begins."""
        account.get().step()

    @staticmethod
    def made(value: object) -> object:
        """A list, tuple or mapping that is written out in the template."""
        return account.get().made(value)

    @staticmethod
    def concat(pieces: Iterable[str]) -> str:
        """Output put together: of the whole template, of a macro, of a block that is assigned."""
        return "".join(account.get().made("".join(account.get().gather(pieces))))

    @staticmethod
    def tied(*parts: object) -> str:
        """The operator ``~``."""
        return "".join(map(str, account.get().gather(parts)))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """A result that would be too large is not made."""
        spent = account.get()
        match operator, left, right:
            case "%", str() | bytes(), _:
                _check_format(left, right)
            case "+", Sized(), Sized():
                spent.step(len(left) + len(right))
            case ("*", Sized(), int()) | ("*", int(), Sized()):
                count, many = (right, left) if isinstance(right, int) else (left, right)
                spent.step(max(count, 0) * len(many))
            case "*", int(), int():
                _check_bits(left.bit_length() + right.bit_length())
            case "**", int(), int():
                _check_bits(left.bit_length() * abs(right))
        return spent.made(super().call_binop(context, operator, left, right))

    def call(self, context: Context, callee: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Functions of the template and of this module, and harmless methods of strings, lists and mappings."""
        if isinstance(callee, BuiltinMethodType):
            args = _checked(callee, args)
        return account.get().made(super().call(context, callee, *args, **kwargs))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """`str.format` as Jinja's sandbox has it, but for wide fields."""
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None

        def checked(*args: Any, **kwargs: Any) -> str:
            _check_format(value.__self__, (args, kwargs))
            return wrapped(*args, **kwargs)

        return checked


class _Watch(NodeTransformer):
    """Puts calls of the sandbox's own functions into a tree."""

    def visit_For(self, node: nodes.For | nodes.Macro | nodes.CallBlock) -> nodes.Node:
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_call("step", []), lineno=node.lineno))
        return node

    visit_Macro = visit_CallBlock = visit_For

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _call("tied", node.nodes, node.lineno)

    def visit_List(self, node: nodes.List | nodes.Tuple | nodes.Dict) -> nodes.Node:
        self.generic_visit(node)
        return node if getattr(node, "ctx", "load") != "load" else _call("made", [node], node.lineno)

    visit_Tuple = visit_Dict = visit_List


def _call(name: str, arguments: list[nodes.Expr], line: int | None = None) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute(name), arguments, [], None, None, lineno=line)


def _weighed(value: object) -> object:
    """What is written into the output, seen to be of a bearable length as text."""
    if not isinstance(value, str):
        account.get().weigh(value)
    return value


def _watched(function: Any) -> Callable[..., Any]:
    """A filter or test that is charged for."""

    @wraps(function)  # which keeps the marks by which Jinja knows what to give it
    def watched(*args: Any, **kwargs: Any) -> Any:
        account.get().step()
        return account.get().made(function(*args, **kwargs))

    return watched


def _of_text(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that makes text of what it is given."""

    @wraps(function)
    def weighed(*args: Any, **kwargs: Any) -> Any:
        for value in args:
            _weighed(value)
        return function(*args, **kwargs)

    return weighed


def _raise_exception(message: object) -> None:
    raise TemplateError(str(_weighed(message))[:500])


def _strftime_now(form: str) -> str:
    _check_format(form, ())
    return datetime.now().strftime(form)


def _check_format(form: str | bytes, given: object) -> None:
    text = form.decode("latin-1") if isinstance(form, bytes) else form
    if _WIDE.search(text.replace("{{", "")):
        raise SecurityError("it formats text to a great width")
    fields = text.count("%") + text.count("{")
    account.get().step(25 * len(text) + fields * account.get().weigh(given))


def _check_bits(bits: int) -> None:
    if bits > _LARGEST_BITS:
        raise SecurityError("it calculates with very large numbers")


# Methods of strings whose result is no longer than what they are given.
_STRING_METHODS = {
    *("capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha", "isascii", "isdecimal"),
    *("isdigit", "isidentifier", "islower", "isnumeric", "isprintable", "isspace", "istitle", "isupper", "lower"),
    *("lstrip", "partition", "removeprefix", "removesuffix", "rfind", "rindex", "rpartition", "rsplit", "rstrip"),
    *("split", "splitlines", "startswith", "strip", "swapcase", "title", "upper"),
}
_PADDING_METHODS = {"center", "ljust", "rjust", "zfill"}


def _checked(method: BuiltinMethodType, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments with which a method may be called."""
    owner, name = method.__self__, method.__name__
    match owner, name, args:
        case str(), "replace", (old, new, *_):
            _check_replace(owner, old, new)
        case str(), "join", (items,):
            return (account.get().gather(items, len(owner)),)
        case str(), _, (int() as width, *_) if name in _PADDING_METHODS:
            account.get().check_size(width)
        case (str(), _, _) if name in _STRING_METHODS:
            pass
        case (dict() | list() | tuple(), _, _) if name != "fromkeys":
            pass
        case _:
            raise SecurityError(f"it calls the method `{name}` of `{type(owner).__name__}`")
    return args


def _check_replace(text: str, old: str, new: str) -> None:
    account.get().step(len(text) + text.count(old) * len(new))


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """As transformers has it; Jinja's own would write the signs of HTML in another way."""
    if indent is not None and not (isinstance(indent, int) and indent <= 16):
        raise SecurityError("it indents JSON by more than 16")
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


@pass_eval_context
def _replace(context: EvalContext, text: Any, old: str, new: str, count: int | None = None) -> str:
    _check_replace(str(_weighed(text)), old, new)
    return filters.do_replace(context, text, old, new, count)


@pass_eval_context
def _join(context: EvalContext, items: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    return filters.sync_do_join(context, account.get().gather(items, len(d)), d, attribute)


def _indent(text: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    step = len(width) if isinstance(width, str) else width
    _weighed(text)
    account.get().step(len(str(text)) + step * (len(str(text).splitlines()) + 1))
    return filters.do_indent(text, width, first, blank)


# Of Jinja's filters, those whose result is bounded by what they are given; the second make text of it.
_FILTERS = (
    *("abs", "count", "d", "default", "dictsort", "first", "float", "int", "items", "last", "length", "list", "map"),
    *("max", "min", "reject", "rejectattr", "reverse", "select", "selectattr", "sort", "unique"),
)
_TEXT_FILTERS = ("capitalize", "e", "escape", "lower", "safe", "string", "title", "trim", "upper", "wordcount")
