"""Every command explains itself with an example, and its help costs little."""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import rich.markup
import typer.main

from procession.cli.main import app
from tests.acceptance.terminal import Terminal

# Whoever reads them does not act, or acts on nothing that is recorded.
WITHOUT_ACTOR = {
    "new",
    "config show",
    "schedule list",
    "run",
    "serve",
    "demo",
    "list",
    "show",
    "attention",
    "backup",
    "restore",
    "pause list",
    "work show",
    "export log",
    "export history",
}
WITHOUT_REASON = {*WITHOUT_ACTOR, "work list"}


def commands(group: Any = None, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every command by what is typed for it."""
    for name, command in (group or typer.main.get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


ALL = dict(commands())


def options_of(command: Any) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts if option.startswith("--")}


def test_there_are_all_commands() -> None:
    assert set(ALL) >= {
        "new", "serve", "run", "start", "list", "show", "retry", "complete-call", "fail-call", "cancel", "doctor",
        "attention", "backup", "restore",
        "export log", "work list", "work show", "work claim", "work start", "work save-draft", "work complete",
        "work put-back", "work withdraw",
    }  # fmt: skip


@pytest.mark.parametrize("name", ALL)
def test_a_command_has_an_example_that_it_understands(name: str) -> None:
    command = ALL[name]
    example = command.epilog.removeprefix("Example: ")
    words = shlex.split(example)
    assert words[: 1 + len(name.split())] == ["procession", *name.split()]
    with command.make_context(name, words[1 + len(name.split()) :]):
        pass  # it raises where the example does not fit the command's own options


@pytest.mark.parametrize("name", ALL)
def test_a_command_takes_the_options_that_all_take(name: str) -> None:
    options = options_of(ALL[name])
    assert options >= {"--app", "--format", "--debug"}
    assert ("--as" in options) == (name not in WITHOUT_ACTOR)
    assert ("--reason" in options) == (name not in WITHOUT_REASON)
    assert all(parameter.help for parameter in ALL[name].params), "each option says what it does"


@pytest.mark.parametrize("name", ALL)
def test_nothing_of_a_help_text_is_taken_for_markup_and_no_paragraph_is_broken(name: str) -> None:
    command = ALL[name]
    for text in (command.help, command.epilog, *(parameter.help for parameter in command.params)):
        assert rich.markup.render(text).plain == text
        assert "\n" not in text.replace("\n\n", "")


def test_only_what_has_a_counterpart_takes_back_an_earlier_bulk() -> None:
    assert {name for name, command in ALL.items() if "--undo" in options_of(command)} == {"suspend", "resume"}


HEAVY = """import sys
from procession.cli.main import main
sys.argv = ["procession", "--help"]
try:
    main()
finally:
    names = ("alembic", "pydantic", "sqlalchemy", "sqlite3")
    print(*(name for name in names if name in sys.modules), file=sys.stderr)
"""


def test_help_loads_nothing_that_is_slow_to_load(terminal: Terminal) -> None:
    """What it costs is measured in `benchmarks/start_up.py`."""
    done = subprocess.run([sys.executable, "-c", HEAVY], env=terminal.environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr.split()) == (0, [])
    assert "Usage" in done.stdout


@pytest.mark.slow
def test_there_is_colour_on_a_terminal_only(leave: Terminal) -> None:
    leave.succeed("start", "leave", "days=3", "reason=a", "--as", "ann")
    for arguments in (["list"], ["show", "leave-1"], ["--help"], ["work", "list", "--as", "bob"]):
        assert "\x1b" not in leave.succeed(*arguments)


@pytest.mark.slow
def test_a_title_cannot_steer_the_terminal(leave: Terminal) -> None:
    leave.succeed("start", "leave", "days=3", "reason=\x1b[2J[bold]rm\x07", "--as", "ann")
    shown = (
        leave.succeed("list") + leave.succeed("show", "leave-1", "-v", "--history") + leave.succeed("work", "show", "1")
    )
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "[bold]rm" in shown, "what looks like markup is shown as it is"
