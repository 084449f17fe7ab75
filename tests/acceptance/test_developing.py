"""`procession run` for who writes a process: saved source is taken, a debugger may stop in it, faults show where they are."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.acceptance.terminal import COMMAND, SECONDS, Server, Terminal

RETURN = '    return "enjoy" if await approve(days, reason) else "let us talk"\n'


def change(leave: Terminal, *changes: tuple[str, str]) -> None:
    source = leave.folder / "leave" / "process.py"
    text = source.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    source.write_text(text)


def next_news(server: Server) -> dict[str, Any]:
    """What is said of the source next."""
    while True:
        event = server.next_event()
        if event["event"] == "source":
            return event


def start(leave: Terminal) -> None:
    leave.succeed("start", "leave", "days=3", "reason=a trip", "--as", "ann")


def complete(leave: Terminal, item: int = 1) -> str:
    return leave.succeed("work", "complete", str(item), "answer=yes", "--as", "bob")


@contextmanager
def running(leave: Terminal, *options: str, typed: str = "") -> Iterator[subprocess.Popen[str]]:
    """`procession run` in a terminal in which somebody has typed ahead."""
    process = subprocess.Popen(
        [*COMMAND, "run", *options],
        cwd=leave.folder,
        env=leave.environment | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(typed)
    process.stdin.flush()
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=SECONDS)


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """What it prints, up to the line with this text."""
    assert process.stdout is not None
    seen = ""
    watch = threading.Timer(SECONDS, process.kill)
    watch.start()
    try:
        while text not in seen:
            line = process.stdout.readline()
            assert line, f"it ended without {text!r}:\n{seen}"
            seen += line
    finally:
        watch.cancel()
    return seen


# Source that is saved


def test_what_is_saved_runs_at_once_and_what_was_started_before_goes_on_with_it(leave: Terminal) -> None:
    with leave.serving() as server:
        start(leave)
        change(leave, ("enjoy", "have fun"))
        news = next_news(server)
        assert (news["files"], news["is_taken"], news["behind"]) == (["leave/process.py"], True, [])
        assert (news["replayed"], news["running"]) == (1, 1)
        complete(leave)
    assert leave.answer("show", "leave-1")["result"] == "have fun"


def test_running_instances_that_the_source_does_not_fit_are_named_with_the_reason(leave: Terminal) -> None:
    with leave.serving() as server:
        start(leave)
        change(leave, ("await approve(days, reason)", "await approve(days + 1, reason)"))
        (behind,) = next_news(server)["behind"]
        assert behind["instance"] == "leave-1"
        assert "approve" in behind["why"]
        assert "leave-1 halted" in complete(leave)

        change(leave, ("days + 1", "days"))
        assert next_news(server)["behind"] == []
        leave.succeed("retry", "leave-1", "--as", "ann")
        server.wait_for("completed")


def test_source_that_does_not_load_is_told_with_its_line_and_the_engine_goes_on(leave: Terminal) -> None:
    with leave.serving() as server:
        start(leave)
        change(leave, ('"enjoy"', '"enjoy'))
        news = next_news(server)
        assert not news["is_taken"]
        assert f"{leave.folder / 'leave' / 'process.py'}:16" in news["problem"]
        complete(leave)
        assert leave.answer("list")["instances"][0]["state"] == "completed"

        change(leave, ('"enjoy', '"have fun"'))
        assert next_news(server)["is_taken"]
        start(leave)
        complete(leave, 2)
    assert leave.answer("show", "leave-2")["result"] == "have fun"


def test_a_process_that_the_engine_cannot_take_is_not_there_and_it_is_said_why(leave: Terminal) -> None:
    with leave.serving() as server:
        source = leave.folder / "leave" / "process.py"
        source.write_text(f"{source.read_text()}\n\n@process(owner=team)\nasync def later() -> None:\n    def (\n")
        next_news(server)
        for arguments in (["later"], ["later", "--input", "{}"]):
            told = leave.fail("start", *arguments, "--as", "ann")
            assert "There is no process 'later'." in told
            assert "The engine runs the source of " in told
            assert "does not load: " in told and "process.py:21" in told


def test_a_new_file_and_new_people_are_taken_and_new_settings_ask_for_a_restart(leave: Terminal) -> None:
    with leave.serving() as server:
        (leave.folder / "leave" / "other.py").write_text('"""Nothing yet."""\n')
        assert next_news(server)["files"] == ["leave/other.py"]
        with (leave.folder / "organisation.toml").open("a") as organisation:
            organisation.write('\n[people.cleo]\nroles = ["Team"]\n')
        assert next_news(server)["files"] == ["organisation.toml"]
        assert "No open work" in leave.succeed("work", "list", "--as", "cleo")
        with (leave.folder / "procession.toml").open("a") as settings:
            settings.write("\n# nothing\n")
        news = next_news(server)
        assert (news["files"], news["is_taken"]) == (["procession.toml"], False)


def test_the_news_reads_like_this_on_a_terminal(leave: Terminal) -> None:
    with running(leave) as process:
        read_until(process, "ready")
        start(leave)
        change(leave, ("await approve(days, reason)", "await approve(days + 1, reason)"))
        told = read_until(process, "leave-1 does not fit it")
        assert "leave/process.py changed: the engine runs it now." in told
        change(leave, ("days + 1", "days +"))
        told = read_until(process, "process.py:16")
        assert "leave/process.py changed, and the engine goes on with what it has." in told


# A debugger


def test_a_breakpoint_stops_where_the_process_goes_on_and_not_in_its_replay(leave: Terminal) -> None:
    start(leave)
    change(
        leave,
        (
            RETURN,
            '    breakpoint()\n    agreed = await approve(days, reason)\n    breakpoint()\n    return f"{agreed}"\n',
        ),
    )
    with running(leave, "--debug", typed="p 'days: ' + str(days), agreed\nc\n") as process:
        assert "neither fenced nor watched" in read_until(process, "ready")
        complete(leave)
        told = read_until(process, "leave-1  completed")
    assert told.count("(Pdb)") == 2
    assert "('days: 3', True)" in told
    assert 'return f"{agreed}"' in told


def test_who_quits_the_debugger_halts_that_instance_and_has_lost_nothing(leave: Terminal) -> None:
    start(leave)
    change(leave, (RETURN, "    agreed = await approve(days, reason)\n    breakpoint()\n    return str(agreed)\n"))
    with running(leave, "--debug", typed="q\n") as process:
        read_until(process, "ready")
        assert "somebody quit the debugger here" in complete(leave)
        change(leave, ("    breakpoint()\n", ""))
        leave.succeed("retry", "leave-1", "--as", "ann")
        read_until(process, "leave-1  completed")
    assert leave.answer("show", "leave-1")["result"] == "True"


def test_without_debug_a_breakpoint_halts_and_says_how_to_debug(leave: Terminal) -> None:
    change(leave, (RETURN, "    breakpoint()\n" + RETURN))
    leave.run("start", "leave", "days=3", "reason=a trip", "--as", "ann")
    told = leave.succeed("show", "leave-1")
    assert "Process code stops for a debugger. `procession run --debug` lets a debugger in" in told


# Faults


def test_a_fault_shows_the_business_call_stack_and_then_that_of_python(leave: Terminal) -> None:
    helper = "\n\nasync def weeks(days: int) -> int:\n    return days // (days - 3)\n"
    change(leave, (RETURN, "    agreed = await approve(days, reason)\n    return str(await weeks(days))\n" + helper))
    start(leave)
    with running(leave) as process:
        read_until(process, "ready")
        complete(leave)
        told = read_until(process, "Traceback") + read_until(process, "ZeroDivisionError")
    business, _, python = told.partition("Traceback (most recent call last)")
    assert business.index("in leave") < business.index("in weeks") < business.rindex("ZeroDivisionError")
    assert "in weeks" in python


def test_a_helper_that_is_called_and_not_awaited_is_told_with_instance_and_line(leave: Terminal) -> None:
    change(leave, (RETURN, "    note(days)\n" + RETURN + "\n\nasync def note(days: int) -> None:\n    pass\n"))
    with running(leave) as process:
        read_until(process, "ready")
        start(leave)
        told = read_until(process, "never awaited")
    assert (
        f"leave-1: coroutine 'note' was never awaited, so it did nothing: {Path('leave') / 'process.py'}"
        in told.replace(f"{leave.folder}/", "")
    )


def test_code_that_calls_itself_for_ever_and_says_much_is_told_in_few_lines(leave: Terminal) -> None:
    deeper = "\n\nasync def deeper(days: int) -> int:\n    return await deeper(days + 1)\n"
    says = 'raise RuntimeError("the first line\\nthe second line") from None\n'
    caught = f"    try:\n        await deeper(days)\n    except RecursionError:\n        if days > 3:\n            {says}        raise\n"
    change(leave, (RETURN, caught + RETURN + deeper))
    for days in ("3", "4"):
        leave.run("start", "leave", f"days={days}", "reason=a trip", "--as", "ann")

    told = leave.succeed("show", "leave-1")
    assert "[the previous line repeated " in told
    assert told.count("in deeper") <= 4
    for arguments in (["show", "leave-2"], ["doctor"], ["attention"]):
        assert "the first line\n  the second line" in leave.run(*arguments).out
