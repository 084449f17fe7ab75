"""What `doctor` finds: each kind of thing that needs a person, by name and with the way on."""

import json
import shutil
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest

from procession.engine import delivering
from procession.engine.clock import VirtualClock
from procession.errors import NotAStore, StoreNotUsable
from procession.services import guarding, health, replaying
from procession.services.application import open_application
from procession.services.commands import CancelInstance, CompleteItem, SaveDraft, StartInstance
from procession.services.health import HealthReport, examine
from procession.services.reading import Reading
from procession.services.worklist import BodyFailed
from procession.store.lock import StoreLock
from procession.store.sqlite_defects import SqliteDefect
from tests.services.applications import Made, give, make_office

START = StartInstance("receive", '{"letter": "Dear Sir"}')
DAY_US = 86_400_000_000


def kinds(report: HealthReport) -> list[str]:
    return sorted({concern.kind for concern in report.concerns})


@pytest.fixture
def office(tmp_path: Path) -> Made:
    made = make_office(tmp_path)
    made.perform(START)
    return made


def test_a_sound_application_is_well_and_counted(office: Made) -> None:
    report = examine(office.application)
    assert report.is_well, report.concerns
    assert (report.instances, report.items, report.service_calls) == ({"running": 1}, {"offered": 1}, {"due": 1})
    assert {check.id: check.verdict for check in report.checks}["I6"] == "holds"
    assert report.engine is None
    assert report.store_bytes > 0


def test_an_application_that_never_ran_is_well(tmp_path: Path) -> None:
    made = make_office(tmp_path)
    assert examine(made.application).is_well
    assert not made.application.store.exists()


