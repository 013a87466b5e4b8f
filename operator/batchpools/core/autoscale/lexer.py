"""Splits a formula into tokens, in one pass. It decides what a word, a number, a string and a comment are. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from batchpools.core.autoscale.errors import FormulaCode, FormulaError

_TOKEN = re.compile(
    r"""(?P<space>[\s\ufeff]+|//[^\n]*|/\*(?:[^*]|\*(?!/))*\*/)
      | (?P<number>(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
      | (?P<name>\$?[A-Za-z_][A-Za-z0-9_]*)
      | (?P<string>"[^"\n]*"|'[^'\n]*')
      | (?P<mark>&&|\|\||==|!=|<=|>=|/(?!\*)|[-+*<>!?:=;,.()])
    """,
    re.VERBOSE,
)


class Kind(StrEnum):
    """What a token is."""

    NUMBER = "number"
    NAME = "name"
    STRING = "string"
    MARK = "mark"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the formula; offset counts characters from its beginning."""

    kind: Kind
    text: str
    offset: int

    @property
    def words(self) -> str:
        """How a sentence names it."""
        if self.kind is Kind.END:
            return "the end of the formula"
        return f"'{self.text[:40]}'"


def tokens(text: str) -> Iterator[Token]:
    """All tokens, then one of kind END; FormulaError at a character that begins none."""
    offset = 0
    while offset < len(text):
        found = _TOKEN.match(text, offset)
        if found is None:
            raise FormulaError(FormulaCode.SYNTAX, _strange(text, offset), text, offset)
        if found.lastgroup and found.lastgroup != "space":
            yield Token(Kind(found.lastgroup), found.group(), offset)
        offset = found.end()
    yield Token(Kind.END, "", len(text))


def _strange(text: str, offset: int) -> str:
    letter = text[offset]
    if letter in "\"'":
        return "this string does not end on its line"
    if text.startswith("/*", offset):
        return "this comment does not end"
    if letter == "%":
        return "there is no operator '%'; write a percentage as a number"
    return f"{letter!r} has no meaning here"
