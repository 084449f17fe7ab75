"""A store is opened or refused: each refusal names the file and what to do, and touches nothing."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from procession.errors import (
    NewerStore,
    NotAStore,
    OlderStore,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreNotUsable,
)
from procession.store import OpenOptions, find_holder, lock_path, open_readers, open_store
from procession.store import opening as opening_module
from procession.store.schema import APPLICATION_ID
from tests.contract import rows
from tests.contract.subject import FAST


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith(".lock")}


def says(error: StoreError, path: Path) -> str:
    assert str(path) in error.message
    assert error.remedy
    return str(error)


def test_a_new_store_is_made_marked_and_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with open_store(path) as store:
        first = store.store_id
        assert len(first) == 16
    with open_store(path) as store:
        assert store.store_id == first
        with store.readers.snapshot() as view:
            assert view.store_id() == first
    raw = path.read_bytes()
    assert raw[:15] == b"SQLite format 3"
    assert raw[68:72] == APPLICATION_ID.to_bytes(4, "big") == b"PROC"
    assert not path.with_name("store.db-wal").exists()


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.touch()
    with open_store(path) as store:
        assert store.begin().find_meta("store-id") is not None


@pytest.mark.parametrize("content", [b"hello, I am a letter\n" * 100, b"SQLite format 3\0" + b"x" * 4096, b"\0" * 8192])
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "letter.txt"
    path.write_bytes(content)
    with pytest.raises(NotAStore) as caught:
        open_store(path)
    assert "is not a store" in says(caught.value, path)
    assert files(tmp_path) == {"letter.txt": content}


def test_a_database_of_another_program_is_refused_and_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE photo (id INTEGER)")
    connection.close()
    before = files(tmp_path)
    for opened in (lambda: open_store(path), lambda: open_readers(path).snapshot().__enter__()):
        with pytest.raises(NotAStore) as caught:
            opened()
        assert "another program" in says(caught.value, path)
    assert files(tmp_path) == before


def stamp(path: Path, version: int) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()


def test_a_store_of_a_newer_schema_is_refused_and_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    open_store(path).close()
    stamp(path, 99)
    before = files(tmp_path)
    with pytest.raises(NewerStore) as caught:
        open_store(path)
    assert "newer Procession (schema 99" in says(caught.value, path)
    with pytest.raises(NewerStore), open_readers(path).snapshot():
        pass
    # SQLite leaves an empty log and its index beside a file that was only read.
    assert files(tmp_path)["store.db"] == before["store.db"]
    assert files(tmp_path).get("store.db-wal", b"") == b""


def test_a_reader_does_not_migrate(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    open_store(path).close()
    stamp(path, 0)
    with pytest.raises(OlderStore) as caught, open_readers(path).snapshot():
        pass
    assert "procession serve" in says(caught.value, path)


def test_a_missing_folder_a_folder_and_a_missing_store_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreNotUsable) as caught:
        open_store(tmp_path / "nowhere" / "store.db")
    says(caught.value, tmp_path / "nowhere")
    with pytest.raises(StoreNotUsable) as caught:
        open_store(tmp_path)
    assert "is a folder" in says(caught.value, tmp_path)
    with pytest.raises(StoreNotUsable) as caught:
        open_store(tmp_path / "store.db", OpenOptions(create=False))
    says(caught.value, tmp_path / "store.db")
    with pytest.raises(StoreNotUsable), open_readers(tmp_path / "store.db").snapshot():
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_writable_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The tests may run as root, who may write everywhere.
    monkeypatch.setattr(opening_module.os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(StoreNotUsable) as caught:
        open_store(tmp_path / "store.db")
    assert "is not writable" in says(caught.value, tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_folder_where_no_file_can_be_made_is_refused() -> None:
    with pytest.raises(StoreNotUsable) as caught:
        open_store(Path("/proc/store.db"), OpenOptions(mounts=lambda: ""))
    says(caught.value, Path("/proc/store.db"))


def test_a_disk_too_full_for_the_lock_is_told_and_the_lock_is_free_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, content: bytes, offset: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as at_first:
        at_first.setattr(os, "pwrite", full)
        with pytest.raises(StoreFull) as caught:
            open_store(tmp_path / "store.db")
    assert "store.db.lock is full. Free space" in says(caught.value, tmp_path / "store.db.lock")
    open_store(tmp_path / "store.db").close()


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "9p"])
def test_a_network_file_system_is_refused(tmp_path: Path, kind: str) -> None:
    mounts = f"/dev/vda / ext4 rw 0 0\nserver:/share {tmp_path} {kind} rw 0 0\n"
    with pytest.raises(StoreNotUsable) as caught:
        open_store(tmp_path / "store.db", OpenOptions(mounts=lambda: mounts))
    assert f"({kind})" in says(caught.value, tmp_path / "store.db")
    assert list(tmp_path.iterdir()) == []


def test_a_second_engine_is_refused_and_told_who_has_the_store(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with open_store(path) as store:
        store.lock.announce("/run/procession/abc.sock")
        with pytest.raises(StoreLocked) as caught:
            open_store(path)
        assert f"process {os.getpid()} on " in says(caught.value, path)
        assert caught.value.holder == store.lock.holder == find_holder(path)
        assert store.lock.holder.socket == "/run/procession/abc.sock"
    assert find_holder(path) is None
    open_store(path).close()


def test_two_names_of_one_store_have_one_lock(tmp_path: Path) -> None:
    path, name = tmp_path / "store.db", tmp_path / "link.db"
    with open_store(path):
        name.symlink_to(path)
        with pytest.raises(StoreLocked):
            open_store(name)
    assert lock_path(name) == lock_path(path)


HOLD = """
import sys
from procession.store import open_store
store = open_store(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
store.close()
"""


def test_the_lock_of_another_process_is_seen_waited_for_and_ends_with_it(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        holder = find_holder(path)
        assert holder is not None
        assert holder.pid == other.pid
        with pytest.raises(StoreLocked):
            open_store(path)
        other.stdin.close()  # it closes now, while we wait for the lock
        open_store(path, OpenOptions(wait_seconds=30)).close()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        other.kill()
        other.wait()
        assert find_holder(path) is None
        open_store(path).close()


def test_a_store_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    breaches = {
        "UPDATE store_meta SET value = '00112233445566778899aabbccddeeff' WHERE key = 'store-id'": "belongs to another store",
        "UPDATE store_meta SET value = 'x' WHERE key = 'store-id'": "which store it is",
        "DELETE FROM store_meta": "which store it is",
        "DELETE FROM request": "chain of requests",
        "DELETE FROM event WHERE position = (SELECT max(position) FROM event)": "last event",
    }
    for number, (statement, told) in enumerate(breaches.items()):
        path = tmp_path / f"{number}.db"
        with open_store(path) as store, store.begin() as batch:
            if "store-id" not in statement:
                rows.park(batch)
                rows.add_instance(batch)
            batch.commit()
        connection = sqlite3.connect(path)
        connection.execute(statement)
        connection.commit()
        connection.close()
        with pytest.raises(StoreDamaged) as caught:
            open_store(path)
        assert told in says(caught.value, path)
        assert find_holder(path) is None


def test_the_writer_flushes_at_each_commit_and_readers_cannot_write(tmp_path: Path) -> None:
    with open_store(tmp_path / "store.db") as store:
        writer = store._writer.connection
        assert [writer.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")] == [
            "wal",
            2,
        ]
        assert writer.execute("PRAGMA wal_autocheckpoint").fetchone()[0] == 0
        with store.readers.snapshot() as view, pytest.raises(sqlite3.OperationalError, match="readonly"):
            view._connection.execute("DELETE FROM event")


def test_checkpoints_are_the_writers_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    log = path.with_name("store.db-wal")
    with open_store(path) as store:
        with store.begin() as batch:
            rows.park(batch)
            batch.commit()
        size = store.log_bytes
        assert size == log.stat().st_size > 0
        with open_readers(path) as readers, readers.snapshot() as view:
            assert view.counts().requests == 1
        assert store.log_bytes == size
        done = store.checkpoint(truncate=True)
        assert (done.was_hindered, store.log_bytes) == (False, 0)


@pytest.mark.parametrize("instances", [1, 64])
def test_a_checkpoint_is_due_before_the_log_has_grown_much_beyond_sixteen_megabytes(
    tmp_path: Path, instances: int
) -> None:
    with open_store(tmp_path / "store.db", FAST) as store:
        while not store.checkpoint_is_due:
            with store.begin() as batch:
                for _ in range(instances):
                    rows.park(batch)
                batch.commit()
        assert 8_000_000 < store.log_bytes < 32_000_000
        store.checkpoint()
        assert not store.checkpoint_is_due


def test_the_log_that_grew_while_somebody_read_is_moved_and_its_place_on_the_disk_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("procession.store.connections.LOG_KEPT_BYTES", 1_000_000)
    with open_store(tmp_path / "store.db", FAST) as store:

        def write() -> None:
            with store.begin() as batch:
                for _ in range(64):
                    rows.park(batch)
                batch.commit()

        write()
        with store.readers.snapshot() as view:
            assert view.counts().requests
            while store.log_bytes < 4_000_000:
                write()
            assert store.checkpoint().was_hindered
        assert not store.checkpoint().was_hindered
        write()
        assert store.log_bytes <= 1_000_000


def test_a_file_name_with_odd_characters_is_the_file_that_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "a?mode=memory&b#c%20 ü.db"
    open_store(path).close()
    assert path.exists()
    with open_readers(path) as readers, readers.snapshot() as view:
        assert view.counts().events == 0


def test_importing_the_store_does_not_import_alembic() -> None:
    code = "import sys, procession.store, procession.store.invariants; sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
