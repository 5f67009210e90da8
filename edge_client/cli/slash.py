"""Lines of a chat that begin with a slash: commands to the program, and what they are called."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from shared.errors import InputError

# What stands behind each command, and what it does. In brackets: may be left out.
COMMANDS = {
    "help": ("", "what can be typed"),
    "mode": ("[NAME]", "who writes: sprint, exact, local, cloud or auto"),
    "budget": ("[SHARE]", "most off-target tokens per token shown: 1%, or 0.01"),
    "temperature": ("[T]", "the lower, the likelier the tokens"),
    "system": ("[TEXT]", 'what the model is told before all turns; "" for nothing'),
    "edit": ("", "take back the last question and its answer, and type it again"),
    "retry": ("", "another answer to the last question, with another seed"),
    "undo": ("", "take back the last question and its answer"),
    "clear": ("", "forget all turns"),
    "save": ("FILE", "keep the conversation in a file, as JSON"),
    "save!": ("FILE", "the same, over a file that is there already"),
    "load": ("FILE", "go on with the conversation of a file"),
    "stats": ("", "calls, tokens and bytes of this conversation, and the last seed"),
    "quit": ("", "end the chat"),
}


@dataclass(frozen=True)
class Command:
    """A command, and what stands behind it."""

    name: str
    argument: str


def read_line(line: str) -> Command | str:
    """What a line means: a command, or text for the model; of two slashes that it begins with, one is the text's.

    Raises:
        InputError: there is no such command, or it is given too much or too little.
    """
    if line.startswith("//"):
        return line[1:]
    if not line.startswith("/"):
        return line
    name, _, argument = line[1:].partition(" ")
    name, argument = name.strip(), argument.strip()
    if name not in COMMANDS:
        nearest = get_close_matches(name.lower(), COMMANDS, 1, 0.0) if name else []
        raise InputError(
            f"there is no command /{name}; {f'the nearest is /{nearest[0]}, and ' if nearest else ''}/help lists all "
            "(text that begins with a slash takes two)"
        )
    takes = COMMANDS[name][0]
    if argument and not takes:
        raise InputError(f"/{name} takes nothing behind it; for text that begins with a slash, type two")
    if not argument and takes.isalpha():
        raise InputError(f"/{name} needs a {takes.lower()}, as in: /{name} talk.json")
    return Command(name, argument)


def help_text() -> str:
    """All commands, and how else a chat is led."""
    width = max(len(f"{name} {takes}") for name, (takes, _) in COMMANDS.items())
    rows = [f"  /{f'{name} {takes}':<{width}}  {text}" for name, (takes, text) in COMMANDS.items()]
    return "\n".join(
        [
            *rows,
            "A line that ends with a backslash goes on in the next; // at the beginning is a slash of the text.",
            "Ctrl-C stops an answer, or clears the line; twice at the prompt, or Ctrl-D, ends the chat.",
        ]
    )
