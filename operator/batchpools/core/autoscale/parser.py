"""Reads a formula: any text becomes a `Formula` or a FormulaError, in time that grows with its length. Pure.

It decides the limits (8,192 characters, 100 statements, depth) and the grammar: precedence as in C, a statement ends with `;`,
the last one need not. What names mean is `checks`'.
"""

from collections.abc import Callable
from functools import lru_cache

from batchpools.core.autoscale.checks import check_statements
from batchpools.core.autoscale.errors import FormulaCode, FormulaError
from batchpools.core.autoscale.lexer import Kind, Token, tokens
from batchpools.core.autoscale.syntax import (
    Call,
    Chain,
    Choice,
    Expression,
    Formula,
    Member,
    Name,
    Number,
    Signs,
    Statement,
    Step,
    Text,
)

MAX_CHARACTERS = 8192
MAX_STATEMENTS = 100
MAX_DEPTH = 32

_RANKS = {
    "||": 1,
    "&&": 2,
    "==": 3,
    "!=": 3,
    "<": 4,
    "<=": 4,
    ">": 4,
    ">=": 4,
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
}


@lru_cache(maxsize=64)  # pools are evaluated again and again
def parse(text: str) -> Formula:
    """The formula that a text is; FormulaError with a place when it is none."""
    if len(text) > MAX_CHARACTERS:
        sentence = f"a formula has at most {MAX_CHARACTERS} characters, this one has {len(text)}"
        raise FormulaError(FormulaCode.TOO_LONG, sentence, text, MAX_CHARACTERS)
    statements = _Parser(text).statements()
    check_statements(text, statements)
    return Formula(text, statements)


class _Parser:
    """One pass over the tokens of one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(tokens(text))
        self._at = 0
        self._depth = 0

    def statements(self) -> tuple[Statement, ...]:
        found: list[Statement] = []
        while not self._is_at_end():
            if self._take(";"):
                continue
            if len(found) == MAX_STATEMENTS:
                raise self._error(f"a formula has at most {MAX_STATEMENTS} statements", self._now)
            found.append(self._statement())
            if not (self._is_at_end() or self._take(";")):
                raise self._error(f"';' or an operator is missing before {self._now.words}", self._now)
        return tuple(found)

    def _statement(self) -> Statement:
        token = self._now
        if token.kind is Kind.NAME and self._tokens[self._at + 1].text == "=":
            self._at += 2
            return Statement(token.text, self._expression(), token.offset)
        return Statement("", self._expression(), token.offset)

    def _expression(self) -> Expression:
        """A ternary or what stands in its place."""
        begin = self._now
        cases: list[tuple[Expression, Expression]] = []
        value = self._operators(1)
        while self._take("?"):
            chosen = self._deeper(self._expression)
            self._expect(":")
            cases.append((value, chosen))
            value = self._operators(1)
        return Choice(tuple(cases), value, begin.offset) if cases else value

    def _operators(self, rank: int) -> Expression:
        """Operators of this rank and above, from left to right."""
        begin = self._now
        value = self._signed()
        while (found := self._rank()) >= rank:
            steps: list[Step] = []
            while self._rank() == found:
                operator = self._next()
                steps.append(Step(operator.text, self._operators(found + 1), operator.offset))
            value = Chain(value, tuple(steps), begin.offset)
        return value

    def _rank(self) -> int:
        token = self._now
        return _RANKS.get(token.text, 0) if token.kind is Kind.MARK else 0

    def _signed(self) -> Expression:
        begin = self._now
        signs: list[str] = []
        while self._now.kind is Kind.MARK and self._now.text in "-!":
            signs.append(self._next().text)
        operand = self._postfix()
        return Signs(tuple(signs), operand, begin.offset) if signs else operand

    def _postfix(self) -> Expression:
        value = self._primary()
        depth = self._depth
        while self._take("."):
            self._depth += 1
            self._check_depth(self._now)
            token = self._next()
            if token.kind is not Kind.NAME:
                raise self._error(f"the name of a member is expected, not {token.words}", token)
            arguments = self._arguments() if self._take("(") else None
            value = Member(value, token.text.lower(), arguments, token.offset)
        self._depth = depth
        return value

    def _primary(self) -> Expression:
        token = self._next()
        if token.kind is Kind.NUMBER:
            return self._number(token)
        if token.kind is Kind.STRING:
            return Text(token.text[1:-1], token.offset)
        if token.kind is Kind.NAME:
            if self._take("("):
                return Call(token.text.lower(), self._arguments(), token.offset)
            return Name(token.text, token.offset)
        if token.text == "(":
            value = self._deeper(self._expression)
            self._expect(")")
            return value
        raise self._error(f"a value is expected, not {token.words}", token)

    def _number(self, token: Token) -> Number:
        value = float(token.text)
        if value == float("inf"):
            raise self._error("this number is too large", token)
        return Number(value, token.offset)

    def _arguments(self) -> tuple[Expression, ...]:
        """What stands in the parentheses of a call; the first one is taken already."""
        if self._take(")"):
            return ()
        found = [self._deeper(self._expression)]
        while self._take(","):
            found.append(self._deeper(self._expression))
        self._expect(")")
        return tuple(found)

    def _deeper(self, read: Callable[[], Expression]) -> Expression:
        self._depth += 1
        self._check_depth(self._now)
        value = read()
        self._depth -= 1
        return value

    def _check_depth(self, token: Token) -> None:
        if self._depth > MAX_DEPTH:
            raise self._error(f"parentheses, calls and choices nest at most {MAX_DEPTH} deep", token)

    def _is_at_end(self) -> bool:
        return self._now.kind is Kind.END

    @property
    def _now(self) -> Token:
        return self._tokens[self._at]

    def _next(self) -> Token:
        token = self._tokens[self._at]
        if token.kind is not Kind.END:
            self._at += 1
        return token

    def _take(self, mark: str) -> bool:
        token = self._now
        if token.kind is Kind.MARK and token.text == mark:
            self._at += 1
            return True
        return False

    def _expect(self, mark: str) -> None:
        if not self._take(mark):
            raise self._error(f"'{mark}' is missing before {self._now.words}", self._now)

    def _error(self, sentence: str, token: Token) -> FormulaError:
        return FormulaError(FormulaCode.SYNTAX, sentence, self._text, token.offset)
