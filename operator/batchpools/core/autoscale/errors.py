"""What is wrong with a formula, and where: code, sentence, line, column and a caret. It decides nothing about formulas.

Codes as in Azure's list of error codes; the shape of an InsufficientSampleData message as in the article on autoscaling.
"""

from enum import StrEnum

_WINDOW = 100  # characters of a line that are shown around the caret


class FormulaCode(StrEnum):
    """Azure's codes."""

    TOO_LONG = "AutoScalingFormulaTooLong"
    SYNTAX = "AutoScalingFormulaSyntaxError"
    EVALUATION = "AutoScalingFormulaEvaluationError"
    INSUFFICIENT_SAMPLES = "InsufficientSampleData"


class ValueFaultError(Exception):
    """Values do not go together; who knows the place makes a FormulaError of it."""

    def __init__(self, sentence: str, code: FormulaCode = FormulaCode.EVALUATION) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code


class FormulaError(Exception):
    """A formula cannot be read or evaluated. line and column are 1-based; column counts characters."""

    def __init__(self, code: FormulaCode, sentence: str, text: str, offset: int) -> None:
        self.code = code
        self.sentence = sentence
        begin = text.rfind("\n", 0, offset) + 1
        end = text.find("\n", offset)
        self.line = text.count("\n", 0, offset) + 1
        self.column = offset - begin + 1
        self._shown = text[begin : len(text) if end < 0 else end].rstrip("\r")
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """`Line L, Col C: sentence`."""
        return f"Line {self.line}, Col {self.column}: {self.sentence}"

    @property
    def picture(self) -> str:
        """The line (a part of a long one), and below it a caret at the column."""
        first = max(0, self.column - 1 - _WINDOW // 2)
        shown = "".join(letter if letter.isprintable() else " " for letter in self._shown[first : first + _WINDOW])
        return f"{shown}\n{' ' * (self.column - 1 - first)}^"

    @property
    def story(self) -> str:
        """Message and picture: what a person gets to see."""
        return f"{self.message}\n{self.picture}"
