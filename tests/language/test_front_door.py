"""The front door gives an author what they write with, and costs little to open."""

import subprocess
import sys

import pytest

import procession
from procession import control, deployment, people

NAMES = """import sys, procession
used = [getattr(procession, name) for name in procession.__all__]
print(*sorted(name for name in ("sqlalchemy", "typer", "rich", "sqlite3", "pydantic") if name in sys.modules))
"""


def test_every_name_of_the_front_door_exists_and_there_are_at_most_25() -> None:
    assert len(procession.__all__) <= 25
    for name in procession.__all__:
        assert getattr(procession, name).__doc__
    assert set(dir(procession)) == set(procession.__all__)
    with pytest.raises(AttributeError, match="procession has no `gate_of_rome`"):
        _ = procession.gate_of_rome  # type: ignore[attr-defined]


def test_the_side_doors_give_what_is_rare() -> None:
    assert set(control.__all__) == {
        "Group",
        "WorkCall",
        "attempt",
        "log",
        "n_of",
        "random",
        "resource",
        "secret",
        "uuid4",
    }
    assert set(people.__all__) == {"Selection", "role"}
    assert set(deployment.__all__) == {"Binding", "bind", "outside", "people", "stub"}


def test_the_front_door_imports_pydantic_and_nothing_heavier() -> None:
    told = subprocess.run([sys.executable, "-c", NAMES], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["pydantic"]
