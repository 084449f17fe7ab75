"""A test of a process is short: the one that the documentation shows is counted."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "test-a-process.md"


def test_three_people_a_deadline_and_a_retry_are_tested_in_twenty_lines() -> None:
    """The block itself is run with the page."""
    block = re.search(r"```python test_buying\.py\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    lines = [line for line in block[1].splitlines() if line.strip()]
    assert len(lines) <= 20
    assert block[1].count("world.person(") == 3
    assert 'world.advance("5 days")' in block[1]
    assert ".fails(" in block[1]
