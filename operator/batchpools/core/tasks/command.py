"""Decides what a command becomes: `commandLine` split as a shell would (without a shell), `$(NAME)` expanded as in a Pod. Pure."""

import re
import shlex
from collections.abc import Mapping, Sequence

_REFERENCE = re.compile(r"\$(\$|\([-._a-zA-Z][-._a-zA-Z0-9]*\))")


def argv_of(command: Sequence[str], command_line: str) -> list[str]:
    """The words of a command; ValueError with a sentence when commandLine cannot be split or nothing is left."""
    if command:
        return list(command)
    try:
        words = shlex.split(command_line)
    except ValueError as error:
        raise ValueError(f"commandLine cannot be split into words: {error}") from None
    if not words:
        raise ValueError("the command is empty")
    return words


def expand(text: str, environment: Mapping[str, str]) -> str:
    """`$(NAME)` becomes its value, an unknown one stays as typed, `$$` becomes `$` (so `$$(NAME)` gives `$(NAME)`)."""

    def value(match: re.Match[str]) -> str:
        found = match.group(1)
        if found == "$":
            return "$"
        return environment.get(found[1:-1], match.group(0))

    return _REFERENCE.sub(value, text)


def expand_environment(base: Mapping[str, str], pairs: Sequence[str]) -> dict[str, str]:
    """base with NAME=value pairs over it, in order; a value may refer to what stands before it."""
    environment = dict(base)
    for pair in pairs:
        name, _, text = pair.partition("=")
        environment[name] = expand(text, environment)
    return environment
