"""Where values come from: flags, the environment, the file, defaults, in this order, for every option that there is."""

from __future__ import annotations

import argparse
import json
import os
import re
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_client.cli.arguments import COMMANDS, parse_args
from edge_client.cli.parser import Parser
from edge_client.configuration.program import EDGE
from edge_client.configuration.variables import OTHERS
from shared.configuration.options import ON_THE_COMMAND_LINE_ONLY, is_switch, key_of, takes_several
from shared.configuration.origin import Source
from shared.configuration.resolve import Commands, resolve
from shared.errors import InputError

OPTIONS = [
    (command, action) for command, make in COMMANDS.parsers.items() for action in make()._actions if key_of(action)
]
# What does not go together on a command line has tests of its own.
APART = {"learn", "prefer", "explain", "coupling"}
COMMON = [(command, action) for command, action in OPTIONS if key_of(action) not in APART]


def typed(action: argparse.Action) -> st.SearchStrategy[object]:
    """Values of an option, as TOML has them and as the command line reads them, that are not its default."""
    if is_switch(action):
        return st.booleans()
    if action.choices is not None:
        return st.sampled_from(list(action.choices))
    words = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=8)
    if takes_several(action):
        return st.lists(words, min_size=1, max_size=3)
    try:
        is_whole = action.type is not None and isinstance(action.type("1"), int)
        is_number = action.type is not None and isinstance(action.type("1"), int | float)
    except argparse.ArgumentTypeError:
        is_number = False
    if not is_number:
        return words
    return st.integers(0, 99) if is_whole else st.integers(0, 99).map(float) | st.integers(0, 99)


