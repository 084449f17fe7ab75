"""Migrations and the drawn schema are one database; migrating copies first and is all or nothing."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from procession.store import migrating, open_store, schema
from procession.store.creation import create_tables
from procession.store.invariants import check_invariants
from tests.contract import rows


def described(path: Path) -> dict[tuple[str, str], list[str]]:
    """Every table and index by its parts, sorted: the constraints of a table may be written in any order."""
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
    connection.close()
    return {(kind, name): parts(" ".join((sql or "").split())) for kind, name, sql in found}


def parts(statement: str) -> list[str]:
    head, _, rest = statement.partition("(")
    body, _, tail = rest.rpartition(")")
    return [head.strip(), tail.strip(), *sorted(part.strip() for part in re.split(r",\s*(?![^()]*\))", body))]


def test_the_sum_of_all_migrations_is_the_schema_that_new_stores_get(tmp_path: Path) -> None:
    migrated, created = tmp_path / "migrated.db", tmp_path / "created.db"
    assert migrating.migrate(migrated) is None
    connection = sqlite3.connect(created, isolation_level=None)
    create_tables(connection)
    connection.close()
    one, other = described(migrated), described(created)
    assert one.keys() == other.keys()
    for name, parts in one.items():
        assert parts == other[name], name
    for path in (migrated, created):
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA user_version").fetchone()[0] == schema.SCHEMA_VERSION
        assert connection.execute("PRAGMA application_id").fetchone()[0] == schema.APPLICATION_ID
        assert connection.execute(f"SELECT * FROM {schema.REVISION_TABLE}").fetchall() == [
            (f"{schema.SCHEMA_VERSION:04}",)
        ]
        connection.close()


NEXT_REVISION = """
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("instance", sa.Column("colour", sa.Text(), nullable=True))
    op.create_table("priority", sa.Column("id", sa.Integer(), primary_key=True))
    {failure}
"""


@pytest.fixture
def older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of the present schema, seen by a version that knows one more."""
    path = tmp_path / "store.db"
    with open_store(path) as store, store.begin() as batch:
        rows.park(batch)
        batch.commit()
    monkeypatch.setattr(schema, "SCHEMA_VERSION", 2)
    return path


def revisions(folder: Path, failure: str = "") -> list[Path]:
    place = folder / "revisions"
    place.mkdir()
    (place / "v0002_next.py").write_text(NEXT_REVISION.format(failure=failure))
    return [place]


def test_an_older_store_is_copied_and_then_migrated(older: Path, tmp_path: Path) -> None:
    before = described(older)
    copy = migrating.migrate(older, more_revisions=revisions(tmp_path))
    assert copy == older.with_name("store.db.before-schema-2")
    assert described(copy) == before
    assert check_invariants(copy).is_sound
    assert ("table", "priority") in described(older)
    with open_store(older) as store, store.readers.snapshot() as view:
        assert view.counts().events == 4
        assert store.copy_before_migration is None


def test_a_migration_that_fails_leaves_the_old_store(older: Path, tmp_path: Path) -> None:
    before = described(older)
    with pytest.raises(ZeroDivisionError):
        migrating.migrate(older, more_revisions=revisions(tmp_path, failure="1 / 0"))
    assert described(older) == before
    connection = sqlite3.connect(older)
    assert connection.execute("PRAGMA user_version").fetchone()[0] == 1
    assert connection.execute(f"SELECT * FROM {schema.REVISION_TABLE}").fetchall() == [("0001",)]
    connection.close()


def test_a_copy_never_overwrites_an_earlier_one(older: Path, tmp_path: Path) -> None:
    first = older.with_name("store.db.before-schema-2")
    first.write_text("kept")
    copy = migrating.migrate(older, more_revisions=revisions(tmp_path))
    assert copy == older.with_name("store.db.before-schema-2.2")
    assert first.read_text() == "kept"


def test_opening_to_write_migrates_under_the_lock(older: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from procession.store import find_holder

    more, plain = revisions(tmp_path), migrating.migrate
    held = []

    def migrate(path: Path) -> Path | None:
        held.append(find_holder(path))
        return plain(path, more_revisions=more)

    monkeypatch.setattr(migrating, "migrate", migrate)
    with open_store(older) as store:
        assert store.copy_before_migration == older.with_name("store.db.before-schema-2")
        assert held[0] is not None
