"""A study's measure of performance: an arithmetic formula over the scores of its benchmarks."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

_OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
EXAMPLE = "(alpaca_lc + arena_hard) / 2"


@dataclass(frozen=True, slots=True)
class Term:
    """A score in a formula: that of a benchmark's metric; without one, its headline score."""

    benchmark: str
    metric: str = ""


def checked_formula(text: str) -> str:
    """Return the text of a formula.

    Raises:
        ValueError: It is not a formula.
    """
    return Formula(text).text


def plain_name(name: str) -> str:
    """Return how a formula writes the name of a benchmark or a metric: with underscores for all other characters."""
    return "".join(letter if letter.isalnum() else "_" for letter in name)


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula with + - * / and brackets, over numbers, NAMEs of benchmarks, and NAME.METRIC."""

    text: str

    def __post_init__(self) -> None:
        if not _is_arithmetic(self._tree().body):
            raise ValueError(f"'{self.text}': only + - * /, brackets, numbers, benchmarks and their metrics")

    def terms(self) -> tuple[Term, ...]:
        """Return the scores that the formula takes, each once."""
        return tuple(dict.fromkeys(self._terms(self._tree().body)))

    def value(self, scores: Mapping[Term, float]) -> float:
        """Return the value for these scores, which must have all terms.

        Raises:
            ZeroDivisionError: The formula divides by zero.
        """
        return _value(self._tree().body, scores)

    def _tree(self) -> ast.Expression:
        try:
            return ast.parse(self.text.strip(), mode="eval")
        except SyntaxError:
            raise ValueError(f"'{self.text}' is not a formula like '{EXAMPLE}'") from None

    def _terms(self, node: ast.AST) -> Iterator[Term]:
        if found := _term(node):
            yield found
        else:
            for child in ast.iter_child_nodes(node):
                yield from self._terms(child)


def _term(node: ast.AST) -> Term | None:
    if isinstance(node, ast.Name):
        return Term(node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return Term(node.value.id, node.attr)
    return None


def _is_arithmetic(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return type(node.op) in _OPERATORS and _is_arithmetic(node.left) and _is_arithmetic(node.right)
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.USub) and _is_arithmetic(node.operand)
    return _term(node) is not None or (isinstance(node, ast.Constant) and type(node.value) in (int, float))


def _value(node: ast.expr, scores: Mapping[Term, float]) -> float:
    if found := _term(node):
        return scores[found]
    if isinstance(node, ast.BinOp):
        return _OPERATORS[type(node.op)](_value(node.left, scores), _value(node.right, scores))
    if isinstance(node, ast.UnaryOp):
        return -_value(node.operand, scores)
    assert isinstance(node, ast.Constant) and isinstance(node.value, int | float)
    return float(node.value)
