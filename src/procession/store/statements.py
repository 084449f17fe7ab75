"""Statements drawn with SQLAlchemy Core from the schema, compiled once, then run as prepared text.

The hot path runs thousands of statements a second; compiling each time would cost more than running it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ClauseElement, Select, Table, bindparam, delete, insert, select, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import insert as upsert

from procession.store.connections import Connection, Cursor

_DIALECT = sqlite.dialect(paramstyle="qmark")


class Prepared:
    """One statement with named values; they are given by position, in the order of `names`."""

    __slots__ = ("_names", "_order", "_sql", "_statement")

    def __init__(self, statement: ClauseElement, *names: str) -> None:
        self._statement = statement
        self._names = names
        self._sql: str | None = None
        self._order: list[tuple[int | None, Any]] | None = None

    @property
    def sql(self) -> str:
        if self._sql is None:
            self._compile()
        assert self._sql is not None
        return self._sql

    def run(self, connection: Connection, *values: Any) -> Cursor:
        sql = self.sql
        if self._order is not None:
            values = tuple(constant if index is None else values[index] for index, constant in self._order)
        return connection.execute(sql, values)

    def run_many(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> None:
        sql = self.sql
        assert self._order is None, "only statements whose values stand in their own order run for many rows"
        connection.executemany(sql, rows)

    def _compile(self) -> None:
        compiled = self._statement.compile(dialect=_DIALECT)
        placed: list[str] = list(compiled.positiontup or ())  # type: ignore[attr-defined]
        if placed != list(self._names):
            self._order = [
                (self._names.index(name), None) if name in self._names else (None, compiled.params[name])
                for name in placed
            ]
        self._sql = str(compiled)


def run_once(connection: Connection, statement: ClauseElement) -> Cursor:
    """Runs a statement whose shape depends on what was asked, with the values it carries."""
    compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    order: list[str] = list(compiled.positiontup or ())  # type: ignore[attr-defined]
    return connection.execute(str(compiled), tuple(compiled.params[name] for name in order))


def insert_into(table: Table) -> Prepared:
    """INSERT of whole rows, columns in the schema's order."""
    names = [column.name for column in table.columns]
    return Prepared(insert(table).values({name: bindparam(name) for name in names}), *names)


def insert_or_replace(table: Table) -> Prepared:
    """INSERT of whole rows; one with the same key is overwritten."""
    names = [column.name for column in table.columns]
    statement = upsert(table).values({name: bindparam(name) for name in names})
    keys = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in names if name not in keys}
    return Prepared(statement.on_conflict_do_update(index_elements=keys, set_=changed), *names)


def update_by_key(table: Table, columns: Sequence[str]) -> Prepared:
    """UPDATE of these columns; the key comes last."""
    keys = [column.name for column in table.primary_key]
    statement = update(table).values({name: bindparam(f"new_{name}") for name in columns})
    for key in keys:
        statement = statement.where(table.c[key] == bindparam(f"old_{key}"))
    return Prepared(statement, *(f"new_{name}" for name in columns), *(f"old_{key}" for key in keys))


def delete_by_key(table: Table) -> Prepared:
    """DELETE of the row with this key."""
    keys = [column.name for column in table.primary_key]
    statement = delete(table)
    for key in keys:
        statement = statement.where(table.c[key] == bindparam(f"old_{key}"))
    return Prepared(statement, *(f"old_{key}" for key in keys))


def select_where(table: Table, *names: str) -> Prepared:
    """SELECT of whole rows whose columns `names` have the given values."""
    statement: Select[Any] = select(table)
    for name in names:
        statement = statement.where(table.c[name] == bindparam(name))
    return Prepared(statement, *names)
