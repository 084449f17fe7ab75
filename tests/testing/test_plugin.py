"""The plugin for pytest, in a run of its own."""

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

pytest_plugins = ["pytester"]

FAILING = """
    from procession.testing import World
    from leaving import approve, leave

    def test_the_leave_is_granted(world: World) -> None:
        bob = world.person("bob", roles=["Team"])
        request = bob.start(leave, 3, "a trip")
        bob.claim(approve)
        assert request.state == "completed"

    def test_the_world_begins_anew(world: World) -> None:
        assert world.person("bob", roles=["Team"]).start(leave, 3, "a trip").name == "leave-1"

    def test_of_something_else() -> None:
        assert 1 == 2
"""


@pytest.fixture
def folder(pytester: pytest.Pytester) -> pytest.Pytester:
    """A folder with a process."""
    from tests.testing import leaving

    assert leaving.__file__ is not None
    with open(leaving.__file__, encoding="utf-8") as file:
        pytester.makepyfile(leaving=file.read())
    pytester.syspathinsert()
    return pytester


def test_the_plugin_comes_with_procession() -> None:
    assert [each.value for each in entry_points(group="pytest11") if each.name == "procession"] == [
        "procession.testing.plugin"
    ]


def test_a_failure_shows_where_every_instance_stands(folder: pytest.Pytester) -> None:
    folder.makepyfile(FAILING)
    run = folder.runpytest_subprocess("-q")
    run.assert_outcomes(failed=2, passed=1)
    run.stdout.fnmatch_lines(
        [
            "*Business call stack*",
            "It is Monday 2026-03-02 09:00.",
            "leave-1  3 days: a trip  running",
            '  File "*leaving.py", line *, in leave',
            "    agreed = await approve(days, reason)",
            "  waits for bob, who has allocated it, to do Approve (item 1), since Monday 2026-03-02 09:00, due *",
            "What happened last:",
            "*leave-1 item 1 Approve: claimed by bob",
        ]
    )
    assert run.stdout.str().count("Business call stack") == 1


def test_the_fixture_is_listed_with_what_it_is(folder: pytest.Pytester) -> None:
    run = folder.runpytest_subprocess("--fixtures")
    run.stdout.fnmatch_lines(["world -- *", "    People and processes on an engine of their own, in virtual time*"])
    run = folder.runpytest_subprocess("--markers")
    run.stdout.fnmatch_lines(["*@pytest.mark.world(start=*"])


def test_a_run_without_processes_loads_nothing_of_the_engine() -> None:
    code = "import procession.testing.plugin, sys; print(*sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = run.stdout.split()
    assert "procession.testing.plugin" in loaded
    assert [
        name for name in loaded if name.startswith(("sqlalchemy", "pydantic", "procession.engine", "sqlite3"))
    ] == []


def test_a_marker_that_is_wrong_is_refused_with_what_it_takes(folder: pytest.Pytester) -> None:
    folder.makepyfile(
        """
        import pytest

        @pytest.mark.world(realtime=True)
        def test_one(world): ...

        @pytest.mark.world("2026-01-01")
        def test_two(world): ...

        @pytest.mark.world(zone="Europe/Atlantis")
        def test_three(world): ...

        @pytest.mark.world(start="tomorrow")
        def test_four(world): ...
        """
    )
    run = folder.runpytest_subprocess("-q")
    run.assert_outcomes(errors=4)
    told = run.stdout.str()
    assert told.count("@pytest.mark.world takes real_time, start, zone, each by its name.") >= 2
    assert "No world begins at '2026-03-02 09:00' in the zone 'Europe/Atlantis'." in told
    assert "No world begins at 'tomorrow' in the zone 'UTC'." in told
