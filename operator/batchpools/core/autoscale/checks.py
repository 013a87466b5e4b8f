"""What is wrong with a formula whatever its samples say: unknown names, wrong numbers of arguments, assignments to what is fixed.

Found when the formula is read, also in branches that are not chosen today. Types are found out when it is evaluated.
"""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import NoReturn

from batchpools.core.autoscale.errors import FormulaCode, FormulaError
from batchpools.core.autoscale.functions import ARGUMENTS
from batchpools.core.autoscale.syntax import (
    Call,
    Chain,
    Choice,
    Expression,
    Member,
    Name,
    Number,
    Signs,
    Statement,
    Text,
)
from batchpools.core.autoscale.vocabulary import (
    ALIASES,
    INTERVALS,
    SAMPLE_METHODS,
    SAMPLED,
    TIMESTAMP_MEMBERS,
    WORDS,
    WRITABLE,
    is_fixed,
    service_name,
)

_MANY = 1 << 30


def check_statements(text: str, statements: Iterable[Statement]) -> None:
    """FormulaError at the first thing that cannot be meant."""
    check = _Check(text)
    for statement in statements:
        check.statement(statement)


class _Check:
    """The names that are known so far."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._assigned: set[str] = set()

    def statement(self, statement: Statement) -> None:
        self._expression(statement.value)
        name = statement.name
        if not name:
            return
        if is_fixed(name):
            self._refuse(f"{name} cannot be assigned", statement.offset)
        if name.lower() in ARGUMENTS:
            self._refuse(f"{name} is a function and cannot be assigned", statement.offset)
        self._assigned.add(service_name(name) or name)

    def _expression(self, expression: Expression) -> None:
        match expression:
            case Number() | Text():
                return
            case Name():
                self._name(expression)
            case Call():
                self._call(expression)
            case Member():
                self._member(expression)
        for child in _children(expression):
            self._expression(child)

    def _name(self, name: Name) -> None:
        lower = name.name.lower()
        if name.name in self._assigned or is_fixed(lower) or lower in WRITABLE or lower in ALIASES:
            return
        if lower in ARGUMENTS:
            self._refuse(f"{name.name} is a function; its arguments are missing", name.offset)
        known = [*self._assigned, *SAMPLED.values(), *WRITABLE.values(), *WORDS, *INTERVALS]
        close = get_close_matches(name.name[:64], known, 1, 0.75)
        hint = f"; is {close[0]} meant?" if close else ""
        self._refuse(f"nothing was assigned to {name.name[:64]} before{hint}", name.offset)

    def _call(self, call: Call) -> None:
        if call.function not in ARGUMENTS:
            close = get_close_matches(call.function[:64], ARGUMENTS, 1, 0.6)
            hint = f"; is {close[0]}() meant?" if close else ""
            self._refuse(f"there is no function {call.function[:64]}(){hint}", call.offset)
        self._count(f"{call.function}()", len(call.arguments), ARGUMENTS[call.function], call.offset)

    def _member(self, member: Member) -> None:
        self._expression(member.target)
        if member.arguments is None:
            if member.name not in TIMESTAMP_MEMBERS:
                names = "year, month, day, weekday, hour, minute and second"
                self._refuse(f"a timestamp has the members {names}, but no {member.name[:64]}", member.offset)
            return
        bounds = SAMPLE_METHODS.get(member.name)
        if bounds is None:
            names = "GetSample, GetSamplePercent, GetSamplePeriod, Count and HistoryBeginTime"
            self._refuse(f"variables have the methods {names}, but no {member.name[:64]}", member.offset)
        target = member.target
        if not (isinstance(target, Name) and target.name.lower() in SAMPLED):
            self._refuse("samples are those of a variable of the service, such as $PendingTasks", member.offset)
        self._count(f"{member.name}()", len(member.arguments), bounds, member.offset)

    def _count(self, what: str, given: int, bounds: tuple[int, int], offset: int) -> None:
        fewest, most = bounds
        if fewest <= given <= most:
            return
        if fewest == most:
            wanted = f"{fewest} argument{'' if fewest == 1 else 's'}"
        else:
            wanted = f"at least {fewest} argument" if most >= _MANY else f"{fewest} to {most} arguments"
        self._refuse(f"{what} takes {wanted if fewest or most else 'no arguments'}, {given} are given", offset)

    def _refuse(self, sentence: str, offset: int) -> NoReturn:
        raise FormulaError(FormulaCode.SYNTAX, sentence, self._text, offset)


def _children(expression: Expression) -> Iterator[Expression]:
    """What stands inside, a member's target apart."""
    match expression:
        case Call(arguments=arguments):
            yield from arguments
        case Member(arguments=arguments):
            yield from arguments or ()
        case Signs(operand=operand):
            yield operand
        case Chain(first=first, steps=steps):
            yield first
            yield from (step.operand for step in steps)
        case Choice(cases=cases, otherwise=otherwise):
            for condition, value in cases:
                yield condition
                yield value
            yield otherwise
