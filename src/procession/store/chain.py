"""The chain: each row carries the hash of the one before it, so a changed, missing or moved row shows.

    hash   = SHA-256(previous ‖ header ‖ digest)
    digest = SHA-256(16 random bytes of this row ‖ payload)

What may have to be erased one day (values, free text) is payload: erasing removes payload *and* salt, and the chain still
verifies. A row that never had a payload keeps neither salt nor digest, and the digest of nothing stands in the formula.
"""

from __future__ import annotations

import os
from hashlib import sha256

SALT_BYTES = 16
NOTHING = sha256(b"").digest()

_POOL_ROWS = 256
_pool: list[bytes] = []


def genesis(subject: bytes, identity: bytes) -> bytes:
    """What stands for the hash before the first row: a chain belongs to its owner and cannot be moved to another."""
    return sha256(b"procession " + subject + b"\0" + identity).digest()


def new_salt() -> bytes:
    """Sixteen bytes of the system's randomness, drawn for many rows at once (a system call a row shows in the profile)."""
    if not _pool:
        drawn = os.urandom(SALT_BYTES * _POOL_ROWS)
        _pool.extend(drawn[start : start + SALT_BYTES] for start in range(0, len(drawn), SALT_BYTES))
    return _pool.pop()


def digest_of(salt: bytes, payload: bytes) -> bytes:
    """What stands for a payload in its row's hash; salted, so that equal values do not show."""
    return sha256(salt + payload).digest()


def link(previous: bytes, header: bytes, digest: bytes | None) -> bytes:
    """The hash of a row."""
    return sha256(previous + header + (digest or NOTHING)).digest()


def contradiction(payload: bytes | None, salt: bytes | None, digest: bytes | None) -> str | None:
    """What is wrong between payload, salt and digest of a row, or None; an erased row has its digest only."""
    if (payload is None) != (salt is None):
        return "has a payload without its salt" if salt is None else "has a salt without its payload"
    if payload is None or salt is None:
        return None
    if digest is None or digest_of(salt, payload) != digest:
        return "has a payload that is not the recorded one"
    return None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.clear)  # two processes must not use one salt