def as_text(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else "\n".join(value) if isinstance(value, list) else str(value)


def as_flags(action: argparse.Action, value: object) -> list[str]:
    key = key_of(action)
    if isinstance(value, bool):
        opposite = f"--{key.removeprefix('no-')}" if key.startswith("no-") else f"--no-{key}"
        return [f"--{key}" if value else opposite]
    return [f"--{key}={each}" for each in (value if isinstance(value, list) else [value])]


def shown(value: object, directory: Path) -> object:
    """A value without what its source makes of it: a path of a file is beside it."""
    return str(value.relative_to(directory)) if isinstance(value, Path) and value.is_relative_to(directory) else value


@pytest.mark.parametrize(("command", "action"), COMMON, ids=[f"{c} --{key_of(a)}" for c, a in COMMON])
@settings(max_examples=8)
@given(data=st.data())
def test_the_first_source_that_has_a_value_gives_it(config, command, action, data):
    key = key_of(action)
    sources = data.draw(st.sets(st.sampled_from(["flag", "environment", "table", "top"])))
    values = {source: data.draw(typed(action)) for source in sorted(sources)}
    top = f"{key} = {json.dumps(values['top'])}\n" if "top" in values else ""
    table = f"[{command}]\n{key} = {json.dumps(values['table'])}\n" if "table" in values else ""
    variables = {EDGE.variable_of(key): as_text(values["environment"])} if "environment" in values else {}
    arguments = as_flags(action, values["flag"]) if "flag" in values else []
    with config(top + table, **variables):
        options = parse_args([command, *arguments])
        directory = Path(os.environ["TANDEM_CONFIG"]).parent
    first = next((source for source in ("flag", "environment", "table", "top") if source in values), None)
    origin, found = options.origins[action.dest], getattr(options, action.dest)
    expected = {"flag": Source.FLAG, "environment": Source.ENVIRONMENT, None: Source.DEFAULT}
    assert origin.source is expected.get(first, Source.FILE)
    if first is None:
        with config(""):
            assert found == getattr(parse_args([command]), action.dest)
    elif is_switch(action):
        assert found is (values[first] is action.const)
    else:
        text = [str(each) for each in found] if takes_several(action) else str(shown(found, directory))
        wanted = values[first] if takes_several(action) else str(values[first])
        assert text == wanted or float(text) == float(wanted)
    if first in ("table", "top"):
        assert (origin.name, origin.line) == ((f"{command}.{key}", 3 if top else 2) if first == "table" else (key, 1))


def test_what_one_call_asks_for_cannot_be_configured(config):
    every = {name for make in COMMANDS.parsers.values() for a in make()._actions for name in a.option_strings}
    assert {f"--{name}" for name in ON_THE_COMMAND_LINE_ONLY} <= every, "the list holds what there is"
    for name in sorted(ON_THE_COMMAND_LINE_ONLY):
        with config(f"{name} = true\n"), pytest.raises(InputError, match=r"tandem\.toml, line 1: "):
            parse_args([])
        with config("", **{EDGE.variable_of(name): "1"}):
            assert not getattr(parse_args([]), name, False)


def test_every_option_can_be_configured_or_is_said_not_to_be():
    for command, make in COMMANDS.parsers.items():
        for action in make()._actions:
            names = {name.lstrip("-") for name in action.option_strings if name.startswith("--")}
            assert not names or key_of(action) or names & ON_THE_COMMAND_LINE_ONLY, f"{command}: {names}"
    assert not {EDGE.variable_of(key_of(action)) for _, action in OPTIONS} & OTHERS.keys(), "one variable, one meaning"


def test_options_of_every_kind_are_taken_as_they_are(config):
    """Whatever argparse offers, for options that are yet to come."""

    def parser() -> Parser:
        made = Parser()
        made.set_defaults(command="new")
        made.add_argument("--split", action=argparse.BooleanOptionalAction, default=True)
        made.add_argument("--caps", nargs="+", type=int, default=[1])
        made.add_argument("--words", action="extend", nargs="+", default=[])
        made.add_argument("--maybe", nargs="?", const="there", type=str.upper)
        made.add_argument("--no-prices", dest="prices", action="store_false")
        made.add_argument("--pair", nargs=2)  # which cannot be
        return made

    def read(*words: str) -> dict[str, object]:
        found = vars(resolve(parser().parse_args(words), Commands(EDGE, {"new": parser})))
        return {name: value for name, value in found.items() if name not in ("command", "origins")}

    nothing = {"split": True, "caps": [1], "words": [], "maybe": None, "prices": True, "pair": None}
    with config(""):
        assert read() == nothing
        given = read("--no-split", "--caps", "2", "3", "--words", "a", "--words", "b", "c", "--maybe", "--no-prices")
        assert given == {
            "split": False,
            "caps": [2, 3],
            "words": ["a", "b", "c"],
            "maybe": "THERE",
            "prices": False,
        } | {"pair": None}
    text = 'split = false\ncaps = [4, 5]\nwords = "d"\nmaybe = "e"\nno-prices = true\n'
    configured = {"split": False, "caps": [4, 5], "words": ["d"], "maybe": "E", "prices": False, "pair": None}
    with config(text):
        assert read() == configured
        assert read("--split", "--prices") == configured | {"split": True, "prices": True}
    with config("", TANDEM_SPLIT="no", TANDEM_CAPS="4\n5", TANDEM_WORDS="d", TANDEM_MAYBE="e", TANDEM_NO_PRICES="1"):
        assert read() == configured
    with config("pair = [1, 2]"), pytest.raises(InputError, match="there is no such option"):
        read()


@pytest.mark.parametrize("option", ["no-memory", "no-audit", "tls", "quiet"])
def test_a_switch_is_turned_off_by_its_opposite(config, option):
    opposite = option.removeprefix("no-") if option.startswith("no-") else f"no-{option}"
    name = option.replace("-", "_")
    with config(f"{option} = true\n"):
        assert getattr(parse_args([]), name) is True
        options = parse_args([f"--{opposite}"])
        assert (getattr(options, name), str(options.origins[name])) == (False, f"--{opposite}")
        assert getattr(parse_args([f"--{opposite}", f"--{option}"]), name) is True
    assert f"--{opposite}" not in COMMANDS.parsers["generate"]().format_help().replace(f"--{option}", "")


def test_a_standing_wish_that_does_not_apply_gives_way(config):
    with config('prefer = "cost"\nlearn = true\n'):
        assert parse_args(["Tom"]).learn
        assert parse_args(["--mode", "auto"]).prefer == "cost"
        for arguments in (["--mode", "exact"], ["--budget", "0"], ["--no-memory"]):
            assert parse_args(arguments).learn is False
    for flag in ("--prefer=cost", "--explain"):
        with config(""), pytest.raises(SystemExit):
            parse_args([flag])
    with config("learn = true\nno-memory = true\n"), pytest.raises(SystemExit):
        parse_args([])


def test_a_machine_that_is_local_only_goes_before_the_file(config):
    with config('mode = "auto"\n', TANDEM_LOCAL_ONLY="1"):
        options = parse_args(["Tom"])
        assert (options.mode, str(options.origins["mode"])) == ("local", "TANDEM_LOCAL_ONLY in the environment")
        assert parse_args(["--mode", "exact", "Tom"]).mode == "exact"  # which is refused, and says why


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("budgt = 0.1", "budgt in FILE, line 1: there is no such option; did you mean budget?"),
        ("\n\nmax_tokens = 5", "max_tokens in FILE, line 3: there is no such option; did you mean max-tokens?"),
        ('token = "secret"', "token in FILE, line 1: there is no such option; did you mean token-file?"),
        ("zzzzz = 1", "zzzzz in FILE, line 1: there is no such option; `edge-client config show` lists them all"),
        ("[chat]\nport = 1", "chat.port in FILE, line 2: there is no such option of `edge-client chat`; "),
        ("[chats]\nmode = 1", "chats in FILE, line 1: there is no such command; did you mean chat?"),
        ("serve = 3", "serve in FILE, line 1: must be a table: begin it with [serve]"),
        ('budget = "much"', "budget in FILE, line 1: must be a number, or per cent such as 1%, not 'much'"),
        ("seed = 1.5", "seed in FILE, line 1: must be a whole number, not '1.5'"),
        ("target = 3", "target in FILE, line 1: must be text, in quotes, not 3"),
        ("budget = true", "budget in FILE, line 1: must be text or a number, not true"),
        ("tls = 1", "tls in FILE, line 1: must be true or false, not 1"),
        ("seed = 2026-11-27", "seed in FILE, line 1: must be text or a number, not 2026-11-27"),
        ("mode = ['auto']", "mode in FILE, line 1: must be text or a number, not a list"),
        ("stop = [1]", "stop in FILE, line 1: must be text, in quotes, not 1"),
        ("mode = 'slow'", "mode in FILE, line 1: must be one of sprint, exact, local, cloud, auto, not 'slow'"),
        ("mode =", "FILE is no TOML: Invalid value"),
        ("seed = 1\nseed = 2", "FILE is no TOML: Cannot overwrite a value"),
        (b"\xff\xfe", "FILE is no TOML: 'utf-8' codec can't decode byte 0xff"),
        ("a = " + 5000 * "[", "FILE is no TOML: "),
        ("seed = " + 5000 * "9", "FILE is no TOML: "),
        ("#" * (65 << 10), "FILE has more than 64 KiB"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(config, text, sentence):
    with config(text), pytest.raises(InputError) as refused:
        parse_args(["Tom"])
    file = str(refused.value).replace(re.search(r"/\S*tandem\.toml", str(refused.value))[0], "FILE")
    assert file.startswith(sentence)


def end_of(arguments: list[str]) -> str:
    """What becomes of a command line: "read", "refused", or the sentence about a file or a variable."""
    try:
        parse_args(arguments)
    except InputError as error:
        return str(error)
    except SystemExit as end:  # options that do not go together
        return "refused" if end.code == 2 else str(end.code)
    return "read"


@given(
    text=st.text(st.sampled_from("[]{}=\"'\n\r\\ .#budgetchatmode0123456789e-_:,\x00é"), max_size=60)
    | st.binary(max_size=40)
)
def test_no_file_breaks_the_program(config, text):
    with config(text):
        end = end_of(["Tom"])
    assert end in ("read", "refused") or "tandem.toml" in end


def test_wrong_values_of_the_environment_are_named(config):
    for name, value, sentence in (
        ("TANDEM_BUDGET", "x", "TANDEM_BUDGET in the environment: must be a number"),
        ("TANDEM_TLS", "maybe", "TANDEM_TLS in the environment: must be 1 or 0, not 'maybe'"),
        ("TANDEM_MODE", "slow", "TANDEM_MODE in the environment: must be one of sprint"),
        ("TANDEM_CA", "~nobody-at-all/x", "TANDEM_CA in the environment: there is no home directory for"),
    ):
        with config("", **{name: value}), pytest.raises(InputError, match=sentence):
            parse_args(["Tom"])
    with config("", TANDEM_BUDGET=""):
        assert parse_args(["Tom"]).origins["budget"].source is Source.DEFAULT


def test_commands_about_a_bundle_take_over_what_texts_have(config):
    with config('bundle = "mine"\nport = 1\n'):
        for words in (["info"], ["verifier", "report"], ["verifier", "reset"]):
            options = parse_args(words)
            assert (options.bundle.name, options.origins["bundle"].line) == ("mine", 1)
            assert parse_args([*words, "--bundle", "b"]).bundle == Path("b")
    with config('target = "gpu:1"\n'):
        assert parse_args(["bundle", "pull"]).target == "gpu:1"
        assert parse_args(["usage"]).target is None, "an option of the same name that means something else"
    with config('[chat]\nbundle = "mine"\n', TANDEM_BUNDLE="theirs"):
        assert parse_args(["info"]).bundle == Path("theirs")


TEXTS = [(command, action) for command, action in OPTIONS if not is_switch(action)]


@pytest.mark.parametrize(("command", "action"), TEXTS, ids=[f"{c} --{key_of(a)}" for c, a in TEXTS])
def test_an_empty_value_is_refused_where_it_cannot_be_empty(config, command, action):
    key = str(key_of(action))
    forgiving = command == "doctor"  # which tells of it instead
    with config(f'\n[{command}]\n{key} = ""\n'):
        if action.default == "" or forgiving:
            assert getattr(parse_args([command]), action.dest) == action.default
        else:
            with pytest.raises(InputError, match=rf"^{command}\.{key} in .*tandem\.toml, line 3: must "):
                parse_args([command])
    with config(""), pytest.raises(SystemExit) if action.default != "" else nullcontext():
        parse_args([command, f"--{key}", ""])


def test_what_does_not_go_together_is_told_with_where_it_stands(config, capsys):
    with config("no-memory = true\n[generate]\nlearn = true\n"), pytest.raises(SystemExit):
        parse_args(["Tom"])
    assert re.search(
        r"generate\.learn in .*tandem\.toml, line 3: keeps .*, and no-memory forbids that; .*"
        r"\(no-memory in .*tandem\.toml, line 1\); see",
        capsys.readouterr().err,
    )
