"""Makes the tables of a new store, marks the file as ours, and says what an existing file is."""

from __future__ import annotations

import secrets
import time
from enum import Enum
from pathlib import Path

from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from procession.errors import NewerStore, NotAStore, StoreDamaged
from procession.store import meta, schema
from procession.store.connections import Connection
from procession.store.failures import explained
from procession.store.requests import request_genesis
from procession.store.statements import Prepared

_DIALECT = sqlite.dialect()


class Content(Enum):
    """What an SQLite file holds, as far as opening it is concerned."""

    EMPTY = "empty"
    PRESENT = "present"  # a store of this schema
    OLDER = "older"  # a store to be migrated


def content_of(connection: Connection, path: Path) -> Content:
    """What the file is; a file that is not ours, or of a newer schema, is refused untouched."""
    with explained(path):
        application_id = int(connection.execute("PRAGMA application_id").fetchone()[0])
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    if application_id == 0 and tables == 0:
        return Content.EMPTY
    if application_id != schema.APPLICATION_ID:
        remedy = "Name the store's own file, or a path where there is no file yet. This one was not touched."
        raise NotAStore(f"{path} is an SQLite database of another program.", subject=str(path), remedy=remedy)
    if version > schema.SCHEMA_VERSION:
        text = f"{path} was written by a newer Procession (schema {version}; this one knows {schema.SCHEMA_VERSION})."
        raise NewerStore(
            text, subject=str(path), remedy="Install that version again: `pip install --upgrade procession`."
        )
    return Content.PRESENT if version == schema.SCHEMA_VERSION else Content.OLDER


def table_statements() -> list[str]:
    """The statements that make the tables, in the order of their references."""
    statements = [str(CreateTable(table).compile(dialect=_DIALECT)) for table in schema.metadata.sorted_tables]
    for table in schema.metadata.sorted_tables:
        statements.extend(
            str(CreateIndex(index).compile(dialect=_DIALECT))
            for index in sorted(table.indexes, key=lambda index: str(index.name))
        )
    return statements


def create_tables(connection: Connection) -> None:
    """Makes a store in an empty file, in one transaction: there is all of it or nothing."""
    store_id = secrets.token_bytes(16)
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in table_statements():
            connection.execute(statement)
        connection.execute(f"INSERT INTO {schema.REVISION_TABLE} VALUES (?)", (f"{schema.SCHEMA_VERSION:04}",))
        mark(connection, store_id)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def mark(connection: Connection, store_id: bytes) -> None:
    """Writes who this store is; inside the transaction that makes its tables."""
    connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION}")
    meta.put_meta(connection, meta.STORE_ID, store_id.hex())
    meta.put_meta(connection, meta.CREATED_US, str(time.time_ns() // 1000))
    meta.put_meta(connection, meta.REQUEST_CHAIN, meta.encode_request_head(0, request_genesis(store_id)))


_LAST_REQUEST = Prepared(schema.request.select().order_by(schema.request.c.number.desc()).limit(1))
_LAST_EVENT = Prepared(schema.event.select().order_by(schema.event.c.position.desc()).limit(1))


def check_identity(connection: Connection, path: Path) -> tuple[bytes, bytes]:
    """Store id and head of the request chain; refuses a store whose last rows are not those it says it has.

    This is what can be told at once, whatever the size of the store; `check_invariants` verifies every row.
    """

    def damaged(what: str) -> StoreDamaged:
        remedy = "Keep the file as it is, restore the last backup, and run `procession doctor` on both."
        return StoreDamaged(f"{path} contradicts itself: {what}.", subject=str(path), remedy=remedy)

    with explained(path):
        identity = meta.find_meta(connection, meta.STORE_ID)
        end = meta.find_meta(connection, meta.REQUEST_CHAIN)
        last = _LAST_REQUEST.run(connection).fetchone()
        event = _LAST_EVENT.run(connection).fetchone()
    try:
        store_id = bytes.fromhex(identity or "")
        number, head = meta.decode_request_head(end or "")
    except (ValueError, KeyError, TypeError):
        raise damaged("it does not say which store it is") from None
    if len(store_id) != 16:
        raise damaged("it does not say which store it is")
    stored = (0, request_genesis(store_id)) if last is None else (int(last[0]), last[-1])
    if stored != (number, head):
        raise damaged(f"the chain of requests should end at number {number} and does not, or belongs to another store")
    if event is not None:
        with explained(path):
            found = connection.execute("SELECT seq, head FROM instance WHERE id = ?", (event[1],)).fetchone()
        if found is None or (event[2], event[-1]) != tuple(found):
            raise damaged(f"the last event (position {event[0]}) is not the end of its instance's history")
    return store_id, head
