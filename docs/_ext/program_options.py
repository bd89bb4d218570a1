# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Prints the arguments of programs in bin/ as JSON: ``program_options.py show_crash spool``.

``reference`` runs this in a process of its own, because the programs patch the standard library for gevent when they
are imported. Each ``main`` is stopped where it would read its command line: by then its parser is complete.
"""

import argparse
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


class ParserFound(Exception):
    """Carries the parser of a program out of its ``main``."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


def stop_with_parser(parser: argparse.ArgumentParser, *_args: Any, **_options: Any) -> NoReturn:
    """Stand in for ``ArgumentParser.parse_known_args``, which ``parse_args`` calls."""
    raise ParserFound(parser)


def parser_of(program: str) -> argparse.ArgumentParser:
    """Return the parser of a program."""
    try:
        importlib.import_module(f"bin.{program}").main()
    except ParserFound as found:
        return found.parser
    raise AssertionError(f"bin/{program}.py reads no command line")


def commands_of(parser: argparse.ArgumentParser) -> Iterator[dict[str, Any]]:
    """Yield the program itself, if it has arguments, and each of its commands: name, help, arguments."""
    own: list[dict[str, str]] = []
    commands: list[dict[str, Any]] = []
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to list them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            helps = {choice.dest: choice.help for choice in action._choices_actions}  # noqa: SLF001 - as above
            commands = [
                {**next(commands_of(subparser)), "name": name, "help": helps.get(name) or ""}
                for name, subparser in action.choices.items()
            ]
        elif not isinstance(action, argparse._HelpAction) and action.help != argparse.SUPPRESS:  # noqa: SLF001 - as above
            own.append({"usage": usage_of(action), "help": help_of(action, parser)})
    if own or not commands:
        yield {"name": "", "help": "", "arguments": own}
    yield from commands


def usage_of(action: argparse.Action) -> str:
    """Return how an argument is written: ``--num NUM``, ``ID ...``."""
    choices = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else ""
    value = action.metavar or choices or (action.dest.upper() if action.option_strings else action.dest)
    value = " ".join(value) if isinstance(value, tuple) else value
    if action.nargs == 0:
        value = ""
    elif action.nargs in ("*", "+"):
        value = f"{value} ..."
    return " ".join(filter(None, [", ".join(action.option_strings), value]))


def help_of(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    """Return the help of an argument, its default filled in."""
    return (action.help or "") % {**vars(action), "prog": parser.prog}


if __name__ == "__main__":
    argparse.ArgumentParser.parse_known_args = stop_with_parser  # type: ignore[method-assign,assignment]  # see above
    json.dump({program: list(commands_of(parser_of(program))) for program in sys.argv[1:]}, sys.stdout)
