"""A backup is whole whatever happens meanwhile, and a restore leaves one store or the other, and never loses the old one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from procession.errors import NotAStore, StoreDamaged, StoreLocked, StoreNotUsable
from procession.services.backups import BackupMade, StoreRestored, back_up, look_at, require_no_engine, restore
from procession.services.commands import CompleteItem, Order, StartInstance
from procession.services.hosting import Hosting, open_host
from procession.services.reading import Reading, Wanted
from procession.store import open_readers
from procession.store.copies import CopyExists
from procession.store.invariants import check_invariants, fingerprint
from procession.store.lock import StoreLock
from tests.services.applications import Made, make_office

START = StartInstance("receive", '{"letter": "Dear Sir"}')
NOW = datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC)


def ignored(done: int, of: int) -> None:
    """Nobody looks how far it is."""


@pytest.fixture
def office(tmp_path: Path) -> Made:
    made = make_office(tmp_path)
    made.perform(START)
    return made


def backed_up(made: Made, name: str = "copy.db") -> BackupMade:
    return back_up(made.application, made.application.folder / name, ignored)


def restored(made: Made, name: str = "copy.db") -> StoreRestored:
    return restore(made.application.folder / name, made.application.store, now=NOW, progress=ignored)


def instances(made: Made) -> list[str]:
    with Reading(made.application) as reading:
        return [each.instance for each in reading.instances(Wanted()).instances]


def test_a_backup_is_one_verified_file_with_everything_in_it(office: Made) -> None:
    made = backed_up(office)
    assert made.verified > 3
    assert made.findings == ()
    assert fingerprint(Path(made.file)) == fingerprint(office.application.store)
    beside = [each.name for each in office.application.folder.iterdir() if each.name.startswith("copy.db")]
    assert beside == ["copy.db"]


async def test_a_backup_is_made_while_an_engine_writes(tmp_path: Path) -> None:
    """Commits between any two steps of the copying: it has what was there when it began, and the check holds."""
    office = make_office(tmp_path)
    hosting = Hosting(runs_services=False, runs_timers=False)
    async with open_host(office.application, hosting) as host:
        for _ in range(40):
            await host.perform(Order(START, "ann"))
        store, written = host.engine.store, 0

        def write(name: str, size: int) -> None:
            with store.begin() as batch:
                batch.put_meta(name, "x" * size)
                batch.commit()

        def commits(done: int, of: int) -> None:
            nonlocal written
            written += 1
            if written <= 3:  # otherwise it would have to begin anew for ever
                write(f"written {written}", 4_000)

        write("much", 8_000_000)
        made = back_up(office.application, office.application.folder / "copy.db", commits)
        assert written > 3
        await host.perform(Order(START, "ann"))
    with open_readers(Path(made.file)).snapshot() as view:
        assert view.metas("written") == {}
    assert look_at(Path(made.file)).instances == 40
    assert check_invariants(Path(made.file)).is_sound


def test_a_backup_overwrites_nothing(office: Made) -> None:
    (office.application.folder / "copy.db").write_text("dear to somebody")
    with pytest.raises(CopyExists, match="overwrites nothing"):
        backed_up(office)
    assert (office.application.folder / "copy.db").read_text() == "dear to somebody"


def test_a_backup_of_no_store_or_into_no_folder_is_refused(tmp_path: Path) -> None:
    made = make_office(tmp_path)
    with pytest.raises(NotAStore):
        backed_up(made)
    made.perform(START)
    with pytest.raises(StoreNotUsable, match="no folder"):
        back_up(made.application, tmp_path / "nowhere" / "copy.db", ignored)


def damage(path: Path) -> None:
    """Change one recorded row by hand."""
    import sqlite3

    with sqlite3.connect(path) as connection:
        connection.execute('UPDATE event SET payload = CAST(\'{"letter": "Dear Madam"}\' AS BLOB) WHERE seq = 1')
    connection.close()


def test_a_store_whose_chain_is_broken_gives_no_backup(office: Made) -> None:
    damage(office.application.store)
    with pytest.raises(StoreDamaged):
        backed_up(office)
    assert not list(office.application.folder.glob("copy.db*"))


def test_a_restore_brings_back_what_was_there_and_keeps_what_is_there_now(office: Made) -> None:
    backed_up(office)
    office.perform(START, CompleteItem(1, "3"))
    before = fingerprint(office.application.store)
    done = restored(office)
    assert instances(office) == ["receive-1"]
    assert done.old is not None
    assert Path(done.old).name == "procession.db.before-restore-2026-03-01T123015"
    assert fingerprint(Path(done.old)) == before
    office.perform(CompleteItem(1, "3"))
    restored(office)
    kept = {each.name for each in office.application.folder.glob("procession.db.before-restore-*")}
    assert {f"{Path(done.old).name}{ending}" for ending in ("", "-2")} <= kept


def test_a_restore_where_there_is_no_store_yet_keeps_nothing(office: Made, tmp_path: Path) -> None:
    backed_up(office)
    other = tmp_path / "other.db"
    done = restore(office.application.folder / "copy.db", other, now=NOW, progress=ignored)
    assert done.old is None
    assert fingerprint(other) == fingerprint(office.application.store)


def test_a_restore_is_refused_while_an_engine_runs(office: Made) -> None:
    backed_up(office)
    before = fingerprint(office.application.store)
    lock = StoreLock.acquire(office.application.store)
    try:
        with pytest.raises(StoreLocked, match="An engine runs"):
            require_no_engine(office.application.store)
        with pytest.raises(StoreLocked):
            restored(office)
    finally:
        lock.release()
    assert fingerprint(office.application.store) == before


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def other_program(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 100)


@pytest.mark.parametrize("spoil", [damage, cut, other_program])
def test_a_damaged_backup_is_refused_and_changes_nothing(office: Made, spoil: Callable[[Path], None]) -> None:
    backed_up(office)
    spoil(office.application.folder / "copy.db")
    names = {each.name for each in office.application.folder.iterdir()}
    before = fingerprint(office.application.store)
    with pytest.raises((StoreDamaged, NotAStore)):
        restored(office)
    assert fingerprint(office.application.store) == before
    assert {each.name for each in office.application.folder.iterdir()} <= names | {"procession.db.lock"}


def test_the_store_itself_is_no_backup_to_restore(office: Made) -> None:
    with pytest.raises(StoreNotUsable, match="is the store itself"):
        restored(office, "procession.db")


def test_a_damaged_store_gives_way_to_its_backup_and_is_kept(office: Made) -> None:
    backed_up(office)
    other_program(office.application.store)
    done = restored(office)
    assert instances(office) == ["receive-1"]
    assert done.old is not None
    assert Path(done.old).read_bytes().startswith(b"not a database")


KILLED = """
import os, signal, sys
from datetime import datetime, UTC
from pathlib import Path
from procession.services.application import open_application
from procession.services.backups import back_up, restore