def test_an_item_that_is_overdue_is_told_with_whom_it_waits_for(tmp_path: Path) -> None:
    made = make_office(tmp_path)
    made.perform(START, clock=VirtualClock(time.time_ns() // 1000 - 3 * DAY_US))
    report = examine(made.application)
    assert kinds(report) == ["overdue"]
    assert "Read the letter" in report.concerns[0].message
    assert "the role Desk" in report.concerns[0].message


def with_a_body_that_fails(text: str) -> str:
    text = text.replace("import asyncio\n", "import asyncio\nfrom dataclasses import dataclass\n", 1)
    text = text.replace(
        "@desk.task(", "@dataclass(frozen=True)\nclass Pages:\n    number: int\n\n\n@desk.task(form=Pages, ", 1
    )
    text = text.replace("read(letter: str)", "read(pages: Pages, letter: str)", 1)
    return text.replace("    ...\n", "    assert pages.number < 100, 'too long'\n    return pages.number\n", 1)


def test_an_item_whose_body_failed_is_told_to_the_owner_until_it_is_completed(tmp_path: Path) -> None:
    made = make_office(tmp_path, with_a_body_that_fails)
    made.perform(START)
    for number in (100, 200):
        with pytest.raises(BodyFailed):
            made.perform(CompleteItem(1, json.dumps({"number": number})))
    report = examine(made.application)
    assert kinds(report) == ["failed body"]
    concern = report.concerns[0]
    assert concern.subject == "1"
    for part in ("Read the letter", "2 times", "Desk.read failed", "AssertionError: too long"):
        assert part in concern.message
    for part in ("ann@acme.example corrects", "process.py:", "ann completes"):
        assert part in concern.remedy
    made.perform(CompleteItem(1, '{"number": 99}'))
    assert examine(made.application).is_well


def test_a_failed_body_is_told_although_the_application_no_longer_loads(tmp_path: Path) -> None:
    made = make_office(tmp_path, with_a_body_that_fails)
    made.perform(START)
    with pytest.raises(BodyFailed):
        made.perform(CompleteItem(1, '{"number": 100}'))
    other = make_office(tmp_path, lambda text: text + "\nraise RuntimeError('half way')\n")
    report = examine(replace(other.application, store=made.application.store))
    assert kinds(report) == ["application", "failed body"]
    assert "the owner of Desk" in report.concerns[1].remedy


def with_a_clean_up(text: str) -> str:
    waits = "    await asyncio.sleep(seconds)\n"
    return text.replace(waits, f"    try:\n    {waits}    finally:\n        await read('what is left')\n", 1)


def test_a_clean_up_that_takes_longer_than_the_application_allows_is_told(tmp_path: Path) -> None:
    made = make_office(tmp_path, with_a_clean_up)
    clock = VirtualClock(time.time_ns() // 1000 - DAY_US - DAY_US // 2)
    made.perform(StartInstance("wait", '{"seconds": 60}'), CancelInstance("wait-1"), clock=clock)
    report = examine(made.application)
    assert kinds(report) == ["cancelling"]
    assert "wait-1 is to be cancelled since" in report.concerns[0].message
    assert "--force" in report.concerns[0].remedy
    settings = made.application.folder / "procession.toml"
    settings.write_text(settings.read_text().replace("[application]", '[application]\ncancel_within = "2 days"'))
    assert examine(open_application(made.application.folder)).is_well


def test_a_draft_that_its_performer_saves_is_no_failed_body(office: Made) -> None:
    office.perform(SaveDraft(1, "{half"))
    assert examine(office.application).is_well


def test_a_clock_behind_the_store_is_told(tmp_path: Path) -> None:
    made = make_office(tmp_path)
    made.perform(START, clock=VirtualClock(time.time_ns() // 1000 + DAY_US))
    report = examine(made.application)
    assert kinds(report) == ["clock"]
    assert "--accept-clock" in report.concerns[0].remedy


def test_an_operation_that_is_gone_is_told_by_name(office: Made, tmp_path: Path) -> None:
    other = make_office(
        tmp_path, lambda text: text.replace("def read(", "def peruse(").replace("read(letter)", "peruse(letter)")
    )
    report = examine(replace(other.application, store=office.application.store))
    assert kinds(report) == ["does not replay", "missing operation"]
    assert report.concerns[0].subject == "Desk.read"


def test_an_application_that_does_not_load_is_told_and_its_store_examined_all_the_same(
    office: Made, tmp_path: Path
) -> None:
    other = make_office(tmp_path, lambda text: text + "\nraise RuntimeError('half way')\n")
    report = examine(replace(other.application, store=office.application.store))
    assert kinds(report) == ["application"]
    assert "half way" in report.concerns[0].message
    assert report.instances == {"running": 1}


def test_instances_that_will_halt_on_the_source_on_disk_are_told_with_how_many_were_looked_at(
    office: Made, tmp_path: Path
) -> None:
    office.perform(StartInstance("wait", '{"seconds": 60}'))
    other = make_office(
        tmp_path, lambda text: text.replace("    attribute(length=len(letter))\n", "    await weigh(letter)\n")
    )
    report = examine(replace(other.application, store=office.application.store))
    assert [(each.kind, each.subject) for each in report.concerns] == [("does not replay", "receive-1")]
    assert "2 of 2 running instances were looked at" in report.concerns[0].remedy
    assert report.replayed == 2


def test_of_very_many_instances_those_of_other_sources_are_replayed_first(
    office: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_office(
        tmp_path, lambda text: text.replace("    attribute(length=len(letter))\n", "    await weigh('')\n")
    )
    there = replace(other, application=replace(other.application, store=office.application.store))
    there.perform(*[StartInstance("wait", '{"seconds": 60}')] * 3)
    monkeypatch.setattr(replaying, "MOST_REPLAYED", 1)
    report = examine(there.application)
    assert [(each.kind, each.subject) for each in report.concerns] == [("does not replay", "receive-1")]
    assert "1 of 4 running instances" in report.concerns[0].remedy


def test_an_endless_loop_on_the_source_on_disk_does_not_stop_the_examination(
    office: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_office(
        tmp_path, lambda text: text.replace("    attribute(length=len(letter))\n", "    while True:\n        pass\n")
    )
    monkeypatch.setattr(guarding, "LIMIT_SECONDS", 0.05)
    report = examine(replace(other.application, store=office.application.store))
    assert kinds(report) == ["does not replay"]
    assert "endless loop" in report.concerns[0].message


def test_a_row_that_was_changed_behind_the_engine_is_told(office: Made) -> None:
    connection = sqlite3.connect(office.application.store)
    connection.execute("UPDATE event SET payload = ? WHERE kind = 'InstanceStarted'", (b'{"letter": "Dear Madam"}',))
    connection.execute("DELETE FROM service_call")
    connection.commit()
    connection.close()
    report = examine(office.application)
    assert kinds(report) == ["does not replay", "invariant"]
    assert {concern.subject for concern in report.concerns} >= {"chain", "I6"}


def test_a_defect_of_sqlite_that_touches_a_store_is_told(office: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    defect = SqliteDefect("It loses rows.", True, "Use another.", "https://example.org")
    monkeypatch.setattr(health, "known_defects", lambda version: [defect])
    assert kinds(examine(office.application)) == ["sqlite"]
    monkeypatch.setattr(health, "known_defects", lambda version: [replace(defect, touches_us=False)])
    assert examine(office.application).is_well


async def test_what_an_engine_cannot_apply_of_one_instance_to_another_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_office(
        tmp_path,
        lambda text: (
            text + "\n\n@process(owner=desk)\nasync def over() -> int:\n    return await receive('Dear Sir')\n"
        ),
    )

    def fails(*_: object) -> None:
        raise RuntimeError("a mistake of ours")

    async with made.at_work() as host:
        host.engine.store.lock.announce("/run/somewhere")
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(delivering, "begin_instance", fails)
            await give(host, StartInstance("over", "{}"))
        assert examine(made.application).is_well, "it has only just been asked for"
        monkeypatch.setattr(health, "LONGEST_APPLYING_US", 0)
        (concern,) = examine(made.application).concerns
    assert concern.kind == "not applied"
    assert "What over-1 does to another (start, call 1) waits since" in concern.message


def test_a_store_that_was_removed_under_an_engine_is_told(office: Made) -> None:
    held = StoreLock.acquire(office.application.store)
    try:
        held.announce("/run/somewhere")
        office.application.store.unlink()
        report = examine(office.application)
    finally:
        held.release()
    assert kinds(report) == ["store"]
    assert f"its store {office.application.store} is not there any more" in report.concerns[0].message


def test_a_disk_with_next_to_nothing_left_is_told(office: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    there_is = shutil.disk_usage(office.application.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: there_is._replace(free=4096))
    report = examine(office.application)
    assert kinds(report) == ["disk"]
    assert f"{office.application.store} is on has 0.0 MB left" in report.concerns[0].message
    monkeypatch.setattr(shutil, "disk_usage", lambda path: there_is._replace(free=10**9))
    assert examine(office.application).is_well


def test_the_engine_that_runs_is_named(office: Made) -> None:
    held = StoreLock.acquire(office.application.store)
    try:
        held.announce("/run/somewhere")
        engine = examine(office.application).engine
    finally:
        held.release()
    assert engine is not None
    assert (engine.process, engine.socket) == (held.holder.pid, "/run/somewhere")


def test_a_file_of_another_program_is_told_as_that(office: Made) -> None:
    store = office.application.store
    for path in store.parent.glob(f"{store.name}*"):
        path.unlink()
    with sqlite3.connect(store) as other:
        other.execute("CREATE TABLE page (text)")
    with pytest.raises(NotAStore, match="another program"):
        examine(office.application)
    store.unlink()
    store.mkdir()
    with pytest.raises(StoreNotUsable, match="is a folder"):
        examine(office.application)


def test_a_service_out_of_attempts_is_told_in_a_sentence(office: Made) -> None:
    kept = json.dumps({"type": "ConnectionError", "message": "flaky", "at_us": 0, "attempt": 3})
    with sqlite3.connect(office.application.store) as other:
        other.execute("UPDATE service_call SET state = 'attention', last_error = ?", (kept,))
    (concern,) = (each for each in examine(office.application).concerns if each.kind == "attention")
    assert "needs attention: ConnectionError: flaky (attempt 3, 1970-01-01 00:00)." in concern.message
    with Reading(office.application) as reading:
        (service,) = (each for each in reading.instance("receive-1").waits if each.kind == "service")
    assert service.last_error is not None
    assert (service.last_error.type, service.last_error.attempt) == ("ConnectionError", 3)
