"""A person at a terminal is asked field by field, sees the inputs first, and loses nothing by Ctrl+C."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.terminal import COMMAND, SECONDS, Terminal

pytestmark = pytest.mark.slow


class Screen:
    """A terminal with a person before it."""

    def __init__(self, terminal: Terminal, *arguments: str) -> None:
        self._end, other_end = pty.openpty()
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=terminal.folder,
            env={**terminal.environment, "TERM": "dumb"},
            stdin=other_end,
            stdout=other_end,
            stderr=other_end,
            start_new_session=True,
            preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # makes it the controlling terminal
        )
        os.close(other_end)
        self.shown = ""
        self._read_until = 0

    def read_to(self, text: str) -> str:
        """What is shown up to and with this text."""
        while text not in self.shown[self._read_until :]:
            ready, _, _ = select.select([self._end], [], [], SECONDS)
            assert ready, f"{text!r} was not shown, but:\n{self.shown}"
            try:
                read = os.read(self._end, 4096)
            except OSError:
                read = b""
            assert read, f"the command ended before {text!r} was shown:\n{self.shown}"
            self.shown += read.decode()
        start = self._read_until
        self._read_until = self.shown.index(text, start) + len(text)
        return self.shown[start : self._read_until]

    def type(self, text: str) -> None:
        os.write(self._end, text.encode())

    def interrupt(self) -> None:
        """Ctrl+C, once the program waits for its person: one that comes just before its read would be seen after it only."""
        state = Path(f"/proc/{self.process.pid}/stat")
        deadline = time.monotonic() + SECONDS
        while state.exists() and state.read_text().rpartition(")")[2].split()[0] != "S":
            assert time.monotonic() < deadline, "it never waits for input"
            time.sleep(0.01)
        self.type("\x03")

    def end(self) -> int:
        """What is left to read, and the exit status."""
        try:
            while read := os.read(self._end, 4096):
                self.shown += read.decode()
        except OSError:
            pass  # the other end is closed: the command has ended
        return self.process.wait(SECONDS)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._end)


@contextmanager
def screen(terminal: Terminal, *arguments: str) -> Iterator[Screen]:
    opened = Screen(terminal, *arguments)
    try:
        yield opened
    finally:
        opened.close()


def test_an_item_is_worked_on_field_by_field_with_its_inputs_above(shop: Terminal) -> None:
    shop.succeed("start", "handle", "order.number=4711", "order.amount=12.50")
    with screen(shop, "work", "start", "1", "--as", "ann") as ann:
        above = ann.read_to("Approved (yes or no): ")
        assert "Can we deliver this?" in above
        assert "number: 4711" in above
        ann.type("maybe\n")
        ann.read_to('"maybe" is not yes or no')
        ann.read_to("Approved")
        ann.type("no\n")
        assert "What the customer is told." in ann.read_to("Remarks")
        ann.read_to(": ")
        ann.type("\n")
        ann.read_to("remarks: say why not")
        ann.read_to("Approved (yes or no) [no]: ")
        ann.type("\n")
        ann.read_to("Remarks")
        ann.read_to(": ")
        ann.type("sold out\n")
        ann.read_to("completed by ann")
        assert ann.end() == 0
    assert shop.answer("show", "handle-1")["result"] == "sold out"


def test_ctrl_c_keeps_what_was_typed_and_the_next_time_offers_it(shop: Terminal) -> None:
    shop.succeed("start", "handle", "order.number=4711", "order.amount=12.50")
    with screen(shop, "work", "start", "1", "--as", "ann") as ann:
        ann.read_to("Approved (yes or no): ")
        ann.type("yes\n")
        ann.read_to("Remarks")
        ann.read_to(": ")
        ann.interrupt()
        ann.read_to("Kept as a draft")
        assert ann.end() == 130
    item = shop.answer("work", "show", "1")
    assert item["draft"] == {"approved": True}
    assert item["item"]["state"] == "started"
    with screen(shop, "work", "start", "1", "--as", "ann") as ann:
        ann.read_to("Approved (yes or no) [yes]: ")
        ann.interrupt()
        assert ann.end() == 130


def test_the_inputs_of_a_process_are_asked_for(leave: Terminal) -> None:
    with screen(leave, "start", "leave", "--as", "ann") as ann:
        ann.read_to("Days (whole number): ")
        ann.type("3\n")
        ann.read_to("Reason (text): ")
        ann.type("a trip\n")
        ann.read_to("leave-1 started: 3 days: a trip")
        assert ann.end() == 0


def test_without_a_terminal_nothing_is_asked(leave: Terminal) -> None:
    assert "days is missing" in leave.fail("start", "leave")
    leave.succeed("start", "leave", "days=3", "reason=a", "--as", "ann")
    assert "started by bob" in leave.succeed("work", "start", "1", "--as", "bob")
