"""A process that is killed, a disk that is full, a write that fails: nothing acknowledged is lost, nothing is half done."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from procession.errors import ConstraintBroken, NotAStore, StoreBusy, StoreDamaged, StoreFailed, StoreFull
from procession.store import OpenOptions, open_store
from procession.store.connections import Connection, Mode, SqliteConnections
from procession.store.failures import meaning_of
from procession.store.invariants import check_invariants, fingerprint
from tests.contract import rows

ROOT = Path(__file__).resolve().parents[2]

KILLED = """
import os, signal, sys
from procession.store import open_store
from tests.contract import rows

path, moment = sys.argv[1:]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

store = open_store(path)
with store.begin() as batch:
    rows.park(batch)
    if moment == "collected":
        die()
    batch.write()
    if moment == "written":
        die()
    batch.commit()
    if moment == "committed":
        die()
with store.begin() as batch:
    rows.park(batch)
    batch.write()
    if moment == "second":
        die()
    batch.commit()
store.checkpoint()
die()
"""


@pytest.mark.parametrize(
    ("moment", "instances"), [("collected", 0), ("written", 0), ("committed", 1), ("second", 1), ("checkpointed", 2)]
)
def test_after_a_kill_there_is_all_of_a_batch_or_nothing(tmp_path: Path, moment: str, instances: int) -> None:
    path = tmp_path / "store.db"
    ended = subprocess.run([sys.executable, "-c", KILLED, str(path), moment], cwd=ROOT, check=False)
    assert ended.returncode == -9
    with open_store(path) as store, store.readers.snapshot() as view:
        counts = view.counts()
        assert (counts.instances.get("running", 0), counts.events, counts.timers) == (
            instances,
            4 * instances,
            instances,
        )
        assert check_invariants(path).problems == ()
        with store.begin() as batch:
            assert rows.add_instance(batch).name == f"leave-{instances + 1}"


def test_a_kill_while_the_tables_are_made_leaves_a_file_that_opens(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    code = (
        "import os, signal, sys\nfrom procession.store import creation, open_store\n"
        "creation.mark = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\nopen_store(sys.argv[1])"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, check=False).returncode == -9
    with open_store(path):
        assert check_invariants(path).is_sound


FULL = """
import json, os, resource, signal, sys
from procession.errors import StoreError
from procession.store import open_store
from tests.contract import rows

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = open_store(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
acknowledged = []

def one(number):
    with store.begin() as batch:
        rows.park(batch, client_id=f"c-{number}")
        batch.commit()
    acknowledged.append(f"c-{number}")

refused = None
for number in range(10_000):
    try:
        one(number)
    except StoreError as error:
        refused = error
        break
with store.readers.snapshot() as view:
    readable = view.counts().requests
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
if store.is_failed:
    store.reopen()
one("after")
store.close()
print(json.dumps({"acknowledged": acknowledged, "refused": refused.code, "remedy": refused.remedy, "readable": readable}))
"""


@pytest.mark.parametrize("limit", [400_000, 523_457, 700_000])
def test_a_full_disk_refuses_what_comes_and_keeps_what_was_acknowledged(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "store.db"
    ended = subprocess.run(
        [sys.executable, "-c", FULL, str(path), str(limit)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    told = json.loads(ended.stdout)
    assert told["refused"] in ("store-full", "store-failed")
    assert told["remedy"]
    assert len(told["acknowledged"]) > 3
    assert (
        told["readable"] == len(told["acknowledged"]) - 1
    )  # all before the one that was taken when there was space again
    connection = sqlite3.connect(path)
    stored = {row[0] for row in connection.execute("SELECT client_id FROM request")}
    connection.close()
    assert stored == set(told["acknowledged"])
    assert check_invariants(path).problems == ()


class SmallDisk(SqliteConnections):
    """Connections to a database that may not grow beyond some pages."""

    pages = 0

    def connect(self, path: Path, mode: Mode) -> Connection:
        connection = super().connect(path, mode)
        if self.pages and mode == "rw":
            connection.execute(f"PRAGMA max_page_count = {self.pages}")
        return connection


def test_sqlites_word_for_a_full_disk_drops_the_batch_and_the_engine_goes_on(tmp_path: Path) -> None:
    path, disk = tmp_path / "store.db", SmallDisk()
    open_store(path).close()
    disk.pages = 60
    with open_store(path, OpenOptions(connections=disk)) as store:

        def park(number: int) -> None:
            with store.begin() as batch:
                for _ in range(number):
                    rows.park(batch)
                batch.commit()

        with pytest.raises(StoreFull) as caught:
            park(1000)
        assert str(path) in caught.value.message
        assert store._writer.current is None
        before = fingerprint(path)
        with pytest.raises(StoreFull):
            park(1000)
        assert fingerprint(path) == before
        park(1)  # a smaller one finds its place
        disk.pages = 0
        store.reopen()
        park(1000)
    assert check_invariants(path).problems == ()


class FailingCommit:
    """A connection whose next COMMIT fails, before or after it reaches the file."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.fails: str | None = None

    def execute(self, sql: str, parameters: object = (), /) -> object:
        if sql == "COMMIT" and self.fails is not None:
            if self.fails == "after":
                self._connection.execute("COMMIT")
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error
        return self._connection.execute(sql, parameters)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)


