"""Which of several calls on a line is meant: `together(read(letter), weigh(letter))` waits in two branches, each for one of them."""

import ast
import threading
from collections.abc import Iterator

from procession.kernel import Frame

# The parser of CPython 3.11 counts its depth for all threads together: two at once can fail.
_one_at_a_time = threading.Lock()


def point_at(frame: Frame, source: str, callee: str) -> Frame:
    """The frame, narrowed to the one call of `callee` inside the expression it stands at; as it is where that is not clear."""
    try:
        with _one_at_a_time:
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return frame
    expression = next(
        (node for node in ast.walk(tree) if isinstance(node, ast.expr) and _position(node) == frame[2:]), None
    )
    if expression is None:
        return frame
    asked = expression.value if isinstance(expression, ast.Await) else expression
    if isinstance(asked, ast.Call) and _name_of(asked.func) == callee:
        return frame
    found = list(_calls_of(expression, callee))
    return Frame(frame.module, frame.function, *_position(found[0])) if len(found) == 1 else frame


def _calls_of(expression: ast.expr, callee: str) -> Iterator[ast.Call]:
    for node in ast.walk(expression):
        if isinstance(node, ast.Call) and _name_of(node.func) == callee:
            yield node


def _name_of(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _position(node: ast.expr) -> tuple[int, int, int, int]:
    """In the order of a frame: line, column, end line, end column."""
    return node.lineno, node.col_offset, node.end_lineno or node.lineno, node.end_col_offset or 0
