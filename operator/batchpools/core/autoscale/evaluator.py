"""Evaluates a formula: any formula gives an `Evaluation` or a FormulaError, in bounded time and memory. Pure.

It decides the targets (truncated, never below 0), the deallocation option and the text of the results. Source: the article on
automatic scaling. `rand()` follows from the seed and the number of the call: the same facts give the same evaluation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never

from batchpools.core.autoscale import functions, vocabulary
from batchpools.core.autoscale.errors import FormulaError, ValueFaultError
from batchpools.core.autoscale.moments import parse_moment
from batchpools.core.autoscale.operators import negate, operate
from batchpools.core.autoscale.sample_methods import sample_method
from batchpools.core.autoscale.series import Series, insufficient
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
from batchpools.core.autoscale.values import Timestamp, Value, Vector, Word, kind_of, number_of, text_of

MAX_NODES = 10_000
MAX_ELEMENTS = 250_000  # doubles that one evaluation may handle in vectors
_REQUEUE = vocabulary.WORDS["requeue"]
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Facts:
    """What a formula can see. dedicated, low_priority: the targets in force; samples: by lower-case name of the variable."""

    now: datetime
    dedicated: int = 0
    low_priority: int = 0
    samples: Mapping[str, Series] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a formula decided. option: as a Pool spells it; results: `$name=value` of all variables; variables: the same."""

    dedicated: int
    low_priority: int
    option: str
    results: str
    variables: Mapping[str, Value] = field(default_factory=dict)


class _StopError(Exception):
    """stop(): the values so far stand."""


def evaluate(formula: Formula, facts: Facts) -> Evaluation:
    """Carry out the statements in order; FormulaError with a place when one cannot be."""
    run = _Run(formula.text, facts)
    try:
        for statement in formula.statements:
            run.carry_out(statement)
    except _StopError:
        pass
    return run.evaluation()


