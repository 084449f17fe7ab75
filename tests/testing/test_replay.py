"""A recorded history as a test: exported from a store, replayed on the present source."""

import json
from pathlib import Path

import pytest

from procession import process
from procession.services.histories import HistoryDiffers, NotAHistory, history_of_row
from procession.testing import World
from procession.testing import world as made
from tests.acceptance.terminal import Terminal
from tests.testing.leaving import approve, booked, leave, slip, team

PROCESS = """
from procession import Function, process
from procession.control import random

team = Function("Team", owner="ann@acme.example")

@team.task(due="2 days")
async def approve(days: int, note: str = "é") -> bool: ...

@process(owner=team, title="{days} days")
async def leave(days: int) -> int:
    chance = random.randrange(1_000_000)
    return chance if await approve(days, str(chance)) else 0
"""


def exported(world: World, name: str, path: Path) -> Path:
    with world._machine.view() as view:
        row = view.instances.find_named(name)
        assert row is not None
        path.write_text(json.dumps(history_of_row(row, view.history(row.id)).to_json()))
    return path


@pytest.fixture
def history(world: World, tmp_path: Path) -> Path:
    """Of a leave that the colleague let pass, and the director granted."""
    bob = world.person("bob", roles=["Team", "director"])
    bob.start(leave, 3, "a trip")
    world.advance("5 days")
    return exported(world, "leave-1", tmp_path / "leave-1.json")


def test_a_history_replays_on_the_source_that_it_was_made_by(world: World, history: Path) -> None:
    world.replay(history, leave)


def test_the_first_difference_is_told_with_its_place(history: Path) -> None:
    @process(owner=team, title="{days}", was=("leave",))
    async def holiday(days: int, reason: str) -> str:
        return await booked(days)

    with made() as world, pytest.raises(HistoryDiffers) as differs:
        world.replay(history, holiday)
    told = str(differs.value)
    assert told.startswith("leave-1 does not replay on the present source: The history has ")
    assert "the source now asks for service 'Office.book' as call 1 (in booked, tests.testing.leaving line " in told


def test_a_process_that_is_gone_is_told(history: Path) -> None:
    with made() as other, pytest.raises(HistoryDiffers, match="no process 'leave' any more"):
        other.replay(history, slip)


def test_a_history_replays_from_where_its_instance_last_began_anew(tmp_path: Path) -> None:
    @process(owner=team)
    async def monthly(month: int) -> int:
        await approve(month, "before the change" if month == 1 else "after it")
        await monthly.renew(month + 1)

    with made() as world:
        bob = world.person("bob", roles=["Team"])
        bob.start(monthly, 1)
        bob.complete(approve, True)
        path = exported(world, "monthly-1", tmp_path / "monthly.json")

    @process(owner=team, was=("monthly",))
    async def changed(month: int) -> int:
        await approve(month, "after it")
        await changed.renew(month + 1)

    with made() as world:
        world.replay(path, changed)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": 2}', '{"format": 1, "events": [{}]}'])
def test_what_is_no_history_is_refused_with_its_path(world: World, tmp_path: Path, content: str) -> None:
    path = tmp_path / "some.json"
    path.write_text(content)
    with pytest.raises(NotAHistory, match=r"some\.json is not a history"):
        world.replay(path)
    with pytest.raises(NotAHistory, match=r"none\.json is not a history"):
        world.replay(tmp_path / "none.json")


@pytest.mark.slow
def test_what_the_command_exports_replays_in_the_folder_it_was_exported_to(world: World, tmp_path: Path) -> None:
    Terminal(tmp_path).succeed("new", "replayed_leave")
    folder = tmp_path / "replayed_leave"
    terminal = Terminal(folder)
    (folder / "replayed_leave" / "process.py").write_text(PROCESS)
    terminal.succeed("start", "leave", "days=3", "--as", "ann")
    assert "leave-1 is completed" in terminal.succeed("work", "complete", "1", "answer=yes", "--as", "bob")
    told = terminal.succeed("export", "history", "leave-1", "--output", "tests/leave-1.json")
    assert told == "leave-1: 5 events written to tests/leave-1.json\n"
    document = json.loads((folder / "tests" / "leave-1.json").read_text())
    assert [event["kind"] for event in document["events"]][:2] == ["InstanceStarted", "CallRequested"]
    world.replay(folder / "tests" / "leave-1.json")
    assert "There is no instance 'leave-9'" in terminal.fail("export", "history", "leave-9")
