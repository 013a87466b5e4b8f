"""Decides what a command becomes: `commandLine` split as a shell would (without a shell), `$(NAME)` expanded as in a Pod. Pure.

Expansion is bounded: values that refer to values could otherwise grow without end in the agent's memory.
"""

import re
import shlex
from collections.abc import Mapping, Sequence

MAX_EXPANDED = 1 << 20  # characters of a command, and of its environment, after expansion

# As k8s.io/kubernetes third_party/forked/golang/expansion: whatever stands up to the next parenthesis is the name.
_REFERENCE = re.compile(r"\$(?:(\$)|\(([^)]*)\))")


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


def expand(text: str, environment: Mapping[str, str], limit: int = MAX_EXPANDED) -> str:
    """`$(NAME)` becomes its value, an unknown one stays as typed, `$$` becomes `$` (so `$$(NAME)` gives `$(NAME)`).

    ValueError when more than `limit` characters come of it.
    """
    size = len(text)

    def value(match: re.Match[str]) -> str:
        nonlocal size
        found = "$" if match[1] else environment.get(match[2], match[0])
        size += len(found) - len(match[0])
        if size > limit:
            raise ValueError(f"$(NAME) expands to more than {MAX_EXPANDED} characters")
        return found

    return _REFERENCE.sub(value, text)


def expand_all(words: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Each word expanded; ValueError when all of them together grow beyond the limit."""
    expanded = []
    left = MAX_EXPANDED
    for word in words:
        expanded.append(expand(word, environment, left))
        left -= len(expanded[-1])
    return expanded


def expand_environment(
    base: Mapping[str, str], pairs: Sequence[str], given: Mapping[str, str | None] | None = None
) -> dict[str, str]:
    """base with NAME=value pairs over it, in order; a value may refer to what stands before it. ValueError as `expand_all`.

    given: values that came from elsewhere, in place of a pair's own: they are taken as they are, None leaves the variable out.
    """
    given = given or {}
    environment = dict(base)
    left = MAX_EXPANDED
    for pair in pairs:
        name, _, text = pair.partition("=")
        if name in given:
            value = given[name]
            if value is not None:
                environment[name] = value
            continue
        environment[name] = expand(text, environment, left)
        left -= len(environment[name])
    return environment