@pytest.mark.parametrize("fails", ["before", "after"])
def test_after_a_failed_commit_nothing_is_taken_until_the_store_is_read_again(tmp_path: Path, fails: str) -> None:
    with open_store(tmp_path / "store.db") as store:
        connection = FailingCommit(store._writer.connection)
        store._writer.connection = connection  # type: ignore[assignment]
        connection.fails = fails
        with store.begin() as batch:
            parked = rows.park(batch, client_id="unknown")
            with pytest.raises(StoreFailed):
                batch.commit()
            assert batch.touched == {parked.instance}
        assert store.is_failed
        with pytest.raises(StoreFailed):
            store.begin()
        store.reopen()
        with store.begin() as batch:
            found = batch.requests.find_by_client_id("unknown")
            assert (found is not None) == (fails == "after")
            assert rows.add_instance(batch).name == ("leave-2" if fails == "after" else "leave-1")
            batch.commit()
    assert check_invariants(tmp_path / "store.db").problems == ()


def test_another_program_that_writes_is_named_as_busy(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with open_store(path) as store:
        store._writer.connection.execute("PRAGMA busy_timeout = 1")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy) as caught:
            store.begin()
        assert str(path) in caught.value.message
        other.close()
        assert not store.is_failed
        store.begin().rollback()


def test_a_damaged_file_is_told_from_a_sound_one(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with open_store(path) as store, store.begin() as batch:
        for _ in range(50):
            rows.park(batch)
        batch.commit()
    content = bytearray(path.read_bytes())
    for page in range(20, len(content) // 4096 - 1):
        content[page * 4096 : page * 4096 + 100] = b"\xff" * 100
    path.write_bytes(bytes(content))
    report = check_invariants(path)
    assert report["file"].verdict == "broken"
    assert not report.is_sound


def test_each_of_sqlites_errors_has_its_meaning(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    meanings = {
        sqlite3.SQLITE_FULL: StoreFull,
        sqlite3.SQLITE_BUSY_SNAPSHOT: StoreBusy,
        sqlite3.SQLITE_LOCKED: StoreBusy,
        sqlite3.SQLITE_CORRUPT_INDEX: StoreDamaged,
        sqlite3.SQLITE_IOERR_FSYNC: StoreFailed,
        sqlite3.SQLITE_READONLY: StoreFailed,
        sqlite3.SQLITE_CANTOPEN: StoreFailed,
        sqlite3.SQLITE_NOTADB: NotAStore,
        sqlite3.SQLITE_CONSTRAINT_UNIQUE: ConstraintBroken,
    }
    for code, expected in meanings.items():
        error = sqlite3.OperationalError("some text")
        error.sqlite_errorcode = code
        meaning = meaning_of(error, path)
        assert type(meaning) is expected
        assert str(path) == meaning.subject
        assert meaning.remedy
    assert meaning_of(ValueError("other"), path) is None
