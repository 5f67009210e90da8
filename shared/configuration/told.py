"""Errors about values, told with where each value comes from: a flag, a variable, or a line of a file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from shared.configuration.origin import Origin
from shared.errors import InputError, TandemError

_FLAG = re.compile(r"(?<![\w-])--([a-z][a-z0-9]*(?:-[a-z0-9]+)*)")


def told(error: TandemError, origins: Mapping[str, Origin]) -> str:
    """An error's sentence, and where the values are that it is about.

    A flag in it that nobody gave becomes the option's name, for the value stands elsewhere; where the sentence begins
    with it, with that place.

    Args:
        origins: where values come from, by the name of each option's attribute. Of what stands in a file or in the
            environment that place is told, and of all else the flag.
    """
    places: dict[str, None] = {}

    def name(found: re.Match[str]) -> str:
        origin = origins.get(found[1].replace("-", "_"))
        if origin is None or not origin.is_standing:
            return found[0]
        if found.start() == 0:
            return f"{origin}:"
        places[str(origin)] = None
        return origin.name

    sentence = _FLAG.sub(name, str(error))
    for option in error.options:
        origin = origins.get(option)
        places[str(origin) if origin and origin.is_standing else f"--{option.replace('_', '-')}"] = None
    return sentence + (f" ({', '.join(places)})" if places else "")


@contextmanager
def about(*options: str) -> Iterator[None]:
    """Errors of the block that name no option are about these.

    Args:
        options: by the names of their attributes.
    """
    try:
        yield
    except InputError as error:
        if not error.options and not _FLAG.search(str(error)):
            error.options = options
        raise
