"""The sandbox of chat templates: what transformers gives them, and nothing by which one could do harm.

A template is a program from elsewhere. It sees its conversation and the strings of special tokens; attributes behind an
underscore and changes of what it is given are forbidden by Jinja's own sandbox, and everything that grows is charged to
an `Account` before it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized
from datetime import datetime
from types import BuiltinMethodType
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment, SecurityError
from jinja2.visitor import NodeTransformer

from shared.chat.account import account
from shared.chat.filters import check_format, check_pattern, check_replace, known_filters, watched, weighed

# Whole numbers beyond this many bits are no business of a template.
_LARGEST_BITS = 4096


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
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols], finalize=weighed)
        self.filters = {name: watched(function) for name, function in known_filters().items()}
        self.tests = {name: watched(function) for name, function in self.tests.items()}
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
        return account.get().made("".join(account.get().gather(pieces)))

    @staticmethod
    def tied(*parts: object) -> str:
        """The operator ``~``."""
        return "".join(map(str, account.get().gather(parts)))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """A result that would be too large is not made."""
        spent = account.get()
        match operator, left, right:
            case "%", str() | bytes(), _:
                check_format(left, right)
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
            if callee.__name__ in _SLOW_METHODS:
                for pattern in (*args, *kwargs.values()):
                    check_pattern(pattern)
        return account.get().made(super().call(context, callee, *args, **kwargs))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """`str.format` as Jinja's sandbox has it, but for wide fields."""
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None

        def checked(*args: Any, **kwargs: Any) -> str:
            check_format(value.__self__, (args, kwargs))
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


def _raise_exception(message: object) -> None:
    raise TemplateError(str(weighed(message))[:500])


def _strftime_now(form: str) -> str:
    check_format(form, ())
    return datetime.now().strftime(form)


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
# Those of them that take the product of two lengths, for Python tries the argument at each place of the text.
_SLOW_METHODS = {"lstrip", "rfind", "rindex", "rpartition", "rsplit", "rstrip", "strip"}


def _checked(method: BuiltinMethodType, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments with which a method may be called."""
    owner, name = method.__self__, method.__name__
    match owner, name, args:
        case str(), "replace", (old, new, *_):
            check_replace(owner, old, new)
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
