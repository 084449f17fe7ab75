"""The page about JSON documents says what commands print."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from procession.services.scaffold import make_application
from tests.acceptance.terminal import Terminal

pytestmark = pytest.mark.slow

SOURCE = '''\
from dataclasses import dataclass

from procession import Function, each, process, receive

desk = Function("Desk", owner="ann@acme.example")
scanner = Function("Scanner", owner="ann@acme.example")


@dataclass(frozen=True)
class Payment:
    amount: int


@desk.task()
async def read(text: str) -> bool:
    """Is it clear?"""
    ...


@scanner.service(system="mail")
async def send(text: str) -> bool:
    return True


@scanner.external(attempts=1)
async def scan(text: str) -> int:
    """Scan it."""
    ...


@process(owner=desk)
async def letter(text: str) -> bool:
    return await read(text)


@process(owner=desk)
async def archive(text: str) -> int:
    return await scan(text)


@process(owner=desk)
async def sort(text: str) -> int:
    return len(await each(read, [text], name="letters", growing=True))


@process(owner=desk)
async def count(text: str) -> int:
    await read(text)
    return 100 // 0


@process(owner=desk)
async def sell(order: str) -> int:
    return (await receive(Payment, key=order)).amount
'''
SCHEDULE = """
[[schedule]]
name = "weekly"
process = "letter"
when = "every Monday at 8:00"
input = { text = "post" }
"""

Words = tuple[str, ...]
# What the commands below act on: items 1 to 7 of letters, 8 and 9 of counts (which halt), 10 of a sort; three calls of a scanner.
STARTED: tuple[tuple[str, int], ...] = (("letter", 7), ("count", 2), ("sort", 1), ("archive", 3))
BY_OPERATION = ("--operation", "Desk.read", "--process", "letter", "--value", "true", "--reason", "a holiday")
# For each entry of the page every command that it names, in an order in which each of them can be done.
ACTS: dict[str, tuple[Words, ...]] = {
    "procession start": (("start", "letter", "text=a"),),
    "procession work claim, start, save-draft, complete, put-back": (
        ("work", "claim", "1"),
        ("work", "start", "1"),
        ("work", "put-back", "1"),
        ("work", "save-draft", "1", "--answer", "true"),
        ("work", "complete", "1", "yes"),
    ),
    "procession work withdraw": (("work", "withdraw", "2"),),
    "procession retry, complete-call, fail-call, suspend, resume, cancel": (
        ("retry", "count-1"),
        ("complete-call", "letter-3", "1", "result=yes"),
        ("fail-call", "letter-4", "1", "--message", "no"),
        ("suspend", "letter-5"),
        ("resume", "letter-5"),
        ("cancel", "letter-5", "--force"),
        ("suspend", "letter-7"),
    ),
    "procession skip": (("skip", "letter-6", "--call", "1", "--value", "true", "--reason", "read aloud"),),
    "procession pause, unpause": tuple(
        (verb, scope, name)
        for scope, name in (("process", "sell"), ("operation", "Scanner.scan"), ("system", "mail"))
        for verb in ("pause", "unpause")
    ),
    "procession group add, close": (
        ("group", "add", "sort-1", "letters", "--input", '"b"'),
        ("group", "close", "sort-1", "letters"),
    ),
    "procession external fetch": (("external", "fetch", "scan", "--worker", "scanner", "--limit", "3"),),
    "procession external heartbeat": (("external", "heartbeat", "--token", "archive-1:1:1"),),
    "procession external complete, fail": (
        ("external", "complete", "--token", "archive-1:1:1", "--result", "3"),
        ("external", "fail", "--token", "archive-2:1:1", "--error", "wet"),
    ),
    "procession retry --call": (("retry", "archive-2", "--call", "1"),),
    "procession suspend, resume, cancel, retry, skip of many --dry-run": (
        ("suspend", "--process", "letter", "--dry-run"),
        ("cancel", "--process", "archive", "--dry-run"),
        ("retry", "--all", "--dry-run"),
        ("skip", *BY_OPERATION, "--dry-run"),
        ("resume", "--all", "--dry-run"),
    ),
    "procession suspend, resume, cancel, retry, skip of many": (
        ("suspend", "--process", "letter"),
        ("resume", "--process", "letter"),
        ("cancel", "--process", "archive"),
        ("retry", "--all"),
        ("skip", *BY_OPERATION),
    ),
    "procession limit NAME": (("limit", "Scanner.send", "--at-once", "2"),),
    "procession message": (("message", "Payment", "--key", "1", "amount=20"),),
    "procession schedule pause, resume": (("schedule", "pause", "weekly"), ("schedule", "resume", "weekly")),
}
READS: dict[str, Words] = {
    "procession list": ("list",),
    "procession show": ("show", "leave-1", "-v", "--history"),
    "procession work list": ("work", "list", "--as", "bob"),
    "procession work show": ("work", "show", "1"),
    "procession work withdraw --dry-run": ("work", "withdraw", "1", "--dry-run"),
    "procession doctor": ("doctor",),
    "procession message list": ("message", "list"),
    "procession attention": ("attention",),
    "procession export history --output": ("export", "history", "leave-1", "--output", "leave-1.json"),
    "procession backup": ("backup", "copy.db"),
    "procession restore": ("restore", "copy.db", "--yes"),
    "procession config show": ("config", "show"),
    "procession limit": ("limit",),
    "procession schedule list": ("schedule", "list"),
    "procession pause list": ("pause", "list"),
    "procession new": ("new", "other"),
}
SHOWN_ELSEWHERE = {"procession demo"}  # it takes seconds: test_demo.py
NOTHING_WAITS = {"service_calls": 0, "timers": 0}
PAGE_WRITER = Path(__file__).resolve().parents[2] / "docs" / "documents.py"


@pytest.fixture(scope="module")
def documents() -> ModuleType:
    spec = importlib.util.spec_from_file_location("documents", PAGE_WRITER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def desk(tmp_path: Path) -> Terminal:
    """An application in which there is something for every command to act on."""
    folder = tmp_path / "desk"
    make_application(folder)
    source = folder / "desk" / "process.py"
    source.write_text(SOURCE)
    (folder / "organisation.toml").write_text('[people.ann]\nroles = ["Desk"]\n')
    with (folder / "procession.toml").open("a") as settings:
        settings.write(SCHEDULE)
    terminal = Terminal(folder)
    for process, times in STARTED:
        for _ in range(times):
            terminal.succeed("start", process, "text=a", "--as", "ann")
    for item in ("8", "9"):
        assert terminal.answer("work", "complete", item, "yes", "--as", "ann")["halted"]
    source.write_text(SOURCE.replace("100 // 0", "100 // 1"))
    return terminal


def test_every_command_that_acts_prints_the_members_on_the_page(desk: Terminal, documents: ModuleType) -> None:
    assert set(ACTS) == set(documents.ACTED)
    for entry, calls in ACTS.items():
        named = set(re.findall(r"[a-z-]+", entry)) - {"procession", "of", "many"}
        assert named <= {word for call in calls for word in call}, f"{entry}: each that is named is given"
        for call in calls:
            answer = desk.answer(*call, "--as", "ann")
            assert answer.keys() == documents.ACTED[entry].keys(), call
            assert answer.get("waiting", NOTHING_WAITS) == NOTHING_WAITS, call


def test_every_command_that_reads_prints_the_record_on_the_page(leave: Terminal, documents: ModuleType) -> None:
    leave.succeed("start", "leave", "days=1", "reason=a", "--as", "ann")
    assert set(READS) | SHOWN_ELSEWHERE == set(documents.READ)
    for command, arguments in READS.items():
        record = documents.READ[command]
        assert list(leave.answer(*arguments)) == list(record.__dataclass_fields__), command


def test_every_command_that_lists_prints_rows_of_the_record_on_the_page(leave: Terminal, documents: ModuleType) -> None:
    leave.succeed("start", "leave", "days=1", "reason=a", "--as", "ann")
    leave.succeed("work", "complete", "1", "yes", "--as", "bob")
    ((command, record),) = documents.LISTED.items()
    (row,) = leave.answer(*command.split()[1:])
    assert list(row) == list(record.__dataclass_fields__)
