"""The page about JSON documents says what commands print."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.acceptance.terminal import Terminal

pytestmark = pytest.mark.slow

PAGE_WRITER = Path(__file__).resolve().parents[2] / "docs" / "documents.py"


@pytest.fixture(scope="module")
def documents() -> ModuleType:
    spec = importlib.util.spec_from_file_location("documents", PAGE_WRITER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_command_that_acts_prints_the_members_on_the_page(leave: Terminal, documents: ModuleType) -> None:
    acted: dict[str, dict[str, str]] = documents.ACTED
    start, work, repair, *_ = acted.values()

    def check(members: dict[str, str], answer: dict[str, Any]) -> None:
        assert answer.keys() == members.keys()
        assert answer["waiting"] == {"service_calls": 0, "timers": 0}

    check(start, leave.answer("start", "leave", "days=1", "reason=a", "--as", "ann"))
    check(work, leave.answer("work", "claim", "1", "--as", "bob"))
    check(work, leave.answer("work", "start", "1", "--as", "bob"))
    check(work, leave.answer("work", "put-back", "1", "--as", "bob"))
    check(work, leave.answer("work", "save-draft", "1", "--answer", "true", "--as", "bob"))
    check(work, leave.answer("work", "complete", "1", "yes", "--as", "bob"))
    leave.succeed("start", "leave", "days=2", "reason=b", "--as", "ann")
    check(repair, leave.answer("complete-call", "leave-2", "1", "result=yes"))
    leave.succeed("start", "leave", "days=3", "reason=c", "--as", "ann")
    check(repair, leave.answer("cancel", "leave-3", "--force"))


def test_every_command_that_reads_prints_the_record_on_the_page(leave: Terminal, documents: ModuleType) -> None:
    leave.succeed("start", "leave", "days=1", "reason=a", "--as", "ann")
    arguments = {
        "procession list": ("list",),
        "procession show": ("show", "leave-1", "-v", "--history"),
        "procession work list": ("work", "list", "--as", "bob"),
        "procession work show": ("work", "show", "1"),
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
    for command, record in documents.READ.items():
        if command in arguments:
            assert list(leave.answer(*arguments[command])) == list(record.__dataclass_fields__), command