class _Run:
    """The variables of one evaluation, and what it has cost."""

    def __init__(self, text: str, facts: Facts) -> None:
        self._text = text
        self._facts = facts
        self._variables: dict[str, Value] = {}
        self._aliases: dict[str, Value] = {}  # by full name: what was assigned to a short one
        self._elements = 0
        self._random = 0

    # ------------------------------------------------------------------ statements

    def carry_out(self, statement: Statement) -> None:
        value = self._value(statement.value)
        lower = statement.name.lower()
        if not statement.name:
            return
        if lower == vocabulary.DEALLOCATION.lower():
            if not isinstance(value, Word):
                sentence = f"a deallocation option is one of {', '.join(vocabulary.WORDS)}, not a {kind_of(value)}"
                raise self._error(ValueFaultError(sentence), statement.value.offset)
            self._variables[vocabulary.DEALLOCATION] = value
        elif lower in vocabulary.ALIASES:
            self._aliases[vocabulary.ALIASES[lower]] = self._target(value, statement)
        elif lower in vocabulary.WRITABLE:
            self._variables[vocabulary.WRITABLE[lower]] = self._target(value, statement)
        else:
            self._variables[statement.name] = value

    def _target(self, value: Value, statement: Statement) -> float:
        """A number of nodes, still with its fraction; the name's sentence when it is none."""
        try:
            number = number_of(value, statement.name)
        except ValueFaultError as fault:
            raise self._error(fault, statement.offset) from None
        if number >= MAX_NODES + 1:
            sentence = f"{text_of(number)} nodes are more than a pool can have ({MAX_NODES})"
            raise self._error(ValueFaultError(sentence), statement.offset)
        return number

    def evaluation(self) -> Evaluation:
        dedicated = self._nodes(vocabulary.TARGET_DEDICATED)
        low_priority = self._nodes(vocabulary.TARGET_LOW_PRIORITY)
        option = self._variables.get(vocabulary.DEALLOCATION, _REQUEUE)
        shown: dict[str, Value] = {
            vocabulary.TARGET_DEDICATED: float(dedicated),
            vocabulary.TARGET_LOW_PRIORITY: float(low_priority),
            vocabulary.DEALLOCATION: option,
        }
        shown |= {name: value for name, value in self._variables.items() if name not in shown}
        results = ";".join(f"{name}={text_of(value)}" for name, value in shown.items())
        word = option.option if isinstance(option, Word) else _REQUEUE.option
        return Evaluation(dedicated, low_priority, word, results, shown)

    def _nodes(self, name: str) -> int:
        return max(0, int(self._target_now(name)))

    def _target_now(self, name: str) -> float:
        """The full name wins over the short one, both over the target in force."""
        in_force = self._facts.dedicated if name == vocabulary.TARGET_DEDICATED else self._facts.low_priority
        value = self._variables.get(name, self._aliases.get(name, float(in_force)))
        return number_of(value, name)

    # ------------------------------------------------------------------ expressions

    def _value(self, expression: Expression) -> Value:
        match expression:
            case Number() | Text():
                return expression.value
            case Name():
                return self._name(expression)
            case Call():
                return self._call(expression)
            case Member():
                return self._member(expression)
            case Signs():
                return self._signs(expression)
            case Chain():
                return self._chain(expression)
            case Choice():
                return self._choice(expression)
        assert_never(expression)

    def _name(self, name: Name) -> Value:
        lower = name.name.lower()
        if lower in vocabulary.SAMPLED:
            latest = self._series(lower).latest
            if latest is None:
                raise self._error(insufficient(vocabulary.SAMPLED[lower], 100.0, 0.0), name.offset)
            return latest
        if lower == vocabulary.DEALLOCATION.lower():
            return self._variables.get(vocabulary.DEALLOCATION, _REQUEUE)
        target = vocabulary.WRITABLE.get(lower) or vocabulary.ALIASES.get(lower)
        if target:
            return self._target_now(target)
        return vocabulary.WORDS.get(lower) or vocabulary.INTERVALS.get(lower) or self._variables[name.name]

    def _series(self, lower: str) -> Series:
        return self._facts.samples.get(lower) or Series()

    def _call(self, call: Call) -> Value:
        if call.function == "stop":
            raise _StopError
        if call.function == "rand":
            return self._rand()
        arguments = [self._value(one) for one in call.arguments]
        try:
            if call.function == "time":
                return self._time(arguments)
            self._spend(*arguments)
            return self._spend(functions.call(call.function, arguments))
        except ValueFaultError as fault:
            raise self._error(fault, call.offset) from None

    def _time(self, arguments: list[Value]) -> Timestamp:
        if not arguments:
            return Timestamp.of(self._facts.now)
        if not isinstance(arguments[0], str):
            raise ValueFaultError(f"time() takes a string, not a {kind_of(arguments[0])}")
        return Timestamp.of(parse_moment(arguments[0]))

    def _rand(self) -> float:
        """The next number from 0 up to 1 (splitmix64)."""
        self._random += 1
        mixed = (self._facts.seed + self._random * 0x9E3779B97F4A7C15) & _MASK
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return ((mixed ^ (mixed >> 31)) >> 11) / (1 << 53)

    def _member(self, member: Member) -> Value:
        if member.arguments is None:
            return self._part_of_a_moment(member)
        arguments = [self._value(one) for one in member.arguments]
        lower = member.target.name.lower() if isinstance(member.target, Name) else ""
        name, now = vocabulary.SAMPLED[lower], Timestamp.of(self._facts.now)
        try:
            return self._spend(sample_method(member.name, name, self._series(lower), arguments, now))
        except ValueFaultError as fault:
            raise self._error(fault, member.offset) from None

    def _part_of_a_moment(self, member: Member) -> float:
        moment = self._value(member.target)
        if not isinstance(moment, Timestamp):
            raise self._error(ValueFaultError(f"a {kind_of(moment)} has no {member.name}"), member.offset)
        return moment.member(member.name)

    def _signs(self, signs: Signs) -> Value:
        value = self._value(signs.operand)
        try:
            for sign in reversed(signs.signs):
                value = self._spend(negate(sign, value))
        except ValueFaultError as fault:
            raise self._error(fault, signs.offset) from None
        return value

    def _chain(self, chain: Chain) -> Value:
        value = self._value(chain.first)
        for step in chain.steps:
            try:
                if step.operator in {"&&", "||"}:
                    value = self._lazily(step, value)
                else:
                    value = self._spend(operate(step.operator, value, self._value(step.operand)))
            except ValueFaultError as fault:
                raise self._error(fault, step.offset) from None
        return value

    def _lazily(self, step: Step, value: Value) -> float:
        """What stands to the right is looked at only when the left does not decide."""
        deciding = step.operator == "||"
        if functions.truth(value) is deciding:
            return float(deciding)
        return float(functions.truth(self._value(step.operand)))

    def _choice(self, choice: Choice) -> Value:
        for condition, value in choice.cases:
            try:
                chosen = functions.truth(self._value(condition))
            except ValueFaultError as fault:
                raise self._error(fault, condition.offset) from None
            if chosen:
                return self._value(value)
        return self._value(choice.otherwise)

    # ------------------------------------------------------------------ cost and errors

    def _spend(self, *values: Value) -> Value:
        """Count the elements of vectors; the first value is handed on."""
        for value in values:
            if isinstance(value, Vector):
                self._elements += len(value.elements)
        if self._elements > MAX_ELEMENTS:
            raise ValueFaultError(f"the formula handles more than {MAX_ELEMENTS} samples")
        return values[0]

    def _error(self, fault: ValueFaultError, offset: int) -> FormulaError:
        return FormulaError(fault.code, fault.sentence, self._text, offset)
