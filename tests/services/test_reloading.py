"""An engine that runs takes the source that is on disk, as after a restart: laws 39 and 44."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from procession.engine.advance import DoesNotReplay
from procession.errors import StoreError, StoreFailed
from procession.services.commands import CompleteItem, RetryInstance, StartInstance
from procession.services.desk import NoSuchInstance
from procession.services.hosting import Host
from procession.services.reloading import SourceNotTaken
from procession.services.repairs import NothingToRetry
from procession.store import View
from procession.work.performers import UnknownPerformer
from tests.services.applications import Made, give, make_office, until

WRONG = """

@process(owner=desk)
async def divide(by: int) -> str:
    pages = await read(str(by))
    return f"first {pages // by}"
"""


@pytest.fixture
def office(tmp_path: Path) -> Made:
    return make_office(tmp_path, lambda text: text + WRONG)


async def halted(host: Host) -> str:
    """An instance that stands still because of the bug."""
    name = str((await give(host, StartInstance("divide", '{"by": 0}')))["instance"])
    item = item_of(host, name)
    assert "ZeroDivisionError" in str((await give(host, CompleteItem(item, "6")))["halted"])
    return name


def item_of(host: Host, instance: str) -> int:
    with host.engine.store.readers.snapshot() as view:
        row = view.instances.find_named(instance)
        assert row is not None
        return view.waits(row.id).items[0].id


def result_of(host: Host, instance: str) -> bytes | None:
    with host.engine.store.readers.snapshot() as view:
        return result_in(view, instance)


def result_in(view: View, instance: str) -> bytes | None:
    """What it ended with; nothing while it has not."""
    row = view.instances.find_named(instance)
    assert row is not None
    return view.history(row.id)[-1].payload if row.ended_us is not None else None


def change(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


async def test_a_retry_takes_the_corrected_source_while_the_engine_runs(office: Made) -> None:
    async with office.at_work() as host:
        name = await halted(host)
        assert (await give(host, RetryInstance(name)))["halted"], "nothing was corrected yet"
        change(office.source, ("pages // by", "pages // (by or 1)"))

        assert (await give(host, RetryInstance(name)))["state"] == "completed"
        assert result_of(host, name) == b'"first 6"'
        with host.engine.store.readers.snapshot() as view:
            release = view.release(host.engine.release)
            assert release is not None and release.id == 2
    lock = office.application.store.with_name(office.application.store.name + ".lock")
    assert lock.read_text() == ""


async def test_what_was_alive_replays_on_the_source_that_was_taken(office: Made) -> None:
    async with office.at_work() as host:
        waiting = str((await give(host, StartInstance("divide", '{"by": 2}')))["instance"])
        name = await halted(host)
        change(office.source, ("pages // by", "pages // (by or 1)"), ("first", "then"))
        await give(host, RetryInstance(name))

        await give(host, CompleteItem(item_of(host, waiting), "6"))

        assert result_of(host, waiting) == b'"then 3"'


async def test_a_correction_of_the_same_size_within_the_same_second_is_taken(office: Made) -> None:
    async with office.at_work() as host:
        name = await halted(host)
        times = office.source.stat()
        change(office.source, ("pages // by", "pages // 1 "))
        os.utime(office.source, ns=(times.st_atime_ns, times.st_mtime_ns))

        assert (await give(host, RetryInstance(name)))["state"] == "completed"


BROKEN: dict[str, Callable[[str], str]] = {
    "a syntax error": lambda text: text + "\ndef (",
    "an error at import": lambda text: text + "\n1 / 0\n",
    "an exit at import": lambda text: text + "\nraise SystemExit(3)\n",
    "a declaration that cannot work": lambda text: text.replace("async def wait(seconds: int)", "async def wait(s)"),
}


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_source_that_does_not_load_refuses_the_retry_and_the_engine_goes_on(office: Made, broken: str) -> None:
    async with office.at_work() as host:
        name = await halted(host)
        waiting = str((await give(host, StartInstance("divide", '{"by": 2}')))["instance"])
        before = {key: module for key, module in sys.modules.items() if key.startswith(office.application.packages)}
        text = office.source.read_text()
        office.source.write_text(BROKEN[broken](text))

        with pytest.raises(SourceNotTaken, match="goes on with the source that it has"):
            await give(host, RetryInstance(name))

        assert {key: sys.modules.get(key) for key in before} == before
        await give(host, CompleteItem(item_of(host, waiting), "6"))
        assert result_of(host, waiting) == b'"first 3"'
        office.source.write_text(text.replace("pages // by", "pages // (by or 1)"))
        assert (await give(host, RetryInstance(name)))["state"] == "completed"


async def test_a_source_that_the_history_does_not_fit_refuses_the_retry(office: Made) -> None:
    async with office.at_work() as host:
        name = await halted(host)
        change(office.source, ("    pages = await read(str(by))", '    pages = await weigh("x")'))
        with pytest.raises(DoesNotReplay, match="read"):
            await give(host, RetryInstance(name))


async def test_an_attempt_under_way_ends_with_the_body_that_it_began_with(office: Made) -> None:
    gate = office.application.folder / "gate"
    slow = "async def weigh(letter: str) -> int:\n"
    body = f"    while not __import__('os').path.exists({str(gate)!r}):\n        await asyncio.sleep(0.01)\n"
    change(office.source, (slow, slow + body))
    async with office.at_work(runs_services=True) as host:
        receiving = str((await give(host, StartInstance("receive", '{"letter": "four"}')))["instance"])
        name = await halted(host)
        change(office.source, ("return len(letter)", "return 100 * len(letter)"), ("pages // by", "pages // (by or 1)"))
        await give(host, RetryInstance(name))
        gate.touch()
        await give(host, CompleteItem(item_of(host, receiving), "2"))
        assert await until(host, lambda view: result_in(view, receiving)) == b"8"

        again = str((await give(host, StartInstance("receive", '{"letter": "four"}')))["instance"])
        await give(host, CompleteItem(item_of(host, again), "2"))
        assert await until(host, lambda view: result_in(view, again)) == b"800"


async def test_only_the_retry_of_an_instance_that_stands_still_takes_the_source(office: Made) -> None:
    async with office.at_work() as host:
        waiting = str((await give(host, StartInstance("divide", '{"by": 2}')))["instance"])
        office.source.write_text("def (")
        with pytest.raises(NothingToRetry):
            await give(host, RetryInstance(waiting))
        with pytest.raises(NoSuchInstance):
            await give(host, RetryInstance("divide-17"))


async def test_a_source_that_cannot_be_kept_is_not_taken(office: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    async with office.at_work() as host:
        name = await halted(host)
        before = sys.modules[office.application.packages[0] + ".process"]
        change(office.source, ("pages // by", "pages // (by or 1)"))

        async def fails(*_: object) -> None:
            raise StoreFailed("the disk is gone", subject="", remedy="")

        with monkeypatch.context() as patched:
            patched.setattr(host.engine, "take_source", fails)
            with pytest.raises(StoreError):
                await give(host, RetryInstance(name))
        assert sys.modules[office.application.packages[0] + ".process"] is before
        assert (await give(host, RetryInstance(name)))["state"] == "completed"


async def test_two_retries_at_once_load_the_source_once(office: Made) -> None:
    async with office.at_work() as host:
        names = [await halted(host), await halted(host)]
        change(office.source, ("pages // by", "pages // (by or 1)"))
        answers = await asyncio.gather(*(give(host, RetryInstance(name)) for name in names))
        assert [each["state"] for each in answers] == ["completed", "completed"]
        assert not await host.take_present_source()


async def test_modules_beside_the_package_and_the_people_are_taken_too(office: Made) -> None:
    beside = office.application.folder / f"beside_{office.application.name}.py"
    beside.write_text("ONE = 0\n")
    change(office.source, ("pages // by", f"pages // {beside.stem}.ONE"))
    change(office.source, ("import asyncio\n", f"import asyncio\nimport {beside.stem}\n"))
    async with office.at_work() as host:
        name = await halted(host)
        item = item_of(host, str((await give(host, StartInstance("divide", '{"by": 2}')))["instance"]))
        with pytest.raises(UnknownPerformer):
            await give(host, CompleteItem(item, "6"), actor="eve")
        beside.write_text("ONE = 1\n")
        people = office.application.organisation_file
        people.write_text(people.read_text() + '[people.eve]\nroles = ["Desk"]\n')

        assert (await give(host, RetryInstance(name)))["state"] == "completed"
        await give(host, CompleteItem(item, "6"), actor="eve")
