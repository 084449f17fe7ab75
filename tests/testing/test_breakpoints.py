"""A breakpoint in process code under test stops in the debugger, as one anywhere else in a test does."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from procession import Function, process
from procession.testing import world
from procession.testing.worlds import ProcessHalted

team = Function("Team", owner="ann@acme.example")
STOPS: list[str] = []


@team.task()
async def ask(what: str) -> str: ...


@process(owner=team)
async def curious(file: str) -> str:
    breakpoint()
    first = await ask("first")
    breakpoint()
    second = await ask("second")
    if file:
        Path(file).write_text(second)
    return first + second


@pytest.fixture
def a_debugger(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that looks around, and may touch what process code may not."""
    STOPS.clear()

    def look(*args: object, **kwargs: object) -> None:
        STOPS.append(Path(__file__).read_text(encoding="utf-8")[:3])
        Path("notes.txt").write_text("seen")

    monkeypatch.setattr(sys, "breakpointhook", look)


@pytest.mark.usefixtures("a_debugger")
def test_it_stops_where_the_process_goes_on_and_not_in_its_replay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with world() as made:
        bob = made.person("bob", roles=["Team"])
        instance = bob.start(curious, "")
        assert len(STOPS) == 1
        made.crash()
        assert len(STOPS) == 1
        bob.complete(ask, "a")
        assert len(STOPS) == 2
        bob.complete(ask, "b")
        assert instance.result() == "ab"


@pytest.mark.usefixtures("a_debugger")
def test_the_fence_stands_again_when_the_process_has_waited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with world() as made:
        bob = made.person("bob", roles=["Team"])
        bob.start(curious, str(tmp_path / "out"))
        bob.complete(ask, "a")
        with pytest.raises(ProcessHalted, match="writes the file"):
            bob.complete(ask, "b")


def test_what_breakpoints_did_before_they_do_again_when_the_world_has_ended() -> None:
    before = sys.breakpointhook
    with world():
        assert sys.breakpointhook != before
    assert sys.breakpointhook == before


pytest_plugins = ["pytester"]

STOPPING = """
    from procession import Function, process
    from procession.testing import World

    team = Function("Team", owner="ann@acme.example")

    @process(owner=team)
    async def double(number: int) -> int:
        twice = 2 * number
        breakpoint()
        return twice

    def test_it_is_doubled(world: World) -> None:
        assert world.person("ann").start(double, 21).result() == 42
"""


def test_the_debugger_of_pytest_stops_in_the_line_of_the_process(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(STOPPING)
    run = pytester.run(sys.executable, "-m", "pytest", "-q", stdin=b"p 'twice is', twice\nc\n")
    run.assert_outcomes(passed=1)
    run.stdout.fnmatch_lines(["*PDB set_trace*", "*test_the_debugger*double()", "*('twice is', 42)"])
