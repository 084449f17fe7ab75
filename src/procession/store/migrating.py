"""Brings an older store to the present schema: a copy first, then all revisions in one transaction, under the engine's lock."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from procession.errors import StoreDamaged, StoreFailed
from procession.store import schema
from procession.store.connections import Connection, SqliteConnections
from procession.store.failures import explained


def migrate(path: Path, *, more_revisions: Sequence[Path] = ()) -> Path | None:
    """Migrates the store at this path; gives the path of the copy made before, None if the file was empty.

    Killed at any moment it leaves the old store or the new one.
    """
    connection = SqliteConnections().connect(path, "rwc")
    try:
        with explained(path):
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            is_empty = not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
            copy = None if is_empty else copy_store(connection, path, _copy_path(path, version))
            _upgrade(connection, more_revisions)
        broken = connection.execute("PRAGMA foreign_key_check").fetchall()
        if broken:
            remedy = f"Keep both files and report it; the store before the migration is {copy}."
            raise StoreDamaged(
                f"{path} has rows without their owners after the migration.", subject=str(path), remedy=remedy
            )
        return copy
    finally:
        connection.close()


def copy_store(connection: Connection, path: Path, target: Path) -> Path:
    """A whole copy of the store, checked; made by SQLite, since copying the file of an open database is no copy."""
    unfinished = target.with_name(target.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    connection.execute("VACUUM INTO ?", (str(unfinished),))
    copy = SqliteConnections().connect(unfinished, "ro")
    try:
        problems = [row[0] for row in copy.execute("PRAGMA integrity_check(3)") if row[0] != "ok"]
    finally:
        copy.close()
    if problems:
        raise StoreFailed(
            f"The copy {unfinished} of {path} is not whole: {problems[0]}.", subject=str(path), remedy="Check the disk."
        )
    os.replace(unfinished, target)
    return target


def _copy_path(path: Path, version: int) -> Path:
    for number in range(1, 10_000):
        suffix = "" if number == 1 else f".{number}"
        candidate = path.with_name(f"{path.name}.before-schema-{version + 1}{suffix}")
        if not candidate.exists():
            return candidate
    raise StoreFailed(f"There are too many copies beside {path}.", subject=str(path), remedy="Remove old ones.")


def _upgrade(connection: Connection, more_revisions: Sequence[Path]) -> None:
    # Alembic takes longer to import than the engine to start, and is needed only here.
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine, event
    from sqlalchemy.pool import StaticPool

    folder = Path(__file__).parent / "migrations"
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    locations = [str(folder / "versions"), *map(str, more_revisions)]
    config.set_main_option("version_locations", "\n".join(locations).replace("%", "%%"))

    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)

    @event.listens_for(engine, "begin")
    def _begin(opened: Any) -> None:
        opened.exec_driver_sql("BEGIN IMMEDIATE")

    with engine.begin() as opened:
        config.attributes["connection"] = opened
        command.upgrade(config, "head")
        opened.exec_driver_sql(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        opened.exec_driver_sql(f"PRAGMA user_version = {schema.SCHEMA_VERSION}")
