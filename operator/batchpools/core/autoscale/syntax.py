"""The parts of a parsed formula: frozen, each with its place in the text. No behaviour.

Operators of one rank stand side by side in a `Chain`, and `a ? b : c ? d : e` is one `Choice`: so what is long is not deep.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Number:
    """A number as typed."""

    value: float
    offset: int


@dataclass(frozen=True, slots=True)
class Text:
    """A string as typed, without its quotes."""

    value: str
    offset: int


@dataclass(frozen=True, slots=True)
class Name:
    """A variable, a constant or a deallocation word."""

    name: str
    offset: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function with its arguments. function: lower case."""

    function: str
    arguments: "tuple[Expression, ...]"
    offset: int


@dataclass(frozen=True, slots=True)
class Member:
    """`target.name` or, with arguments, `target.name(...)`. name: lower case; arguments None = not called."""

    target: "Expression"
    name: str
    arguments: "tuple[Expression, ...] | None"
    offset: int


@dataclass(frozen=True, slots=True)
class Signs:
    """`-` and `!` before an operand; the last one is the nearest."""

    signs: tuple[str, ...]
    operand: "Expression"
    offset: int


@dataclass(frozen=True, slots=True)
class Step:
    """An operator and what stands to its right; offset is the operator's."""

    operator: str
    operand: "Expression"
    offset: int


@dataclass(frozen=True, slots=True)
class Chain:
    """Operators of one rank, from left to right."""

    first: "Expression"
    steps: tuple[Step, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Choice:
    """The value of the first case whose condition is not 0, else `otherwise`. Only what is chosen is evaluated."""

    cases: "tuple[tuple[Expression, Expression], ...]"
    otherwise: "Expression"
    offset: int


Expression = Number | Text | Name | Call | Member | Signs | Chain | Choice


@dataclass(frozen=True, slots=True)
class Statement:
    """`name = value`, or with an empty name a value that is only evaluated."""

    name: str
    value: Expression
    offset: int


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula that can be evaluated: its text and its statements."""

    text: str
    statements: tuple[Statement, ...]
