"""Values that are known only when they are sent, as a file writes them: "{rate}", "{span / 8}", ":CHAN{number}:DISP 1".

A text that is one pair of braces becomes the value itself, number or array; any other gets the values written into it.
Between braces stand names, numbers, + - * / and parentheses: nothing in a file can be more than arithmetic.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from labrhel.config.problems import nearest

_BRACES = re.compile(r"\{([^{}]*)\}")
_TWO: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv
}  # fmt: skip
_ONE: Mapping[type[ast.unaryop], Callable[[Any], Any]] = {ast.USub: operator.neg, ast.UAdd: operator.pos}
_LONGEST = 200  # characters between braces
TEXTS = {"terminal", "name", "trigger"}
"""Names that stand for texts, of which there is no arithmetic."""


def filled(template: Any, values: Mapping[str, Any]) -> Any:
    """A template with these values in it: of a text, a list or a mapping whatever is in them; else as it is.

    Raises ValueError for what is no arithmetic of known names.
    """
    if isinstance(template, Mapping):
        return {key: filled(item, values) for key, item in template.items()}
    if isinstance(template, list):
        return [filled(item, values) for item in template]
    if not isinstance(template, str):
        return template
    if whole := _BRACES.fullmatch(template):
        return _value(_parsed(whole[1]), values)
    return _BRACES.sub(lambda found: _written(_value(_parsed(found[1]), values)), template)


def check_template(template: Any, known: Collection[str]) -> None:
    """Raise ValueError for a template with other names than these, or with what is no arithmetic."""
    for text in texts_of(template):
        for found in _BRACES.finditer(text):
            tree = _parsed(found[1])
            for node in ast.walk(tree):
                if isinstance(node, ast.Name) and node.id not in known:
                    raise ValueError(f"nothing is called {{{node.id}}} here; {nearest(node.id, known)}")
                _check_sense(node)


def without_braces(text: str, filler: str) -> str:
    """A text with `filler` for each pair of braces and what stands in it."""
    return _BRACES.sub(lambda _: filler, text)


def texts_of(template: Any) -> Iterator[str]:
    """Every text in lists and mappings, keys included."""
    if isinstance(template, str):
        yield template
    elif isinstance(template, Mapping):
        for key, item in template.items():
            yield from texts_of(key)
            yield from texts_of(item)
    elif isinstance(template, list):
        for item in template:
            yield from texts_of(item)


def _check_sense(node: ast.AST) -> None:
    """Raise ValueError for arithmetic that has no value, whatever its names stand for."""
    if isinstance(node, ast.Constant) and isinstance(node.value, float) and not math.isfinite(node.value):
        raise ValueError("every value must be a finite number")
    if not isinstance(node, ast.BinOp | ast.UnaryOp):
        return
    named = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
    if words := named & TEXTS:
        raise ValueError(f"{{{ast.unparse(node)}}} has no value: {min(words)} is a text, not a number")
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        divisor = node.right
        if not any(isinstance(inner, ast.Name) for inner in ast.walk(divisor)) and not _value(divisor, {}):
            raise ValueError(f"{{{ast.unparse(node)}}} has no value: it divides by 0")


def _parsed(text: str) -> ast.expr:
    problem = ValueError(f"{{{text[:60]}}} is no arithmetic: names, numbers, + - * / and parentheses")
    if len(text) > _LONGEST:
        raise problem
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        raise problem from None
    for node in ast.walk(tree):
        is_number = isinstance(node, ast.Constant) and type(node.value) in (int, float)
        is_known = isinstance(node, ast.Name | ast.BinOp | ast.UnaryOp | ast.expr_context) or type(node) in (
            *_TWO,
            *_ONE,
        )
        if not (is_number or is_known):
            raise problem
    return tree


def _value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            if node.id not in values:
                raise ValueError(f"nothing is called {{{node.id}}} here; {nearest(node.id, values)}")
            return values[node.id]
        case ast.UnaryOp():
            return _ONE[type(node.op)](_value(node.operand, values))
        case ast.BinOp():
            left, right = _value(node.left, values), _value(node.right, values)
            try:
                return _TWO[type(node.op)](left, right)
            except (TypeError, ZeroDivisionError) as error:
                raise ValueError(f"{ast.unparse(node)} has no value: {error}") from None
    raise AssertionError("unreachable")


def _written(value: Any) -> str:
    if isinstance(value, str | int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is no number to be sent")
        return f"{value:.12g}"
    return ",".join(_written(item) for item in value.tolist())
