"""Of several calls in one expression, the one that a branch waits for is pointed at, if it is clear which."""

import ast
from concurrent.futures import ThreadPoolExecutor

import pytest

from procession.kernel import Frame
from procession.services import pointing
from procession.services.pointing import point_at

SOURCE = """\
async def both(letter):
    x = await together(
        read(letter),
        desk.weigh(letter, sum(letter)),
    )
    y = await read(letter)
    return await together(read(1), read(2))
"""


def pointed_at(line: int, column: int, end_line: int, end_column: int, callee: str) -> str:
    found = point_at(Frame("m", "both", line, column, end_line, end_column), SOURCE, callee)
    lines = SOURCE.splitlines()
    return lines[found.line - 1][found.column : found.end_column] if found.line == found.end_line else "all of it"


TOGETHER = (2, 8, 5, 5)


@pytest.mark.parametrize(
    ("place", "callee", "seen"),
    [
        (TOGETHER, "read", "read(letter)"),
        (TOGETHER, "weigh", "desk.weigh(letter, sum(letter))"),
        (TOGETHER, "together", "all of it"),
        (TOGETHER, "elsewhere", "all of it"),
        ((6, 8, 6, 26), "read", "await read(letter)"),
        ((7, 11, 7, 43), "read", "await together(read(1), read(2))"),
        ((1, 0, 1, 5), "read", "async"),
    ],
)
def test_the_call_is_found_or_all_of_it_is_kept(place: tuple[int, int, int, int], callee: str, seen: str) -> None:
    assert pointed_at(*place, callee) == seen


def test_a_source_that_is_no_python_any_more_points_where_it_was_recorded() -> None:
    frame = Frame("m", "both", 1, 0, 1, 5)
    assert point_at(frame, "def (", "read") is frame


def test_one_thread_at_a_time_parses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parser of CPython 3.11 fails now and then where two do."""
    parse = ast.parse
    others: list[bool] = []

    def parse_beside_another(source: str) -> ast.Module:
        with ThreadPoolExecutor(1) as pool:
            others.append(pool.submit(pointing._one_at_a_time.acquire, False).result())
        return parse(source)

    monkeypatch.setattr(ast, "parse", parse_beside_another)
    assert pointed_at(*TOGETHER, "read") == "read(letter)"
    assert others == [False]
