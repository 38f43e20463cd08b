"""Small faults in Python source: every place where one can be made, found in its syntax tree.

Each is a change of a few characters that a tired programmer could have made: a comparison, a sign, a factor, an index
off by one, a condition the wrong way round, a forgotten statement, a keyword or a transpose left out.  What cannot
change a result is left alone: words of messages, annotations, decorators, assertions, what another system than this
one runs; and so are the named constants of a module, which are choices, not results.
"""

from __future__ import annotations

import ast
import copy
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
_PAIRS = (
    ("min", "max"), ("minimum", "maximum"), ("argmin", "argmax"), ("any", "all"), ("floor", "ceil"),
    ("zeros", "ones"), ("zeros_like", "ones_like"),
)  # fmt: skip
_NAMES = dict(_PAIRS) | {second: first for first, second in _PAIRS}
_WITHOUT_EFFECT = {
    "strict", "encoding", "daemon", "exist_ok", "parents", "missing_ok", "rcond", "over", "invalid", "buffering",
    "ensure_ascii", "indent", "complevel", "compresslevel",
}  # fmt: skip
"""Keywords whose value no result depends on, as long as all is well."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Bytes `start` to `stop` of the file at `path` (from the root of the tree) are replaced by `after`.

    `lines`: the text of the lines that it touches, without the fault and with it.
    """

    path: str
    line: int
    start: int
    stop: int
    after: str
    lines: tuple[str, str]

    @classmethod
    def of(cls, path: str, source: bytes, start: int, stop: int, after: str) -> Fault:
        """The fault in a file with this source."""
        first, last = source.rfind(b"\n", 0, start) + 1, source.find(b"\n", stop)
        texts = source[first:last], source[first:start] + after.encode() + source[stop:last]
        before, behind = (" ".join(text.decode().split()) for text in texts)
        return cls(path, source.count(b"\n", 0, start) + 1, start, stop, after, (before, behind))

    def applied(self, source: bytes) -> bytes:
        """The source with the fault in it."""
        return source[: self.start] + self.after.encode() + source[self.stop :]


def faults_of(path: str, source: bytes) -> list[Fault]:
    """Every fault that can be made in a file, in the order of the text."""
    starts = [0, *accumulate(len(line) for line in source.splitlines(keepends=True))]
    found = set()
    for node, after in _made(ast.parse(source)):
        start = starts[node.lineno - 1] + node.col_offset
        stop = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        found.add((start, stop, after))
    return [Fault.of(path, source, *place) for place in sorted(found)]


def _made(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """(what is replaced, by what), below `node` as well."""
    if isinstance(node, ast.expr):
        yield from ((node, f"({text})") for text in _expressions(node))
    if isinstance(node, ast.stmt) and _can_be_forgotten(node):
        yield node, "pass"
    for condition in _conditions(node):
        yield condition, f"(not {ast.unparse(condition)})"
    for child in _children(node):
        yield from _made(child)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a node whose value matters."""
    match node:
        case ast.Raise() | ast.Assert() | ast.JoinedStr() | ast.Import() | ast.ImportFrom():
            return
        case ast.ClassDef() if any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases):
            return
        case ast.ClassDef():
            yield from node.body
        case ast.FunctionDef():
            yield from (item for item in (*node.args.defaults, *node.args.kw_defaults) if item is not None)
            yield from node.body
        case ast.AnnAssign():
            yield from () if node.value is None else (node.value,)
        case ast.Module():
            yield from (item for item in node.body if not isinstance(item, ast.Assign | ast.AnnAssign))
        case ast.keyword(arg=str(name)) if name in _WITHOUT_EFFECT:
            return
        case ast.If() if (taken := _taken_here(node.test)) is not None:
            yield from node.body if taken else node.orelse
        case ast.Call(func=ast.Name(id="getattr"), args=[ast.Name(id="os"), ast.Constant(value=str(name)), _]) if (
            hasattr(os, name)
        ):
            return  # the default is for a system that lacks it
        case _:
            yield from ast.iter_child_nodes(node)


def _taken_here(test: ast.expr) -> bool | None:
    """Whether this system takes the branch of a condition that asks for the system alone; None for any other."""
    match test:
        case ast.Compare(ast.Attribute(ast.Name("sys"), "platform"), [ast.Eq()], [ast.Constant(value=str(name))]):
            return sys.platform == name
        case ast.Compare(ast.Attribute(ast.Name("os"), "name"), [ast.Eq()], [ast.Constant(value=str(name))]):
            return os.name == name
        case ast.Call(ast.Name("hasattr"), [ast.Name("os"), ast.Constant(value=str(name))]):
            return hasattr(os, name)
        case ast.Name("TYPE_CHECKING"):
            return False
    return None


def _conditions(node: ast.AST) -> list[ast.expr]:
    match node:
        case ast.If() if _taken_here(node.test) is not None:
            return []
        case ast.If() | ast.While() | ast.IfExp():
            return [node.test]
        case ast.comprehension():
            return node.ifs
    return []


def _can_be_forgotten(node: ast.stmt) -> bool:
    match node:
        case ast.AugAssign():
            return True
        case ast.Expr(value=ast.Call() | ast.Yield() | ast.YieldFrom()):
            return True
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            return True
    return False


def _expressions(node: ast.expr) -> Iterator[str]:
    """Texts that could stand in place of an expression."""
    match node:
        case ast.Compare():
            for place, operator in enumerate(node.ops):
                ops = [*node.ops[:place], _COMPARISONS[type(operator)](), *node.ops[place + 1 :]]
                yield ast.unparse(ast.Compare(node.left, ops, node.comparators))
        case ast.BinOp() if type(node.op) in _ARITHMETIC and not _is_text(node.left) and not _is_text(node.right):
            yield ast.unparse(ast.BinOp(node.left, _ARITHMETIC[type(node.op)](), node.right))
        case ast.BoolOp():
            yield ast.unparse(ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values))
        case ast.UnaryOp(op=ast.USub() | ast.Not()):
            yield ast.unparse(node.operand)
        case ast.Constant(value=bool()):
            yield str(not node.value)
        case ast.Constant(value=int() | float()):
            yield repr(node.value + 1 if isinstance(node.value, int) else 2 * node.value or 1.0)
        case ast.Attribute(attr="T"):
            yield ast.unparse(node.value)
        case ast.Call():
            yield from _calls(node)


def _calls(node: ast.Call) -> Iterator[str]:
    """Another function, or a keyword left out."""
    function = copy.deepcopy(node.func)
    match function:
        case ast.Name(id=name) if name in _NAMES:
            function.id = _NAMES[name]
            yield ast.unparse(ast.Call(function, node.args, node.keywords))
        case ast.Attribute(attr=name) if name in _NAMES:
            function.attr = _NAMES[name]
            yield ast.unparse(ast.Call(function, node.args, node.keywords))
    for place, keyword in enumerate(node.keywords):
        if keyword.arg is not None and keyword.arg not in _WITHOUT_EFFECT:
            kept = [*node.keywords[:place], *node.keywords[place + 1 :]]
            yield ast.unparse(ast.Call(node.func, node.args, kept))


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))
