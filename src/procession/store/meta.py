"""What the store knows about itself: a few values by name."""

from __future__ import annotations

import json

from sqlalchemy import bindparam, select

from procession.store import schema
from procession.store.connections import Connection
from procession.store.header import compact
from procession.store.statements import Prepared, delete_by_key, insert_or_replace, select_where

STORE_ID = "store-id"
CREATED_US = "created-us"
REQUEST_CHAIN = "request-chain"

_FIND = select_where(schema.store_meta, "key")
_PUT = insert_or_replace(schema.store_meta)
_REMOVE = delete_by_key(schema.store_meta)
_UNDER = Prepared(
    select(schema.store_meta)
    .where(schema.store_meta.c.key >= bindparam("first"), schema.store_meta.c.key < bindparam("after"))
    .order_by(schema.store_meta.c.key),
    "first",
    "after",
)


def find_meta(connection: Connection, key: str) -> str | None:
    """The value kept under this key."""
    values = _FIND.run(connection, key).fetchone()
    return None if values is None else str(values[1])


def find_metas(connection: Connection, prefix: str) -> dict[str, str]:
    """The values kept under keys that begin so, by key."""
    return {str(key): str(value) for key, value in _UNDER.run(connection, prefix, prefix + chr(0x10FFFF))}


def put_meta(connection: Connection, key: str, value: str) -> None:
    """Keeps a value under a key, in place of what was there."""
    _PUT.run(connection, key, value)


def remove_meta(connection: Connection, key: str) -> None:
    """Keeps nothing under this key any more."""
    _REMOVE.run(connection, key)


def encode_request_head(number: int, head: bytes) -> str:
    """Where the chain of requests ends: kept apart, so that the last row cannot go missing unseen."""
    return compact({"hash": head.hex(), "number": number}).decode()


def decode_request_head(value: str) -> tuple[int, bytes]:
    """Number and hash of the last request."""
    content = json.loads(value)
    return int(content["number"]), bytes.fromhex(content["hash"])
