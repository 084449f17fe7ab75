"""The log as lines: what a program that gathers logs can rely on, and what must not be in them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from procession.api.log_lines import FIELDS, write_log


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the log goes in this test; afterwards it goes where it went."""
    logger = logging.getLogger("procession")
    before = (logger.handlers[:], logger.level, logger.propagate)
    yield io.StringIO()
    logger.handlers[:], logger.level, logger.propagate = before


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_the_fields_that_apply(stream: io.StringIO) -> None:
    write_log(stream, as_json=True, level=logging.INFO)
    about = {"instance": "leave-1", "operation": "Team.approve", "call": 2, "item": None}
    logging.getLogger("procession.engine").warning("two\nlines", extra=about)
    (line,) = lines(stream)
    assert line.pop("at").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "procession.engine",
        "message": "two\nlines",
        "instance": "leave-1",
        "operation": "Team.approve",
        "call": 2,
    }


def test_of_an_error_there_is_its_class_and_place_and_not_its_text(stream: io.StringIO) -> None:
    write_log(stream, as_json=True, level=logging.INFO)
    try:
        raise ValueError("the salary is 4711")
    except ValueError as error:
        logging.getLogger("procession.services").info("An attempt failed.", exc_info=error)
    (line,) = lines(stream)
    assert line["error"] == "ValueError"
    assert "test_log_lines.py" in line["raised"][0]
    assert "4711" not in stream.getvalue()


def test_of_code_that_calls_itself_the_same_line_is_told_three_times(stream: io.StringIO) -> None:
    write_log(stream, as_json=True, level=logging.INFO)

    def deeper(depth: int) -> int:
        return deeper(depth + 1) + 1

    try:
        deeper(0)
    except RecursionError as error:
        logging.getLogger("procession.services").info("An attempt failed.", exc_info=error)
    raised = lines(stream)[0]["raised"]
    assert len(raised) < 10
    assert any("the previous line repeated" in each for each in raised)


def test_a_note_of_a_process_has_what_its_author_gave_it(stream: io.StringIO) -> None:
    write_log(stream, as_json=True, level=logging.INFO)
    logging.getLogger("procession.process").info("paid", extra={"fields": {"amount": 3}})
    (line,) = lines(stream)
    assert line["fields"] == {"amount": 3}


def test_lines_below_the_level_are_left_out_and_text_is_for_people(stream: io.StringIO) -> None:
    write_log(stream, as_json=False, level=logging.WARNING)
    logging.getLogger("procession.engine").info("not this")
    logging.getLogger("procession.engine").warning("this")
    assert stream.getvalue().endswith("WARNING procession.engine: this\n")
    assert stream.getvalue().count("\n") == 1


def test_every_field_that_a_line_may_have_is_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/run-every-day.md").read_text()
    for name, meaning in FIELDS.items():
        assert f"| `{name}` | {meaning} |" in page