folder, at = Path(sys.argv[1]), sys.argv[2]
application = open_application(folder)

def reached(point):
    if point == at:
        os.kill(os.getpid(), signal.SIGKILL)

def progress(done, of):
    reached("copying")

if at == "backup":
    back_up(application, folder / "second.db", lambda done, of: reached("copying") or os.kill(os.getpid(), signal.SIGKILL))
restore(folder / "copy.db", application.store, now=datetime(2026, 3, 1, tzinfo=UTC), progress=progress, reached=reached)
"""


def killed(made: Made, at: str) -> None:
    run = subprocess.run([sys.executable, "-c", KILLED, str(made.application.folder), at], check=False)
    assert run.returncode == -signal.SIGKILL


def test_a_backup_that_is_killed_leaves_nothing_that_looks_like_one(office: Made) -> None:
    killed(office, "backup")
    folder = office.application.folder
    assert not (folder / "second.db").exists()
    assert list(folder.glob("second.db.*.unfinished"))
    backed_up(office, "second.db")
    assert [each.name for each in folder.glob("second.db*")] == ["second.db"]


@pytest.mark.parametrize("point", ["copying", "copied", "linked", "kept", "placed"])
def test_a_restore_that_is_killed_leaves_the_old_store_or_the_new_one(office: Made, point: str) -> None:
    backed_up(office)
    office.perform(START)
    old, new = fingerprint(office.application.store), fingerprint(office.application.folder / "copy.db")
    killed(office, point)
    assert fingerprint(office.application.store) == (new if point == "placed" else old)
    assert check_invariants(office.application.store).is_sound
    if point == "placed":
        assert fingerprint(next(office.application.folder.glob("*.before-restore-*"))) == old
    restored(office)
    assert fingerprint(office.application.store) == new
    office.perform(START)


def test_the_old_store_keeps_what_only_its_log_had(office: Made) -> None:
    """An engine that was killed leaves its last commits in the log beside the store."""
    backed_up(office)
    script = (
        "import asyncio, os, signal, sys\nfrom pathlib import Path\nfrom procession.services.application import open_application\n"
        "from procession.services.commands import Order, StartInstance\n"
        "from procession.services.hosting import Hosting, open_host\n"
        "async def work():\n"
        "    async with open_host(open_application(Path(sys.argv[1])), Hosting(runs_services=False, runs_timers=False)) as host:\n"
        "        await host.perform(Order(StartInstance('receive', '{\"letter\": \"late\"}'), 'ann'))\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(work())\n"
    )
    run = subprocess.run([sys.executable, "-c", script, str(office.application.folder)], check=False)
    assert run.returncode == -signal.SIGKILL
    assert os.path.getsize(f"{office.application.store}-wal") > 0
    before = fingerprint(office.application.store)
    done = restored(office)
    assert instances(office) == ["receive-1"]
    assert done.old is not None
    assert fingerprint(Path(done.old)) == before
